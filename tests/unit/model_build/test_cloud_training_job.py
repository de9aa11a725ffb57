"""Waiting for a training job."""

from typing import Any, cast

import pytest

from commandline.polling import Rhythm
from model_build.cloud_training import wait_for_job
from model_build.errors import CloudError


class Session:
    """A session whose training job goes through the given descriptions; it has no log."""

    def __init__(self, *descriptions: dict[str, Any]) -> None:
        self.descriptions = list(descriptions)

    def client(self, service: str) -> "Session":
        """Return the client of a service."""
        assert service in {"sagemaker", "logs"}
        return self

    def describe_training_job(self, **_: str) -> dict[str, Any]:
        """Return the next description; the last one again and again."""
        return self.descriptions.pop(0) if len(self.descriptions) > 1 else self.descriptions[0]

    def describe_log_streams(self, **_: str) -> dict[str, Any]:
        """Return no streams."""
        return {"logStreams": []}


RUNNING = {"TrainingJobStatus": "InProgress", "SecondaryStatus": "Training"}


def wait(session: Session, seconds: float = 3600) -> dict[str, Any]:
    return wait_for_job(cast("Any", session), "job", seconds, Rhythm(sleep=lambda _: None))


def test_waits_until_the_job_has_completed() -> None:
    done = {"TrainingJobStatus": "Completed", "SecondaryStatus": "Completed"}
    assert wait(Session(RUNNING, RUNNING, done)) == done


@pytest.mark.parametrize(
    ("description", "message"),
    [
        (
            {"TrainingJobStatus": "Failed", "FailureReason": "AlgorithmError: x"},
            "is Failed: AlgorithmError: x",
        ),
        ({"TrainingJobStatus": "Stopped", "SecondaryStatus": "MaxRuntimeExceeded"}, "is Stopped: MaxRuntime"),
        ({"TrainingJobStatus": "Failed"}, "SageMaker gave no reason"),
    ],
)
def test_a_job_that_did_not_complete_is_an_error_with_its_reason(
    description: dict[str, str], message: str
) -> None:
    with pytest.raises(CloudError, match=message):
        wait(Session(RUNNING, description))


def test_a_job_that_does_not_end_is_given_up() -> None:
    with pytest.raises(CloudError, match="training job job has not ended after"):
        wait(Session(RUNNING))
