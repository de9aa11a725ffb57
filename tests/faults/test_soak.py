"""Many photos while a fifth of all calls fails and parts are killed: the account must balance.

SOAK_PHOTOS and SOAK_SEED choose how many and which; the seed stands in
build/soak.json, so that a run can be repeated.
"""

import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer

from localcloud.environment import ROOT
from localcloud.faults import Fault, FaultFile
from localcloud.state import StateFolder
from tests.e2e.test_e2e_workflow import BETWEEN, GREEN, RED
from tests.faults.balance import FUNCTIONS, MODEL, OUTCOME_EVENTS, Observer, kill
from tests.faults.conftest import PATIENCE_S, set_patience
from tests.support.local_cloud import Listener, wait_until

PHOTOS = int(os.environ.get("SOAK_PHOTOS") or 1000)
SEED = int(os.environ.get("SOAK_SEED") or time.time())
PREFIX = "incoming/soak/"
OVERWRITTEN = 0.05
A_SECOND = 14
SOAK_PATIENCE_S = 60
RATES = {
    "sagemaker": {"error": 0.06, "throttled": 0.06, "model-error": 0.04, "timeout": 0.04},
    "s3": {"slow-down": 0.1, "error": 0.06, "broken-off": 0.04},
    "lambda": {"throttled": 0.1, "error": 0.05, "crash": 0.05},
    "dynamodb": {"throttled": 0.1, "error": 0.1},
    "sqs": {"throttled": 0.1, "error": 0.1},
    "events": {"throttled": 0.1, "error": 0.1},
    "rule": {"duplicate": 0.1, "late": 0.04, "lost": 0.02, "throttled": 0.03, "denied": 0.01},
}
KINDS = {"ACCEPTED": (RED, GREEN), "LOW_CONFIDENCE": (BETWEEN,), "REJECTED": (b"this is no photo",)}
SHARES = {"ACCEPTED": 0.75, "LOW_CONFIDENCE": 0.15, "REJECTED": 0.1}


@dataclass(frozen=True)
class Upload:
    """A photo to upload, and the outcome that it must have in the end."""

    key: str
    body: bytes
    outcome: str


def plan(rng: random.Random, photos: int, prefix: str) -> list[Upload]:
    """Draw the uploads; a share of the keys is uploaded twice."""
    uploads: list[Upload] = []
    while len(uploads) < photos:
        outcome = rng.choices(list(SHARES), list(SHARES.values()))[0]
        key = f"{prefix}{len(uploads):05}.jpg"
        if uploads and rng.random() < OVERWRITTEN:
            key = uploads[-1].key
        uploads.append(Upload(key, rng.choice(KINDS[outcome]), outcome))
    return uploads


def switch_on(file: FaultFile) -> None:
    file.save(
        Fault(
            f"{service}-{name}",
            name,
            service,
            # SerializeImage, killed twice, would take the photo for too costly.
            operation="ClassifyImage" if name == "crash" else "",
            rate=rate,
            key="" if service == "sagemaker" else PREFIX,
            seconds=1.0,
            seed=SEED,
        )
        for service, rates in RATES.items()
        for name, rate in rates.items()
    )


def send(
    observer: Observer, uploads: list[Upload], a_second: float, kills: Mapping[int, Callable[[], object]]
) -> dict[tuple[str, str], str]:
    """Upload everything on a schedule and kill parts on the way; return the outcome of each version."""
    cloud, expected = observer.cloud, {}
    begun = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        pending: list[Future[str]] = []
        for number, upload in enumerate(uploads):
            time.sleep(max(0.0, begun + number / a_second - time.monotonic()))
            if number in kills:
                kills[number]()
            previous = pending[-1] if pending else None
            if previous and uploads[number - 1].key == upload.key:
                previous.result()  # versions of a key in their order
            pending.append(pool.submit(cloud.upload, upload.key, upload.body))
        for upload, one in zip(uploads, pending, strict=True):
            expected[observer.uri(upload.key), one.result()] = upload.outcome
    return expected


def stop_some(observer: Observer, count: int) -> Iterator[str]:
    """Stop executions that are under way, as an operator might; yield their photos."""
    workflow = observer.cloud.client("stepfunctions")
    for one in running(observer)[:count]:
        try:
            workflow.stop_execution(executionArn=one)
        except workflow.exceptions.ClientError:
            continue  # it has just ended
        start = json.loads(workflow.describe_execution(executionArn=one)["input"])
        yield observer.uri(start["detail"]["object"]["key"])


def running(observer: Observer) -> list[str]:
    arn = observer.cloud.outputs["ClassifyImageStateMachineArn"]
    pages = (
        observer.cloud.client("stepfunctions")
        .get_paginator("list_executions")
        .paginate(stateMachineArn=arn, statusFilter="RUNNING")
    )
    return [one["executionArn"] for page in pages for one in page["executions"]]


