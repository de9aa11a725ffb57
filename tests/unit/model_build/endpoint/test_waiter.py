"""Waiting for an endpoint, and telling a version that serves from one that was rolled back."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from commandline.polling import Rhythm
from model_build.endpoint.waiter import confirm_version, wait_until_settled
from model_build.errors import CloudError, DeploymentError

AT_ONCE = Rhythm(sleep=lambda _: None)
NEW, OLD = "scones-20261123-101500-042", "scones-20261120-080000-000"


class FakeSession:
    """A boto3 session whose endpoint goes through the given descriptions, and whose container has a log."""

    def __init__(self, *descriptions: dict[str, Any] | None, log: list[str] | None = None) -> None:
        self.descriptions = list(descriptions)
        self.log = log

    def client(self, service: str) -> Any:
        """All services in one."""
        assert service in {"sagemaker", "logs"}
        return self

    def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:  # noqa: N803 - boto3's name
        """Return the next description; the last one stays."""
        now = self.descriptions.pop(0) if len(self.descriptions) > 1 else self.descriptions[0]
        if now is None:
            message = f'Could not find endpoint "arn:aws:sagemaker:::endpoint/{EndpointName}".'
            raise ClientError(
                {"Error": {"Code": "ValidationException", "Message": message}}, "DescribeEndpoint"
            )
        return now

    def describe_log_streams(self, **_: Any) -> dict[str, Any]:
        """One stream, if there is a log."""
        if self.log is None:
            raise ClientError(
                {"Error": {"Code": "ResourceNotFoundException", "Message": "no group"}}, "DescribeLogStreams"
            )
        return {"logStreams": [{"logStreamName": "AllTraffic/i-0"}]}

    def get_log_events(self, **_: Any) -> dict[str, Any]:
        """Return the log's lines."""
        return {"events": [{"message": line} for line in self.log or []]}


def described(status: str, config: str = NEW, **more: Any) -> dict[str, Any]:
    return {"EndpointStatus": status, "EndpointConfigName": config, "EndpointArn": "arn", **more}


def test_waits_while_the_endpoint_changes_and_shows_each_status() -> None:
    session: Any = FakeSession(described("Creating"), described("Creating"), described("InService"))
    seen: list[str] = []

    endpoint = wait_until_settled(
        session,
        "scones",
        timeout_seconds=60,
        progress=lambda status, _: seen.append(status),
        rhythm=AT_ONCE,
    )

    assert endpoint == described("InService")
    assert seen == ["Creating", "Creating"]


def test_asks_often_at_first_and_never_less_than_every_quarter_of_a_minute() -> None:
    session: Any = FakeSession(*[described("Creating")] * 90, described("InService"))
    pauses: list[float] = []

    wait_until_settled(session, "scones", timeout_seconds=3600, rhythm=Rhythm(sleep=pauses.append))

    assert pauses[0] < 1
    assert pauses == sorted(pauses)
    assert pauses[-1] == 15


def test_gives_up_after_the_time_allowed_and_says_how_to_look() -> None:
    session: Any = FakeSession(described("Creating"))

    with pytest.raises(CloudError, match=r"still Creating.*status --endpoint-name scones"):
        wait_until_settled(session, "scones", timeout_seconds=5, rhythm=AT_ONCE)


def test_an_endpoint_that_is_gone_has_settled() -> None:
    session: Any = FakeSession(described("Deleting"), None)

    assert wait_until_settled(session, "scones", timeout_seconds=60, rhythm=AT_ONCE) is None


def test_another_refusal_of_aws_is_not_taken_for_a_missing_endpoint() -> None:
    class Denied(FakeSession):
        def describe_endpoint(self, EndpointName: str) -> dict[str, Any]:  # noqa: N803 - boto3's name
            message = f"may not describe {EndpointName}"
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": message}}, "DescribeEndpoint")

    session: Any = Denied()
    with pytest.raises(ClientError, match="AccessDenied"):
        wait_until_settled(session, "scones", timeout_seconds=60, rhythm=AT_ONCE)


def test_in_service_on_the_new_configuration_is_success() -> None:
    session: Any = FakeSession()

    assert (
        confirm_version(session, described("InService"), name="scones", version=NEW)["EndpointConfigName"]
        == NEW
    )


def test_in_service_on_the_old_configuration_is_a_rollback() -> None:
    session: Any = FakeSession(log=["Traceback", "ValueError: broken model"])
    rolled_back = described("InService", OLD, FailureReason="did not pass the ping health check")

    with pytest.raises(DeploymentError) as failed:
        confirm_version(session, rolled_back, name="scones", version=NEW)

    message = str(failed.value)
    assert "rolled back" in message
    assert "ping health check" in message
    assert "ValueError: broken model" in message
    assert failed.value.serving_config == OLD


def test_failed_endpoint_shows_why_and_that_nothing_serves() -> None:
    session: Any = FakeSession(log=["ModuleNotFoundError: No module named 'inference'"])

    with pytest.raises(DeploymentError, match="nothing serves") as failed:
        confirm_version(session, described("Failed", FailureReason="no capacity"), name="scones", version=NEW)

    assert "no capacity" in str(failed.value)
    assert "No module named 'inference'" in str(failed.value)
    assert failed.value.serving_config is None


def test_a_log_that_cannot_be_read_does_not_hide_the_failure() -> None:
    session: Any = FakeSession(log=None)

    with pytest.raises(DeploymentError, match=r"(?s)no capacity.*can't be read"):
        confirm_version(session, described("Failed", FailureReason="no capacity"), name="scones", version=NEW)


def test_endpoint_deleted_meanwhile_is_a_failure() -> None:
    session: Any = FakeSession()

    with pytest.raises(DeploymentError, match="deleted while"):
        confirm_version(session, None, name="scones", version=NEW)
