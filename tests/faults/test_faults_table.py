"""Every fault: exactly one outcome, published once, and an alarm where a person must act."""

import json
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from localcloud.faults import Fault, FaultFile
from tests.e2e.test_e2e_workflow import BETWEEN, GREEN, RED
from tests.faults.balance import FUNCTIONS, MODEL, Observer, Seen, kill
from tests.faults.conftest import PATIENCE_S, set_patience
from tests.faults.rows import ACCEPTED, DOUBTFUL, ENDPOINT, RULE, WORKFLOW, Row
from tests.support.local_cloud import wait_until, without_rule

TOGETHER_S = 25
"""Patience while 80 photos are under way at once."""


@pytest.fixture
def faults(observer: Observer) -> Iterator[FaultFile]:
    yield observer.faults
    observer.faults.clear()


def key_of(name: str) -> str:
    return f"incoming/faults/{re.sub(r'[^a-zA-Z]+', '-', name)}-{uuid.uuid4().hex[:6]}.jpg"


def body_of(row: Row) -> bytes:
    return BETWEEN if row.doubtful else RED


def bucket_of(observer: Observer) -> str:
    return observer.cloud.outputs["PhotoBucketName"]


def start(observer: Observer, machine: str, data: dict[str, Any]) -> None:
    observer.cloud.client("stepfunctions").start_execution(
        stateMachineArn=observer.machines[machine], input=json.dumps(data)
    )


def check_published(seen: Seen, outcomes: Sequence[str], *, reviewed: bool = True) -> None:
    """Each outcome was published once, and each doubtful photo sent for review once."""
    assert sorted(seen.outcomes) == sorted(outcomes)
    names = [one.split()[0] for one in outcomes]
    assert sorted(seen.events) == sorted(names)
    assert seen.reviews == (names.count("LOW_CONFIDENCE") if reviewed else 0)
    assert seen.debts == 0


# --- Faults of calls that name a photo: all rows at once, on both machines and in a batch -------------------


@dataclass
class Rows:
    """What was seen of the rows of one way: while the faults were on, and after they were mended."""

    keys: dict[str, str]  # of the photos, by the row's name
    seen: dict[str, Seen] = field(default_factory=dict)
    mended: dict[str, Seen] = field(default_factory=dict)
    hits: dict[str, int] = field(default_factory=dict)  # calls, by the row's name


@pytest.fixture(scope="module")
def shown(observer: Observer) -> dict[str, Rows]:
    """Break everything at once, by the photos' keys; then mend it."""
    rows = {"STANDARD": [*WORKFLOW, *RULE], "EXPRESS": WORKFLOW}
    ways = {way: Rows({row.name: key_of(f"{way}-{row.name}") for row in some}) for way, some in rows.items()}
    observer.faults.save(
        Fault(f"{way}-{row.name}-{number}", key=ways[way].keys[row.name], **one)
        for way, some in rows.items()
        for row in some
        for number, one in enumerate(row.faults)
    )
    set_patience(observer, TOGETHER_S)
    with without_rule(observer.cloud):
        for row in rows["EXPRESS"]:
            key = ways["EXPRESS"].keys[row.name]
            version = observer.cloud.upload(key, body_of(row))
            photo = {"s3_bucket": bucket_of(observer), "s3_key": key, "version_id": version}
            start(observer, "EXPRESS", photo)
    for row in rows["STANDARD"]:
        observer.cloud.upload(ways["STANDARD"].keys[row.name], body_of(row))
    never = {ways["STANDARD"].keys[row.name] for row in RULE if not row.outcomes}
    keys = {key for way in ways.values() for key in way.keys.values()} - never
    wait_until(lambda: observer.ended(keys), 280)
    set_patience(observer, PATIENCE_S)
    time.sleep(3)  # the rule's second attempts
    hits = observer.faults.hits()
    for way, some in ways.items():
        some.seen = observer.see(some.keys.values())
        some.hits = {
            row.name: sum(hits.get(f"{way}-{row.name}-{n}", 0) for n in range(len(row.faults)))
            for row in rows[way]
        }
    observer.faults.clear()
    observer.redrive("--missing")
    observer.redrive("--missing")
    for some in ways.values():
        some.mended = observer.see(some.keys.values())
    return ways


