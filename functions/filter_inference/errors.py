"""The errors that the workflow knows FilterInference by: a class name here is an `ErrorEquals` there.

They do not end in `Error` because they are names of a public contract.
"""

import json


class ThresholdConfidenceNotMet(Exception):  # noqa: N818
    """No class is probable enough: a person must look. Permanent.

    The message is a JSON object, so that the workflow can record what the best guess was:
    `{"label": str, "confidence": float, "threshold": float, "reason": str}`.
    """

    def __init__(self, label: str, confidence: float, threshold: float) -> None:
        """Describe the best guess and the threshold that it missed."""
        reason = f"{label} is the most probable class, but only with {confidence:.4f}: {threshold} is needed"
        super().__init__(
            json.dumps({"label": label, "confidence": confidence, "threshold": threshold, "reason": reason})
        )


class EndpointContractViolation(Exception):  # noqa: N818
    """The inferences are no probability for each class. Permanent."""
