"""Carrying steps out: what a failure, a timeout or Ctrl-C at each of them undoes, and what it leaves."""

import re
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from commandline.polling import Rhythm
from model_build.endpoint import deploy
from model_build.endpoint.aws import ApiCall
from model_build.endpoint.deploy import carry_out
from model_build.endpoint.found import Found
from model_build.endpoint.steps import Step
from model_build.errors import UnsettledError

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


class Run:
    """A run of steps: its error, its notices, the pauses and the statuses that it showed."""

    def __init__(self, cloud: Any, steps: list[Step], *, timeout_seconds: float = 5) -> None:
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


class Ending(NamedTuple):
    """An account, steps, the error's type and text (regular expressions), the last changes, notices."""

    cloud: Cloud
    steps: list[Step]
    error: str
    changes: str
    notices: Sequence[str] = ()


UP, CREATING, FAILED = described("InService"), described("Creating"), described("Failed")
ROLLED_BACK = described("InService", OLD, FailureReason="did not pass the ping health check")
BROKEN = f"(?s)DeploymentError.*rolled back.*InService on {OLD}.*ping health check.*ValueError: broken model"
NO_CAPACITY = described("Failed", FailureReason="no capacity")
GOES_ON = "endpoint scones may go on changing; `scones model status --endpoint-name scones`"
REMOVED = "delete_endpoint_config delete_model"
RESTORED = f"register_scalable_target {REMOVED}"
LEFT = "was not done: RegisterScalableTarget; DeleteEndpointConfig; DeleteModel"
DELETION = [UPDATE[4], step("DeleteEndpoint", settles=True), step("DeleteModel")]
IN_PROGRESS = refused("Cannot update in-progress endpoint")
FAILS_LATE = Cloud(UP, put_scaling_policy=refused(), add_tags=refused("no tags"))
UNDO_FAILS = Cloud(FAILED, delete_endpoint_config=refused("may not"), create_endpoint=refused())
UNDO_STOPS = Cloud(FAILED, delete_endpoint_config=KeyboardInterrupt(), create_endpoint=refused())
ENDINGS = {
    **{
        f"{name} is refused": Ending(
            Cloud(UP, **{name: refused()}), CREATION, "ClientError.*slow down", f"{name}{undone}"
        )
        for name, undone in {
            "upload_file": "",
            "create_model": "",
            "create_endpoint_config": " delete_model",
            "create_endpoint": f" {REMOVED}",
        }.items()
    },
    **{
        f"Ctrl-C in {name}, which may have been made": Ending(
            Cloud(UP, **{name: KeyboardInterrupt()}), CREATION, "KeyboardInterrupt", f"{name}{undone}"
        )
        for name, undone in {
            "upload_file": "",
            "create_model": " delete_model",
            "create_endpoint_config": f" {REMOVED}",
        }.items()
    },
    **{
        f"{error!r} in {name} while SageMaker goes on": Ending(
            Cloud(described("Updating"), **{name: error}), UPDATE, text, "update_endpoint", [LEFT]
        )
        for error, text in (
            (KeyboardInterrupt(), "KeyboardInterrupt"),
            (ReadTimeoutError(endpoint_url="u"), "ReadTimeoutError"),
            (UnsettledError("still"), "UnsettledError.*still"),
        )
        for name in ("update_endpoint", "describe_endpoint")
    },
    "a timeout names the status and how to look": Ending(
        Cloud(CREATING), CREATION, "UnsettledError.*still Creating after 5 s", "create_endpoint", [GOES_ON]
    ),
    "a version that was rolled back is removed, and scaling restored": Ending(
        Cloud(described("Updating", OLD), ROLLED_BACK), UPDATE, BROKEN, RESTORED
    ),
    "an endpoint that never came up is removed with its version": Ending(
        Cloud(CREATING, NO_CAPACITY, None),
        CREATION,
        "DeploymentError.*nothing serves: no capacity",
        f"delete_endpoint {REMOVED}",
    ),
    "a version that the endpoint may still use stays": Ending(
        Cloud(described("UpdateRollbackFailed", OLD)), UPDATE, "UnsettledError", "update_endpoint", [GOES_ON]
    ),
    "what fails once the version serves takes nothing back": Ending(
        FAILS_LATE,
        UPDATE,
        "ClientError.*slow down",
        "put_scaling_policy",
        ["AddTags", f"version {NEW} is in service; the same command does the rest"],
    ),
    "what cannot be undone is named, and the rest is undone": Ending(
        UNDO_FAILS, CREATION, "ClientError.*slow down", REMOVED, ["may not"]
    ),
    "Ctrl-C while undoing names what is left": Ending(
        UNDO_STOPS,
        CREATION,
        "KeyboardInterrupt",
        "create_endpoint delete_endpoint_config",
        ["notice: interrupted while undoing; not done: DeleteEndpointConfig; DeleteModel"],
    ),
    "a refused deletion restores the scaling": Ending(
        Cloud(described("Updating"), delete_endpoint=IN_PROGRESS),
        DELETION,
        "ClientError.*in-progress",
        "delete_endpoint register_scalable_target",
    ),
    "an endpoint that does not go": Ending(
        Cloud(FAILED), DELETION[1:], "CloudError.*was not deleted, it is Failed", "delete_endpoint"
    ),
    "another refusal is not taken for a missing endpoint": Ending(
        Cloud(None, describe_endpoint=refused("may not describe")), UPDATE, "ClientError.*may not", RESTORED
    ),
    "a log that cannot be read does not hide the failure": Ending(
        Cloud(NO_CAPACITY, describe_log_streams=refused()),
        UPDATE,
        "(?s)DeploymentError.*no capacity.*can't be read",
        RESTORED,
    ),
    "an endpoint that is deleted meanwhile": Ending(
        Cloud(None), UPDATE, "DeploymentError.*was deleted while", RESTORED
    ),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_ends_the_way_undoes_what_nobody_uses_and_names_the_rest(ending: str) -> None:
    expected, changes = ENDINGS[ending], ENDINGS[ending].changes.split()
    run = Run(expected.cloud, expected.steps)
    assert re.match(expected.error, f"{type(run.error).__name__}: {run.error}")
    assert expected.cloud.changes[-len(changes) :] == changes
    for notice, text in zip(run.notices, expected.notices, strict=True):
        assert text in notice


def test_waiting_asks_often_at_first_and_shows_each_status() -> None:
    run = Run(Cloud(*[described("Creating")] * 90, UP), CREATION[-2:], timeout_seconds=3600)
    assert run.error is None
    assert (run.pauses[0] < 1, run.pauses == sorted(run.pauses), run.pauses[-1]) == (True, True, 15)
    assert run.shown == ["1/2 CreateEndpoint", *["Creating"] * 90, "2/2 AddTags"]


def test_an_endpoint_is_gone_before_what_it_used_is_deleted() -> None:
    cloud = Cloud(CREATING, NO_CAPACITY, None)
    Run(cloud, CREATION)
    assert cloud.calls[-4:] == ["delete_endpoint", "describe_endpoint", *REMOVED.split()]
