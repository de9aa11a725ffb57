"""`scones status` under each fault: it names the part that does not work, and the next command."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from localcloud.access import LocalSession
from localcloud.faults import Fault, FaultFile
from localcloud.state import StateFolder
from operations.__main__ import main
from operations.checks import Check, Status
from operations.stack import Stack, find_stack
from operations.status import Situation
from tests.e2e.test_e2e_workflow import BETWEEN, RED
from tests.support.local_cloud import LocalCloud, environment_of, wait_until, without_rule


@pytest.fixture(scope="module")
def stack(cloud: LocalCloud) -> Stack:
    return find_stack("scones", LocalSession(cloud.running))  # type: ignore[arg-type]


@pytest.fixture
def wrong(stack: Stack) -> Iterator[Callable[[], dict[str, Check]]]:
    """Return what is wrong by its name; nothing is before the test, and nothing may be after it.

    Alarms, which stay on for a while, are left out.
    """

    def ask() -> dict[str, Check]:
        found = (one for one in Situation(stack).checks() if one.status is not Status.OK)
        return {one.name: one for one in found if not one.name.endswith("Alarm")}

    assert ask() == {}
    yield ask
    wait_until(lambda: not ask())


@contextmanager
def on(cloud: LocalCloud, name: str, service: str) -> Iterator[FaultFile]:
    file = StateFolder(cloud.folder).faults
    file.save([Fault("1", name, service)])
    try:
        yield file
    finally:
        file.clear()


ENDPOINT, S3, TABLE = "endpoint", "photo bucket", "results table"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("missing sagemaker", (ENDPOINT, "does not answer: EndpointUnavailable, ", "scones model status ")),
        ("throttled sagemaker", (ENDPOINT, "throttles: EndpointBusy, ", "scones model status ")),
        ("error events", ("event bus", "takes no outcomes: EventBridge.", "scones redrive --missing")),
        ("slow-down s3", (S3, "does not answer: StorageUnavailable, ", "aws s3api get-bucket-policy ")),
        ("throttled dynamodb", (TABLE, "takes no outcomes: ", "aws dynamodb describe-table ")),
        ("throttled lambda", ("functions", "do not work: Lambda.TooManyRequests", "aws logs tail ")),
    ],
)
def test_a_part_that_photos_wait_for_is_named(
    cloud: LocalCloud, wrong: Callable[[], dict[str, Check]], fault: str, expected: tuple[str, str, str]
) -> None:
    part, detail, command = expected
    with on(cloud, *fault.split()):
        cloud.upload(f"incoming/outage/{fault}.jpg", RED)
        wait_until(lambda: part in wrong())
        (check,) = wrong().values()

    assert check.detail.startswith(detail)
    assert ", given up at " in check.detail
    assert check.advice.startswith(command)
    # The fault is gone, and the photo is not lost: nothing is wrong any more.


def test_photos_that_cannot_be_read_are_named_and_raise_an_alarm(
    cloud: LocalCloud, stack: Stack, wrong: Callable[[], dict[str, Check]]
) -> None:
    with on(cloud, "denied", "s3"):
        cloud.upload("incoming/outage/denied.jpg", RED)
        wait_until(lambda: "photo bucket" in wrong())
        (check,) = wrong().values()

    assert check.detail.startswith("does not let photos be read: 1 photo FAILED with ObjectNotReadable")
    assert check.advice.endswith("scones redrive --since 1h")
    inbox = StateFolder(cloud.folder).inbox
    wait_until(lambda: inbox.exists() and "FailedPhotosAlarm" in inbox.read_text(encoding="utf-8"))
    alarms = {one.name: one for one in Situation(stack).alarms()}
    assert alarms["FailedPhotosAlarm"].advice.startswith("Photos ended FAILED.")
    assert inbox.as_uri() in alarms["alarms"].detail
    with environment_of(cloud.running):
        assert main(["redrive", "--since", "1h"]) == 0


@pytest.mark.parametrize(
    ("rule", "then"),
    [("PhotoUploadedRule", "scones redrive --missing"), ("ReviewRule", "scones redrive --reviews")],
)
def test_a_disabled_rule_is_named(
    cloud: LocalCloud,
    wrong: Callable[[], dict[str, Check]],
    capsys: pytest.CaptureFixture[str],
    rule: str,
    then: str,
) -> None:
    with without_rule(cloud, rule) as name, environment_of(cloud.running):
        assert main(["status", "--json"]) == 1
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    (check,) = (one for one in shown if one.get("name", "").endswith("Rule"))
    assert check["detail"].startswith("is disabled: ")
    assert (check["name"], check["advice"]) == (rule, f"aws events enable-rule --name {name}, then {then}")
    assert wrong() == {}


@pytest.mark.parametrize(
    ("service", "queue", "command"),
    [
        ("rule", "undelivered events", "scones redrive --missing"),
        ("sqs", "dead letters", "scones review"),
    ],
)
def test_dead_letters_are_named(
    cloud: LocalCloud, wrong: Callable[[], dict[str, Check]], service: str, queue: str, command: str
) -> None:
    with on(cloud, "denied", service):
        cloud.upload(f"incoming/outage/{service}.jpg", BETWEEN)
        wait_until(lambda: queue in wrong())
        (check,) = wrong().values()

    assert check.advice == command
    output = {"rule": "UndeliveredEventsQueueUrl", "sqs": "ReviewDeadLetterQueueUrl"}[service]
    cloud.client("sqs").purge_queue(QueueUrl=cloud.outputs[output])
