"""Carrying steps out: what a failure, a timeout or Ctrl-C at each of them undoes, and what it leaves."""

import re
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from commandline.polling import Rhythm
from model_build.endpoint import deploy
from model_build.endpoint.aws import ApiCall
from model_build.endpoint.deploy import carry_out
from model_build.endpoint.found import Found
from model_build.endpoint.steps import Step
from model_build.errors import DeploymentError, UnsettledError

NEW, OLD = "scones-20261123-101500-042", "scones-20261120-080000-000"


def described(status: str, config: str = NEW, **more: Any) -> dict[str, Any]:
    return {"EndpointStatus": status, "EndpointConfigName": config, "EndpointArn": "arn", **more}


def refused(message: str = "slow down", code: str = "ThrottlingException") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "Any")


class Cloud:
    """A session of which all services are one, with a record of the calls.

    DescribeEndpoint answers each of `endpoint` (None: there is none), the last one again and again.
    """

    def __init__(self, *endpoint: dict[str, Any] | None, **errors: BaseException) -> None:
        self.calls: list[str] = []
        self.errors = errors
        self.endpoint = list(endpoint)
        self.log: list[str] | None = ["ValueError: broken model"]

    def client(self, _: str) -> Any:
        """Return the client of any service."""
        return self

    def __getattr__(self, operation: str) -> Callable[..., dict[str, Any]]:
        """Return an operation of the client."""

        def call(*_: Any, **parameters: Any) -> dict[str, Any]:
            self.calls.append(operation)
            if operation in self.errors:
                raise self.errors[operation]
            if operation == "describe_endpoint":
                now = self.endpoint.pop(0) if len(self.endpoint) > 1 else self.endpoint[0]
                if now is None:
                    raise refused(f"Could not find {parameters}", "ValidationException")
                return now
            if operation == "describe_log_streams":
                return {"logStreams": [{"logStreamName": "AllTraffic/i-0"}] if self.log else []}
            return {"events": [{"message": line} for line in self.log or []]}

        return call

    @property
    def changes(self) -> list[str]:
        """The calls that change something."""
        reads = ("describe_endpoint", "describe_log_streams", "get_log_events")
        return [call for call in self.calls if call not in reads]


def step(operation: str, undo: str = "", **more: Any) -> Step:
    service = "s3" if "Object" in operation else "sagemaker"
    return Step(ApiCall(service, operation), ApiCall(service, undo) if undo else None, **more)


VERSION = [
    step("CreateLogGroup", optional=True),
    Step(ApiCall("s3", "PutObject", {"Bucket": "b", "Key": "k"}), upload=Path("model.tar.gz")),
    step("CreateModel", "DeleteModel"),
    step("CreateEndpointConfig", "DeleteEndpointConfig"),
]
TAG = Step(ApiCall("sagemaker", "AddTags", {"ResourceArn": "<EndpointArn>"}), optional=True)
CREATION = [*VERSION, step("CreateEndpoint", "DeleteEndpoint", settles=True, serves=NEW), TAG]
UPDATE = [
    *VERSION,
    step("DeregisterScalableTarget", "RegisterScalableTarget"),
    step("UpdateEndpoint", settles=True, serves=NEW),
    TAG,
    step("PutScalingPolicy"),
]
REMOVED = ["delete_endpoint_config", "delete_model"]


class Run:
    """A run of steps: its error, its notices, the pauses and the statuses that it showed."""

    def __init__(self, cloud: Any, steps: list[Step], *, timeout_seconds: float = 60) -> None:
        self.notices: list[str] = []
        self.shown: list[str] = []
        self.pauses: list[float] = []
        self.error: BaseException | None = None
        bar = nullcontext(lambda status, _: self.shown.append(status))
        with (
            patch.object(deploy, "say", self.notices.append),
            patch.object(deploy, "waiting_bar", lambda *_: bar),
            patch.object(deploy, "DEFAULT_RHYTHM", Rhythm(sleep=self.pauses.append)),
        ):
            try:
                carry_out(steps, Found("scones"), cloud, timeout_seconds, "the same command")
            except BaseException as error:  # noqa: BLE001 - Ctrl-C is one of the cases
                self.error = error


@pytest.mark.parametrize(
    ("operation", "error", "undone"),
    [
        ("upload_file", refused(), []),
        ("create_model", refused(), []),
        ("create_endpoint_config", refused(), ["delete_model"]),
        ("create_endpoint", refused(), REMOVED),
        # A call that is interrupted may have been made.
        ("upload_file", KeyboardInterrupt(), []),
        ("create_model", KeyboardInterrupt(), ["delete_model"]),
        ("create_endpoint_config", KeyboardInterrupt(), REMOVED),
    ],
)
def test_what_ends_a_call_undoes_those_before_it_backwards(
    operation: str, error: BaseException, undone: list[str]
) -> None:
    cloud = Cloud(described("InService"), **{operation: error})

    run = Run(cloud, CREATION)

    assert run.error is error
    assert cloud.changes[cloud.changes.index(operation) + 1 :] == undone
    assert run.notices == []


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), ReadTimeoutError(endpoint_url="u"), UnsettledError("still Updating")]
)
@pytest.mark.parametrize("operation", ["update_endpoint", "describe_endpoint"])
def test_nothing_is_undone_while_sagemaker_goes_on_but_all_of_it_is_named(
    error: BaseException, operation: str
) -> None:
    cloud = Cloud(described("Updating"), **{operation: error})

    run = Run(cloud, UPDATE)

    assert run.error is error
    assert cloud.changes[-1] == "update_endpoint"
    (notice,) = run.notices
    assert "scones model status --endpoint-name scones" in notice
    for left in ("RegisterScalableTarget", "DeleteEndpointConfig", "DeleteModel"):
        assert left in notice


