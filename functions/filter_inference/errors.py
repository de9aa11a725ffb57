"""FilterInference's errors. The workflow matches them by class name (`ErrorEquals`): a public contract."""

import json


class ThresholdConfidenceNotMet(Exception):  # noqa: N818
    """No class reaches the threshold: a person must review the photo. Permanent.

    The message is a JSON object, so that the workflow can record the most probable class:
    `{"label": str, "confidence": float, "threshold": float, "reason": str}`.
    """

    def __init__(self, label: str, confidence: float, threshold: float) -> None:
        """Describe the most probable class and the threshold it missed."""
        reason = f"the most probable class is {label} with {confidence:.4f}, below the threshold {threshold}"
        super().__init__(
            json.dumps({"label": label, "confidence": confidence, "threshold": threshold, "reason": reason})
        )


class EndpointContractViolation(Exception):  # noqa: N818
    """The inferences are not one probability per class. Permanent."""
