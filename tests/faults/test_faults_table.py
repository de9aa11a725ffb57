"""Every fault, one after the other: exactly one outcome, told once, and an alarm where a person must act."""

import json
import re
import time
import uuid
from collections.abc import Iterator

import pytest

from localcloud.faults.switches import Fault, FaultFile
from localcloud.state import StateFolder
from tests.e2e.test_e2e_workflow import BETWEEN, GREEN, RED
from tests.faults.balance import Line, Observer, Seen
from tests.faults.kill import kill
from tests.faults.rows import ROWS, Row
from tests.support.local_cloud import wait_until

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def faults(observer: Observer) -> Iterator[FaultFile]:
    file = StateFolder(observer.cloud.folder).faults
    yield file
    file.clear()


def key_of(name: str) -> str:
    return f"incoming/faults/{re.sub(r'[^a-zA-Z]+', '-', name)}-{uuid.uuid4().hex[:6]}.jpg"


def switch_on(file: FaultFile, row: Row) -> None:
    file.save([Fault(uuid.uuid4().hex[:8], **one) for one in row.faults])


def ended(observer: Observer, key: str) -> bool:
    found = observer.executions(key)
    return bool(found) and all(one["status"] != "RUNNING" for one in found)


def settle(observer: Observer, key: str, row: Row) -> None:
    """Wait until all executions of a photo have ended; a moment where there will be none."""
    if row.outcomes or "PhotosWithoutOutcomeAlarm" in row.alarms:
        wait_until(lambda: ended(observer, key), 120)
    else:
        time.sleep(1)


def report(observer: Observer, name: str, expected: str, seen: Seen) -> None:
    shown = ", ".join(seen.outcomes) or "no outcome"
    observer.lines.append(Line(name, expected, shown, seen.seconds, len(seen.alarms), seen.hits))


def check_told(seen: Seen, outcomes: tuple[str, ...]) -> None:
    """Each outcome was published once, and each doubtful photo sent for review once."""
    assert sorted(seen.outcomes) == sorted(outcomes)
    names = [one.split()[0] for one in outcomes]
    assert sorted(seen.events) == sorted(names)
    assert seen.reviews == names.count("LOW_CONFIDENCE")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_fault(row: Row, observer: Observer, faults: FaultFile) -> None:
    key, started = key_of(row.name), time.monotonic()
    switch_on(faults, row)
    observer.cloud.upload(key, BETWEEN if row.doubtful else RED)
    settle(observer, key, row)

    seen = observer.see(key, started)
    expected = ", ".join(row.outcomes) or "no outcome"
    report(observer, row.name, expected, seen)

    assert seen.hits > 0, "the fault hit nothing"
    assert tuple(sorted(seen.outcomes)) == tuple(sorted(row.outcomes))
    assert tuple(seen.alarms) == row.alarms
    if not row.mended:
        check_told(seen, row.outcomes)
        return
    assert not seen.events, "nobody was told yet"
    faults.clear()
    observer.redrive("--missing")
    mended = observer.see(key, started)
    report(observer, f"{row.name}; then `redrive --missing`", ", ".join(row.mended), mended)
    check_told(mended, row.mended)
    observer.redrive("--missing")
    check_told(observer.see(key, started), row.mended)


# --- Faults that somebody or something causes in the middle ------------------------------------------------


def version_gone(observer: Observer, key: str, version: str) -> None:
    bucket = observer.cloud.outputs["PhotoBucketName"]
    observer.cloud.client("s3").delete_object(Bucket=bucket, Key=key, VersionId=version)


def late(file: FaultFile, seconds: float, times: int | None = None) -> None:
    file.save([Fault(uuid.uuid4().hex[:8], "late", "rule", seconds=seconds, times=times)])


def finish(observer: Observer, name: str, key: str, started: float, *outcomes: str) -> Seen:
    """Wait for the end, report, and check that everything was told once."""
    wait_until(lambda: ended(observer, key) and len(observer.cloud.records(key)) >= len(outcomes), 120)
    seen = observer.see(key, started)
    report(observer, name, ", ".join(outcomes), seen)
    check_told(seen, outcomes)
    return seen


def test_object_deleted_between_event_and_read(observer: Observer, faults: FaultFile) -> None:
    key, started = key_of("deleted"), time.monotonic()
    late(faults, 2)
    version_gone(observer, key, observer.cloud.upload(key, RED))
    seen = finish(observer, "object deleted between event and read", key, started, "REJECTED ObjectNotFound")
    assert not seen.alarms