def test_a_timeout_names_the_status_and_how_to_look() -> None:
    cloud: Any = Cloud(described("Creating"))

    run = Run(cloud, CREATION, timeout_seconds=5)

    assert isinstance(run.error, UnsettledError)
    assert "still Creating after 5 s" in str(run.error)
    assert cloud.changes[-1] == "create_endpoint"


def test_a_version_that_was_rolled_back_is_removed_and_scaling_restored() -> None:
    rolled_back = described("InService", OLD, FailureReason="did not pass the ping health check")
    cloud = Cloud(described("Updating", OLD), rolled_back)

    run = Run(cloud, UPDATE)

    assert isinstance(run.error, DeploymentError)
    for part in ("rolled back", "ping health check", "ValueError: broken model"):
        assert part in str(run.error)
    assert f"InService on {OLD}" in str(run.error)
    assert cloud.changes[-3:] == ["register_scalable_target", *REMOVED]


def test_an_endpoint_that_never_came_up_is_removed_with_its_version() -> None:
    cloud = Cloud(described("Creating"), described("Failed", FailureReason="no capacity"), None)

    run = Run(cloud, CREATION)

    assert "nothing serves: no capacity" in str(run.error)
    assert cloud.changes[-3:] == ["delete_endpoint", *REMOVED]


def test_a_version_that_the_endpoint_may_still_use_stays() -> None:
    cloud = Cloud(described("UpdateRollbackFailed", OLD))

    run = Run(cloud, UPDATE)

    assert isinstance(run.error, UnsettledError)
    assert cloud.changes[-1] == "update_endpoint"


def test_what_fails_once_the_version_serves_takes_nothing_back() -> None:
    cloud = Cloud(described("InService"), put_scaling_policy=refused(), add_tags=refused("no tags"))

    run = Run(cloud, UPDATE)

    assert isinstance(run.error, ClientError)
    assert cloud.changes[-1] == "put_scaling_policy"
    assert "AddTags" in run.notices[0]
    assert f"version {NEW} is in service; the same command does the rest" in run.notices[1]


def test_what_cannot_be_undone_is_named_and_the_rest_is_undone() -> None:
    cloud = Cloud(described("Failed"), delete_model=refused("may not"), create_endpoint=refused())

    run = Run(cloud, CREATION)

    assert ["may not" in notice for notice in run.notices] == [True]
    assert cloud.changes[-2:] == REMOVED


def test_ctrl_c_while_undoing_names_what_is_left() -> None:
    cloud = Cloud(described("Failed"), delete_model=KeyboardInterrupt(), create_endpoint=refused())

    run = Run(cloud, CREATION)

    assert isinstance(run.error, KeyboardInterrupt)
    assert run.notices == ["notice: interrupted while undoing; not done: DeleteModel"]


def test_a_refused_deletion_restores_the_scaling() -> None:
    cloud = Cloud(described("Updating"), delete_endpoint=refused("Cannot update in-progress endpoint"))

    Run(cloud, [UPDATE[4], step("DeleteEndpoint", settles=True), step("DeleteModel")])

    assert cloud.changes[-2:] == ["delete_endpoint", "register_scalable_target"]


def test_an_endpoint_that_does_not_go_is_an_error() -> None:
    run = Run(Cloud(described("Failed")), [step("DeleteEndpoint", settles=True), step("DeleteModel")])

    assert "was not deleted, it is Failed" in str(run.error)


def test_waiting_asks_often_at_first_and_shows_each_status() -> None:
    run = Run(
        Cloud(*[described("Creating")] * 90, described("InService")), CREATION[-2:], timeout_seconds=3600
    )

    assert run.error is None
    assert (run.pauses[0] < 1, run.pauses == sorted(run.pauses), run.pauses[-1]) == (True, True, 15)
    assert run.shown == ["1/2 CreateEndpoint", *["Creating"] * 90, "2/2 AddTags"]


def test_another_refusal_is_not_taken_for_a_missing_endpoint() -> None:
    run = Run(Cloud(None, describe_endpoint=refused("may not describe")), CREATION)

    assert "may not describe" in str(run.error)


def test_a_log_that_cannot_be_read_does_not_hide_the_failure() -> None:
    failed = described("Failed", FailureReason="no capacity")
    run = Run(Cloud(failed, describe_log_streams=refused()), CREATION)

    assert isinstance(run.error, DeploymentError)
    assert re.search(r"(?s)no capacity.*can't be read", str(run.error))


def test_an_endpoint_that_is_deleted_meanwhile_is_an_error() -> None:
    run = Run(Cloud(None), UPDATE)

    assert isinstance(run.error, DeploymentError)
    assert "was deleted while" in str(run.error)