@pytest.mark.parametrize(
    ("way", "row"),
    [*(("STANDARD", row) for row in [*WORKFLOW, *RULE]), *(("EXPRESS", row) for row in WORKFLOW)],
    ids=lambda value: value.name if isinstance(value, Row) else value,
)
def test_fault(way: str, row: Row, shown: dict[str, Rows], observer: Observer) -> None:
    rows = shown[way]
    key = rows.keys[row.name]
    seen, mended = rows.seen[key], rows.mended[key]
    observer.report(f"{way}: {row.name}", row.outcomes, seen, rows.hits[row.name])
    assert rows.hits[row.name] > 0, "the fault hit nothing"
    assert tuple(sorted(seen.outcomes)) == tuple(sorted(row.outcomes))
    assert tuple(seen.alarms) == row.alarms
    if row.mended:
        assert not seen.events, "nothing is published yet"
        observer.report(f"{way}: {row.name}; then `redrive --missing`", row.mended, mended)
    check_published(mended, row.mended or row.outcomes, reviewed="ReviewGivenUpAlarm" not in row.alarms)


@pytest.fixture(scope="module")
def endpoint_rows(observer: Observer) -> Rows:
    """Break the endpoint in every way, one after the other: its requests name no photo."""
    rows = Rows({row.name: key_of(row.name) for row in ENDPOINT})
    for row in ENDPOINT:
        observer.faults.save(Fault(f"{row.name}-{n}", **one) for n, one in enumerate(row.faults))
        observer.cloud.upload(rows.keys[row.name], RED)
        wait_until(lambda key=rows.keys[row.name]: observer.ended([key]), 120)  # type: ignore[misc]
        rows.hits[row.name] = sum(observer.faults.hits().values())
        observer.faults.clear()
    rows.seen = observer.see(rows.keys.values())
    return rows


@pytest.mark.parametrize("row", ENDPOINT, ids=lambda row: row.name)
def test_fault_of_the_endpoint(row: Row, endpoint_rows: Rows, observer: Observer) -> None:
    seen = endpoint_rows.seen[endpoint_rows.keys[row.name]]
    observer.report(row.name, row.outcomes, seen, endpoint_rows.hits[row.name])
    assert endpoint_rows.hits[row.name] > 0, "the fault hit nothing"
    assert tuple(seen.alarms) == row.alarms
    check_published(seen, row.outcomes)


def test_a_batch_leaves_what_a_service_failed_to_the_next_run(
    observer: Observer, faults: FaultFile, capsys: pytest.CaptureFixture[str]
) -> None:
    """One run with every fault that lasts; the next one without."""
    lasting = [row for row in WORKFLOW if row.alarms or "REJECTED" in row.outcomes[0]]
    prefix = f"incoming/faults/batch-{uuid.uuid4().hex[:6]}/"
    keys = {row.name: f"{prefix}{number}.jpg" for number, row in enumerate(lasting)}
    faults.save(
        Fault(f"{row.name}-{number}", key=keys[row.name], **one)
        for row in lasting
        for number, one in enumerate(row.faults)
    )

    def batch() -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = observer.run("batch", "--prefix", prefix, "--json", "--concurrency", "20")
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return code, {line["s3_key"]: line for line in lines[:-1]}

    with without_rule(observer.cloud):
        for row in lasting:
            observer.cloud.upload(keys[row.name], body_of(row))
        code, lines = batch()
        assert (code, set(lines)) == (1, set(keys.values())), "one line a photo"
        recorded = {row.name: row.outcomes for row in lasting}
        recorded |= {row.name: () for row in lasting if row.alarms == ("FailedPhotosAlarm",)}
        seen = observer.see(keys.values())
        assert {name: tuple(seen[key].outcomes) for name, key in keys.items()} == recorded
        for row in lasting:
            line = lines[keys[row.name]]
            if row.alarms == ("FailedPhotosAlarm",):
                assert (line["outcome"], line["error"]) == (None, row.outcomes[0].split()[1])

        faults.clear()
        code, lines = batch()
        observer.redrive("--missing")
    assert code == 0
    mended = observer.see(keys.values())
    for row in lasting:
        now = mended[keys[row.name]]
        expected = row.mended or (ACCEPTED if row.alarms == ("FailedPhotosAlarm",) else row.outcomes)
        observer.report(f"batch: {row.name}; then again", expected, now)
        check_published(now, expected, reviewed="ReviewGivenUpAlarm" not in row.alarms)


# --- Faults that somebody or something causes in the middle ------------------------------------------------


def version_gone(observer: Observer, key: str, version: str) -> None:
    observer.cloud.client("s3").delete_object(Bucket=bucket_of(observer), Key=key, VersionId=version)


def late(file: FaultFile, seconds: float, times: int | None = None) -> None:
    file.save([Fault(uuid.uuid4().hex[:8], "late", "rule", seconds=seconds, times=times)])


def finish(observer: Observer, name: str, key: str, *outcomes: str) -> Seen:
    """Wait for the end, report, and check that everything was published once."""
    wait_until(lambda: observer.ended([key]) and len(observer.cloud.records(key)) >= len(outcomes), 120)
    seen = observer.see([key])[key]
    observer.report(name, outcomes, seen)
    check_published(seen, outcomes)
    return seen


