"""Carrying steps out: what a failure, a timeout or Ctrl-C at each of them undoes, and what it leaves."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from commandline.polling import Rhythm
from model_build.endpoint.aws import ApiCall
from model_build.endpoint.deploy import Follow, carry_out, confirm_version, wait_until_settled
from model_build.endpoint.found import Found
from model_build.endpoint.steps import Step
from model_build.errors import CloudError, DeploymentError, UnsettledError

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
        self.other_archive = ""
        self.log: list[str] | None = ["ValueError: broken model"]

    def client(self, _: str) -> Any:
        """Return the client of any service."""
        return self

    def get_paginator(self, _: str) -> Any:
        """Return one whose only page has the model of somebody else, if there is one."""
        models = [{"ModelName": "other"}] if self.other_archive else []
        return SimpleNamespace(paginate=lambda **_: [{"Models": models}])

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
            if operation == "describe_model":
                return {"PrimaryContainer": {"ModelDataUrl": self.other_archive}}
            if operation == "describe_log_streams":
                return {"logStreams": [{"logStreamName": "AllTraffic/i-0"}] if self.log else []}
            return {"events": [{"message": line} for line in self.log or []]}

        return call

    @property
    def changes(self) -> list[str]:
        """The calls that change something."""
        reads = ("describe_endpoint", "describe_model", "describe_log_streams", "get_log_events")
        return [call for call in self.calls if call not in reads]


def step(operation: str, undo: str = "", **more: Any) -> Step:
    service = "s3" if "Object" in operation else "sagemaker"
    return Step(ApiCall(service, operation), ApiCall(service, undo) if undo else None, **more)


UPLOAD = step("PutObject", "DeleteObject", upload=Path("model.tar.gz"))
UPLOAD = Step(ApiCall("s3", "PutObject", {"Bucket": "b", "Key": "k"}), UPLOAD.undo, upload=UPLOAD.upload)
VERSION = [
    step("CreateLogGroup", optional=True),
    UPLOAD,
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
REMOVED = ["delete_endpoint_config", "delete_model", "delete_object"]


class Run:
    """A run of steps: its error, its notices, and what it called after the step that failed."""

    def __init__(self, cloud: Any, steps: list[Step], *, timeout_seconds: float = 60) -> None:
        self.notices: list[str] = []
        self.error: BaseException | None = None
        rhythm = Rhythm(sleep=lambda _: None)
        follow = Follow(lambda *_: None, self.notices.append, timeout_seconds, rhythm=rhythm)
        try:
            carry_out(steps, Found("scones"), cloud, follow)
        except BaseException as error:  # noqa: BLE001 - Ctrl-C is one of the cases
            self.error = error


SENT = {
    "upload_file": 0,
    "create_model": 1,
    "create_endpoint_config": 2,
    "create_endpoint": 3,
}


@pytest.mark.parametrize("operation", SENT)
def test_a_refused_call_undoes_those_before_it_backwards(operation: str) -> None:
    cloud = Cloud(described("InService"), **{operation: refused()})

    run = Run(cloud, CREATION)

    assert isinstance(run.error, ClientError)
    assert cloud.changes[cloud.changes.index(operation) + 1 :] == REMOVED[3 - SENT[operation] :]
    assert run.notices == []


@pytest.mark.parametrize("operation", [name for name in SENT if name != "create_endpoint"])
def test_ctrl_c_before_the_endpoint_changes_undoes_also_the_call_that_it_interrupted(operation: str) -> None:
    cloud = Cloud(described("InService"), **{operation: KeyboardInterrupt()})

    run = Run(cloud, CREATION)

    assert isinstance(run.error, KeyboardInterrupt)
    undone = REMOVED[2 - SENT[operation] :]
    assert cloud.changes[cloud.changes.index(operation) + 1 :] == undone


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
    for left in ("RegisterScalableTarget", "DeleteEndpointConfig", "DeleteModel", "DeleteObject"):
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
    assert cloud.changes[-4:] == ["register_scalable_target", *REMOVED]


def test_an_endpoint_that_never_came_up_is_removed_with_its_version() -> None:
    cloud = Cloud(described("Creating"), described("Failed", FailureReason="no capacity"), None)

    run = Run(cloud, CREATION)

    assert "nothing serves: no capacity" in str(run.error)
    assert cloud.changes[-4:] == ["delete_endpoint", *REMOVED]


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


def test_an_archive_that_another_model_shares_by_now_stays() -> None:
    cloud = Cloud(described("InService"), create_endpoint=refused())
    cloud.other_archive = "s3://b/k"

    Run(cloud, CREATION)

    assert cloud.changes[-2:] == REMOVED[:2]


def test_what_cannot_be_undone_is_named_and_the_rest_is_undone() -> None:
    cloud = Cloud(described("Failed"), delete_model=refused("may not"), create_endpoint=refused())

    run = Run(cloud, CREATION)

    assert ["may not" in notice for notice in run.notices] == [True]
    assert cloud.changes[-3:] == REMOVED


def test_ctrl_c_while_undoing_names_what_is_left() -> None:
    cloud = Cloud(described("Failed"), delete_model=KeyboardInterrupt(), create_endpoint=refused())

    run = Run(cloud, CREATION)

    assert isinstance(run.error, KeyboardInterrupt)
    assert run.notices == ["interrupted while undoing; not done: DeleteModel; DeleteObject"]


def test_a_refused_deletion_restores_the_scaling() -> None:
    cloud = Cloud(described("Updating"), delete_endpoint=refused("Cannot update in-progress endpoint"))

    Run(cloud, [UPDATE[4], step("DeleteEndpoint", settles=True), step("DeleteModel")])

    assert cloud.changes[-2:] == ["delete_endpoint", "register_scalable_target"]


def test_an_endpoint_that_does_not_go_is_an_error() -> None:
    run = Run(Cloud(described("Failed")), [step("DeleteEndpoint", settles=True), step("DeleteModel")])

    assert "was not deleted, it is Failed" in str(run.error)


def test_waiting_asks_often_at_first_and_shows_each_status() -> None:
    pauses: list[float] = []
    seen: list[str] = []
    cloud: Any = Cloud(*[described("Creating")] * 90, described("InService"))
    follow = Follow(lambda status, _: seen.append(status), timeout_seconds=3600)
    follow = replace(follow, rhythm=Rhythm(sleep=pauses.append))

    assert wait_until_settled(cloud, "scones", follow) == described("InService")

    assert (pauses[0] < 1, pauses == sorted(pauses), pauses[-1]) == (True, True, 15)
    assert set(seen) == {"Creating"}


def test_another_refusal_is_not_taken_for_a_missing_endpoint() -> None:
    with pytest.raises(ClientError, match="may not describe"):
        wait_until_settled(Cloud(None, describe_endpoint=refused("may not describe")), "e", Follow())  # type: ignore[arg-type]


def test_a_log_that_cannot_be_read_does_not_hide_the_failure() -> None:
    cloud: Any = Cloud(None, describe_log_streams=refused())
    failed = described("Failed", FailureReason="no capacity")

    with pytest.raises(DeploymentError, match=r"(?s)no capacity.*can't be read"):
        confirm_version(cloud, failed, name="scones", version=NEW)
    with pytest.raises(CloudError, match="deleted while"):
        confirm_version(cloud, None, name="scones", version=NEW)
