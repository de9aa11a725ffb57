"""What a failed deployment takes back, and what it leaves."""

import contextlib
from collections.abc import Sequence
from typing import Any

import pytest
from botocore.exceptions import ClientError

from model_build.endpoint.aws import ApiCall
from model_build.endpoint.undo import Undo
from model_build.errors import CloudError, DeploymentError, StillSettlingError

CALLS = (
    ApiCall("s3", "PutObject", {"Bucket": "b", "Key": "k"}),
    ApiCall("sagemaker", "CreateModel", {"ModelName": "v", "ExecutionRoleArn": "r"}),
    ApiCall("sagemaker", "CreateEndpointConfig", {"EndpointConfigName": "v", "ProductionVariants": []}),
    ApiCall("sagemaker", "CreateEndpoint", {"EndpointName": "e", "EndpointConfigName": "v"}),
)
TAKEN_BACK = [
    ("delete_endpoint", {"EndpointName": "e"}),
    ("settle", {}),
    ("delete_endpoint_config", {"EndpointConfigName": "v"}),
    ("delete_model", {"ModelName": "v"}),
    ("delete_object", {"Bucket": "b", "Key": "k"}),
]


class Cloud:
    """A session whose clients take note of what is deleted."""

    def __init__(self, denied: str = "") -> None:
        self.deleted: list[tuple[str, dict[str, Any]]] = []
        self.denied = denied

    def client(self, _: str) -> Any:
        """Return the client of any service."""
        return self

    def __getattr__(self, operation: str) -> Any:
        """Return an operation of the client."""

        def call(**parameters: Any) -> dict[str, Any]:
            if operation == self.denied:
                raise ClientError({"Error": {"Code": "AccessDenied", "Message": "may not"}}, operation)
            if operation.startswith("delete"):
                self.deleted.append((operation, parameters))
            return {}

        return call

    def settle(self) -> None:
        """Take note of waiting."""
        self.deleted.append(("settle", {}))


def deploy(
    cloud: Any,
    error: BaseException | None,
    *,
    calls: Sequence[ApiCall] = CALLS,
    changing: bool = False,
) -> list[str]:
    """Make the calls, then raise the error; return the notices."""
    notices: list[str] = []
    with contextlib.suppress(type(error or CloudError())), Undo(cloud, cloud.settle, notices.append) as undo:
        for call in calls:
            undo.send(call)
        undo.endpoint_is_changing = changing
        if error is not None:
            raise error
    return notices


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "Throttling", "Message": "slow down"}}, "CreateEndpoint"),
        DeploymentError("never came into service"),
        OSError("the disk is full"),
    ],
)
def test_everything_is_taken_back_in_reverse_order(error: Exception) -> None:
    cloud = Cloud()

    assert deploy(cloud, error, changing=True) == []

    assert cloud.deleted == TAKEN_BACK


@pytest.mark.parametrize(
    "error",
    [
        StillSettlingError("still Updating"),
        KeyboardInterrupt(),
        DeploymentError("update rollback failed", version_in_use=True),
    ],
)
def test_nothing_is_taken_back_that_sagemaker_may_use(error: BaseException) -> None:
    cloud = Cloud()

    deploy(cloud, error, changing=True)

    assert cloud.deleted == []


def test_an_interruption_before_the_endpoint_changes_is_taken_back() -> None:
    cloud = Cloud()

    deploy(cloud, KeyboardInterrupt())

    assert cloud.deleted == TAKEN_BACK


def test_only_what_was_done_is_taken_back() -> None:
    cloud = Cloud()

    deploy(cloud, CloudError("no"), calls=CALLS[1:2])

    assert cloud.deleted == [("delete_model", {"ModelName": "v"})]


def test_the_error_goes_on() -> None:
    cloud: Any = Cloud()
    undo = Undo(cloud, cloud.settle, print)

    with pytest.raises(CloudError, match="the reason"), undo:
        raise CloudError("the reason")


def test_what_cannot_be_taken_back_is_named_and_the_rest_is() -> None:
    cloud = Cloud(denied="delete_model")

    (notice,) = deploy(cloud, CloudError("no"))

    assert "may not" in notice
    assert cloud.deleted == [call for call in TAKEN_BACK if call[0] != "delete_model"]


def test_success_takes_nothing_back() -> None:
    cloud = Cloud()

    deploy(cloud, None)

    assert cloud.deleted == []