def test_object_overwritten_between_event_and_read(observer: Observer, faults: FaultFile) -> None:
    key, started = key_of("overwritten"), time.monotonic()
    late(faults, 2)
    observer.cloud.upload(key, RED)
    observer.cloud.upload(key, GREEN)
    name = "object overwritten between event and read"
    finish(observer, name, key, started, "ACCEPTED", "ACCEPTED")
    assert {one["label"] for one in observer.cloud.records(key)} == {"bicycle", "motorcycle"}


def test_events_out_of_order(observer: Observer, faults: FaultFile) -> None:
    key, started = key_of("order"), time.monotonic()
    late(faults, 3, times=1)
    observer.cloud.upload(key, RED)
    observer.cloud.upload(key, BETWEEN)
    doubtful = "LOW_CONFIDENCE THRESHOLD_CONFIDENCE_NOT_MET"
    finish(observer, "events out of order", key, started, "ACCEPTED", doubtful)


@pytest.mark.parametrize(("body", "outcome"), [(RED, "ACCEPTED"), (BETWEEN, "LOW_CONFIDENCE")])
def test_event_again_after_the_object_is_gone(observer: Observer, body: bytes, outcome: str) -> None:
    key, started = key_of(f"again-{outcome}"), time.monotonic()
    version = observer.cloud.upload(key, body)
    wait_until(lambda: ended(observer, key))
    version_gone(observer, key, version)
    for _ in range(2):
        start(observer, {"s3_bucket": bucket_of(observer), "s3_key": key, "version_id": version})
    error = " THRESHOLD_CONFIDENCE_NOT_MET" if outcome == "LOW_CONFIDENCE" else ""
    finish(observer, f"event again after the object is gone, {outcome}", key, started, outcome + error)


def bucket_of(observer: Observer) -> str:
    return observer.cloud.outputs["PhotoBucketName"]


def start(observer: Observer, data: dict[str, str]) -> None:
    observer.cloud.client("stepfunctions").start_execution(
        stateMachineArn=observer.cloud.outputs["ClassifyImageStateMachineArn"], input=json.dumps(data)
    )


@pytest.mark.parametrize(
    ("service", "body", "before", "outcome"),
    [
        ("dynamodb", RED, False, "ACCEPTED"),
        ("sqs", BETWEEN, True, "LOW_CONFIDENCE THRESHOLD_CONFIDENCE_NOT_MET"),
        ("events", RED, True, "ACCEPTED"),
    ],
    ids=["before its record", "before the review message", "before the event"],
)
def test_execution_stopped(  # noqa: PLR0913, PLR0917 - one parameter for each thing that varies
    observer: Observer,
    faults: FaultFile,
    service: str,
    body: bytes,
    before: bool,
    outcome: str,
    request: pytest.FixtureRequest,
) -> None:
    key, started = key_of(f"stopped-{service}"), time.monotonic()
    faults.save([Fault(uuid.uuid4().hex[:8], "throttled", service)])
    observer.cloud.upload(key, body)
    wait_until(lambda: faults.hits() and (not before or observer.cloud.records(key)))
    (execution,) = observer.executions(key)
    observer.cloud.client("stepfunctions").stop_execution(executionArn=execution["executionArn"])
    time.sleep(6)  # a call that is under way is tried again as the state says, here as on AWS
    faults.clear()
    name = f"execution stopped {request.node.callspec.id}"
    seen = observer.see(key, started)
    report(observer, name, outcome if before else "no outcome", seen)
    assert seen.alarms == ["PhotosWithoutOutcomeAlarm"]
    assert seen.outcomes == ([outcome] if before else [])

    observer.redrive("--missing")
    finish(observer, f"{name}; then `redrive --missing`", key, started, outcome)


def test_model_killed(observer: Observer) -> None:
    key, started = key_of("model-killed"), time.monotonic()
    kill("sagemaker/worker.py", observer)
    observer.cloud.upload(key, RED)
    finish(observer, "model's process killed", key, started, "ACCEPTED")


def test_functions_killed(observer: Observer) -> None:
    key, started = key_of("functions-killed"), time.monotonic()
    kill("ministack-lambda", observer)
    observer.cloud.upload(key, RED)
    finish(observer, "functions' processes killed", key, started, "ACCEPTED")