def records(observer: Observer, prefix: str) -> dict[tuple[str, str], dict[str, Any]]:
    plain = TypeDeserializer().deserialize
    pages = observer.cloud.client("dynamodb").get_paginator("scan")
    found = {}
    for page in pages.paginate(TableName=observer.cloud.outputs["ResultsTableName"]):
        for item in page["Items"]:
            record = {name: plain(value) for name, value in item.items()}
            if record["object_uri"].startswith(observer.uri(prefix)):
                found[record["object_uri"], record["object_version"]] = record
    return found


@pytest.fixture
def patient(observer: Observer) -> Iterator[Observer]:
    set_patience(observer, SOAK_PATIENCE_S)
    yield observer
    set_patience(observer, PATIENCE_S)


def mend(observer: Observer) -> None:
    """Do what operators do after it, and wait for the end."""
    observer.redrive()
    observer.redrive("--missing")
    wait_until(lambda: not running(observer), 600)


def published(
    observer: Observer, events: Listener, prefix: str
) -> tuple[Counter[tuple[str, str, str]], Counter[tuple[str, str]]]:
    """Count the events of outcomes and the review messages of photos, by version."""
    uri = observer.uri(prefix)
    details = [one["detail"] for one in events.messages()]
    deliveries = Counter(
        (one["object_uri"], one["object_version"], one["outcome"])
        for one in details
        if one["object_uri"].startswith(uri)
    )
    reviews = [one for one in observer.all_reviews() if one["object_uri"].startswith(uri)]
    return deliveries, Counter((one["object_uri"], one["object_version"]) for one in reviews)


def check_balance(
    expected: dict[tuple[str, str], str],
    found: dict[tuple[str, str], dict[str, Any]],
    deliveries: Counter[tuple[str, str, str]],
    reviews: Counter[tuple[str, str]],
    stopped: set[str],
) -> None:
    """Check that each photo has one record and one event, and each doubtful one a review message."""
    # Nobody looks for a version that was overwritten while its event was lost.
    latest = dict(expected.keys())  # the version of each key that was uploaded last
    assert found.keys() <= expected.keys()
    assert [name for name in expected.keys() - found.keys() if latest[name[0]] == name[1]] == []
    expected = {name: expected[name] for name in found}
    wrong = {name: (expected[name], found[name]["outcome"]) for name in expected}
    assert {name: pair for name, pair in wrong.items() if pair[0] != pair[1]} == {}
    assert [record for record in found.values() if "undelivered" in record] == []
    finals = {(*name, outcome) for name, outcome in expected.items()}
    assert finals <= deliveries.keys(), "every outcome was published"
    # Stopped after its event and before its debt was removed, a photo is published once more.
    again = [name for name, count in deliveries.items() if name in finals and count > 1]
    assert {name[0] for name in again} <= stopped
    assert {name[2] for name in deliveries.keys() - finals} <= {"FAILED"}
    doubtful = {name for name, outcome in expected.items() if outcome == "LOW_CONFIDENCE"}
    assert reviews.keys() == doubtful
    assert {name[0] for name, count in reviews.items() if count > 1} <= stopped


@pytest.mark.timeout(1500)
def test_every_photo_has_exactly_its_outcome(patient: Observer) -> None:
    observer, started = patient, time.monotonic()
    uploads = plan(random.Random(SEED), PHOTOS, PREFIX)  # noqa: S311 - a plan, no secret
    kills = {
        len(uploads) // 4: lambda: kill(MODEL, observer),
        len(uploads) // 2: lambda: kill(FUNCTIONS, observer),
    }
    events = Listener(observer.cloud).to_events(OUTCOME_EVENTS)
    file = StateFolder(observer.cloud.folder).faults
    switch_on(file)
    try:
        expected = send(observer, uploads, A_SECOND, kills)
        stopped = set(stop_some(observer, 10))
        wait_until(lambda: not running(observer), 600)
        time.sleep(3)  # late events
        wait_until(lambda: not running(observer), 600)
        hits = file.hits()
    finally:
        file.clear()
    before = Counter(record["outcome"] for record in records(observer, PREFIX).values())
    mend(observer)

    found = records(observer, PREFIX)
    deliveries, reviews = published(observer, events, PREFIX)
    account = {
        "seed": SEED,
        "versions": len(expected),
        "seconds": round(time.monotonic() - started, 1),
        "calls hit": dict(sorted(hits.items())),
        "before redrive": {**before, "no outcome": len(expected) - sum(before.values())},
        "after": dict(Counter(record["outcome"] for record in found.values())),
        "lost": len(expected.keys() - found.keys()),
        "events": deliveries.total(),
        "review messages": reviews.total(),
    }
    (ROOT / "build" / "soak.json").write_text(json.dumps(account, indent=2) + "\n", encoding="utf-8")

    check_balance(expected, found, deliveries, reviews, stopped)