def test_object_deleted_between_event_and_read(observer: Observer, faults: FaultFile) -> None:
    key = key_of("deleted")
    late(faults, 2)
    version_gone(observer, key, observer.cloud.upload(key, RED))
    seen = finish(observer, "object deleted between event and read", key, "REJECTED ObjectNotFound")
    assert not seen.alarms


def test_object_overwritten_between_event_and_read(observer: Observer, faults: FaultFile) -> None:
    key = key_of("overwritten")
    late(faults, 2)
    observer.cloud.upload(key, RED)
    observer.cloud.upload(key, GREEN)
    name = "object overwritten between event and read"
    finish(observer, name, key, "ACCEPTED", "ACCEPTED")
    assert {one["label"] for one in observer.cloud.records(key)} == {"bicycle", "motorcycle"}


def test_events_out_of_order(observer: Observer, faults: FaultFile) -> None:
    key = key_of("order")
    late(faults, 3, times=1)
    observer.cloud.upload(key, RED)
    observer.cloud.upload(key, BETWEEN)
    finish(observer, "events out of order", key, *ACCEPTED, *DOUBTFUL)


@pytest.mark.parametrize(("body", "outcome"), [(RED, *ACCEPTED), (BETWEEN, *DOUBTFUL)])
def test_event_again_after_the_object_is_gone(observer: Observer, body: bytes, outcome: str) -> None:
    key = key_of(f"again-{outcome[:8]}")
    version = observer.cloud.upload(key, body)
    wait_until(lambda: observer.ended([key]))
    version_gone(observer, key, version)
    for machine in observer.machines:
        start(observer, machine, {"s3_bucket": bucket_of(observer), "s3_key": key, "version_id": version})
    finish(observer, f"event again after the object is gone, {outcome}", key, outcome)


@pytest.mark.parametrize(
    ("service", "before"), [("dynamodb", False), ("events", True)], ids=["record", "event"]
)
def test_execution_stopped(observer: Observer, faults: FaultFile, service: str, before: bool) -> None:
    key = key_of(f"stopped-{service}")
    faults.save([Fault(uuid.uuid4().hex[:8], "throttled", service)])
    observer.cloud.upload(key, BETWEEN)
    wait_until(lambda: faults.hits() and (not before or observer.cloud.records(key)))
    (execution,) = observer.executions(key)
    observer.cloud.client("stepfunctions").stop_execution(executionArn=execution["executionArn"])
    time.sleep(6)  # a call that is under way is tried again as the state says, here as on AWS
    faults.clear()
    name = f"execution stopped before its {'event' if before else 'record'}"
    seen = observer.see([key])[key]
    observer.report(name, DOUBTFUL if before else (), seen)
    assert seen.alarms == ["PhotosWithoutOutcomeAlarm"]
    assert (seen.outcomes, seen.debts) == ([*DOUBTFUL] if before else [], int(before))

    observer.redrive("--missing")
    finish(observer, f"{name}; then `redrive --missing`", key, *DOUBTFUL)


@pytest.mark.parametrize("what", [MODEL, FUNCTIONS], ids=["model", "functions"])
def test_processes_killed(observer: Observer, what: str) -> None:
    key = key_of("killed")
    assert kill(what, observer), "nothing was killed"
    observer.cloud.upload(key, RED)
    finish(observer, f"processes killed: {what}", key, *ACCEPTED)


def test_the_type_of_the_workflow_is_changed_in_an_outage(observer: Observer, faults: FaultFile) -> None:
    """CloudFormation changes the rule's target, as here; what waits goes on."""
    keys = [f"incoming/faults/type-{uuid.uuid4().hex[:6]}-{number}.jpg" for number in range(8)]
    faults.save([Fault(uuid.uuid4().hex[:8], "unavailable", "sagemaker")])
    events = observer.cloud.client("events")
    (rule,) = [one["Name"] for one in events.list_rules()["Rules"] if "PhotoUploaded" in one["Name"]]
    (target,) = events.list_targets_by_rule(Rule=rule)["Targets"]
    types = ["STANDARD", "EXPRESS", "STANDARD", "EXPRESS"]
    try:
        for machine, pair in zip(types, (keys[n : n + 2] for n in range(0, 8, 2)), strict=True):
            events.put_targets(Rule=rule, Targets=[{**target, "Arn": observer.machines[machine]}])
            for key in pair:
                observer.cloud.upload(key, RED)
            wait_until(lambda pair=pair: all(map(observer.executions, pair)))  # type: ignore[misc]
    finally:
        events.put_targets(Rule=rule, Targets=[target])
    faults.clear()
    wait_until(lambda: observer.ended(keys), 60)
    for key, seen in observer.see(keys).items():
        observer.report(f"type changed in an outage: {key}", ACCEPTED, seen)
        check_published(seen, ACCEPTED)
