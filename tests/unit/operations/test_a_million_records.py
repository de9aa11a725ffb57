"""With a million records in 30 days, first figures take few requests: 50 are 2 s where one takes 40 ms."""

import bisect
import io
import json
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from urllib3 import HTTPResponse

from operations.report.figures import read_history
from operations.results import SAMPLE, ResultsTable, timestamp
from operations.review.desk import PERIOD, Audit, Desk
from operations.review.live import Live
from operations.stack import Stack
from tests.support.aws_stack import BUCKET, with_workflow
from tests.support.review import review_stack

A_MILLION = 1_000_000
MOST_REQUESTS = 50
SHARES = {
    "ACCEPTED": 0.764,
    SAMPLE: 0.01,
    "LOW_CONFIDENCE": 0.05,
    "REJECTED": 0.05,
    "FAILED": 0.01,
    "ACCEPTED#LOW_CONFIDENCE": 0.1,
    "REJECTED#LOW_CONFIDENCE": 0.01,
    "ACCEPTED#ACCEPTED": 0.005,
    "REJECTED#ACCEPTED": 0.001,
}
A_PAGE = 1_600  # records of 650 bytes in 1 MB


class ManyRecords:
    """A stack whose records are computed as they are asked for, behind boto3; counts requests.

    Each partition of the index has its share of the records, evenly over the last 30 days.
    """

    def __init__(self) -> None:
        self.requests = 0
        self._now = datetime.now(UTC)
        session = boto3.Session()
        session.events.register_first("before-send", self._count)
        session.events.register_first("before-send.dynamodb.*", self._answer)  # type: ignore[arg-type]
        self.stack = replace(with_workflow(review_stack()), session=session)

    def _count(self, **_: Any) -> None:
        self.requests += 1

    def _answer(self, request: Any, **_: Any) -> AWSResponse:
        asked = json.loads(request.body)
        if request.headers["X-Amz-Target"].endswith(b".UpdateItem"):  # a hold
            name, number = asked["Key"]["object_uri"]["S"].split("/")[-2], asked["Key"]["object_version"]["S"]
            answer = {"Attributes": self._item(name, int(number))}
        else:
            answer = self._query(asked)
        body = HTTPResponse(io.BytesIO(json.dumps(answer).encode()), preload_content=False)
        return AWSResponse(request.url, 200, HTTPHeaders(), body)

    def _query(self, asked: dict[str, Any]) -> dict[str, Any]:
        values = asked["ExpressionAttributeValues"]
        name, since = values[":outcome_day"]["S"], values[":recorded_at"]["S"]
        size, limit = round(SHARES.get(name, 0) * A_MILLION), min(asked.get("Limit", A_PAGE), A_PAGE)
        first = bisect.bisect_left(range(size), since, key=lambda number: self._time(name, number))
        numbers = range(first, size)[:: 1 if asked.get("ScanIndexForward", True) else -1]
        if start := asked.get("ExclusiveStartKey"):
            numbers = numbers[numbers.index(int(start["object_version"]["S"])) + 1 :]
        page = numbers[:limit]
        all_right = "FilterExpression" in asked and name.startswith("ACCEPTED")
        matched = [] if all_right else page
        answer: dict[str, Any] = {"Count": len(matched), "ScannedCount": len(page)}
        if asked.get("Select") != "COUNT":
            answer["Items"] = [self._item(name, number) for number in matched]
        if len(page) == limit and page:
            answer["LastEvaluatedKey"] = {"object_version": {"S": str(page[-1])}}
        return answer

    def _time(self, name: str, number: int) -> str:
        share = (number + 0.5) / round(SHARES[name] * A_MILLION)
        return timestamp(self._now - PERIOD + PERIOD * share)

    def _item(self, name: str, number: int) -> dict[str, Any]:
        texts = {
            "object_uri": f"s3://{BUCKET}/incoming/{name}/{number}.jpg",
            "object_version": str(number),
            "outcome": name.partition("#")[0],
            "outcome_day": name,
            "label": "bicycle",
            "execution_arn": f"arn:aws:states:eu-west-1:123456789012:execution:scones:{number}",
        }
        texts |= dict.fromkeys(("started_at", "recorded_at"), self._time(name, number))
        numbers = {"confidence": "0.97", "threshold": "0.85"}
        return {k: {"S": v} for k, v in texts.items()} | {k: {"N": v} for k, v in numbers.items()}


@pytest.fixture
def many(aws: None) -> ManyRecords:
    del aws
    return ManyRecords()


def live(stack: Stack) -> None:
    state = Live(stack).state()
    assert len(state["latest"]) == 24
    assert sum(state["counts"].values()) == pytest.approx(A_MILLION / 30 / 24, rel=0.02)
    doubtful = sum(share for name, share in SHARES.items() if "LOW_CONFIDENCE" in name)
    assert state["counts"]["LOW_CONFIDENCE"] == pytest.approx(doubtful * A_MILLION / 30 / 24, rel=0.05)


def desk(stack: Stack) -> None:
    session = Desk(stack, "ada")
    assert session.waiting()[0]["audit"]
    session.status()


def results(stack: Stack) -> None:
    """Read the first lines of all, and the newest of all and of one outcome."""
    table = ResultsTable(stack)
    since = table.now() - timedelta(days=30)
    assert len(list(islice(table.find(since=since), 100))) == 100
    newest = list(table.find(since=since, newest=100))
    assert [one.recorded_at for one in newest] == sorted(
        (one.recorded_at or "" for one in newest), reverse=True
    )
    assert {one.outcome for one in table.find(since=since, outcome="FAILED", newest=100)} == {"FAILED"}


def report(stack: Stack) -> None:
    """Read a day, which is as the report reads it."""
    table = ResultsTable(stack)
    history = read_history(table.find(since=table.now() - timedelta(days=1)), ["bicycle", "motorcycle"])
    assert len(history) == pytest.approx(A_MILLION / 30, rel=0.01)


@pytest.mark.parametrize("page", [live, desk, results, report])
def test_first_figures_take_few_requests(page: Callable[[Stack], None], many: ManyRecords) -> None:
    page(many.stack)
    assert 0 < many.requests <= MOST_REQUESTS


def test_the_bound_counts_what_was_audited(many: ManyRecords) -> None:
    assert ResultsTable(many.stack).audits(many.stack.now() - PERIOD) == (6_000, 1_000)
    assert many.requests <= MOST_REQUESTS


@pytest.mark.parametrize(("share", "expected"), [(0.02, 10_000), (0.005, 2_500), (0.1, None)])
def test_an_audit_draws_its_share_of_the_photos_each_once(
    share: float, expected: int | None, many: ManyRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("operations.review.desk.DRAW_EVERY_S", 0)
    audit = Audit(ResultsTable(many.stack), share)
    audit.draw()
    first = list(iter(audit.next, None))
    drawn = Counter("SAMPLE" in uri for uri, _ in first)
    assert drawn[True] == pytest.approx(expected or 10_000, rel=0.1)
    assert bool(drawn[False]) == (expected is None), "the workflow drew 2 %: for more all must be read"
    audit.draw()
    assert not {*first} & {*iter(audit.next, None)}
    if expected:
        assert many.requests <= MOST_REQUESTS


def test_the_desk_holds_no_lock_over_a_query(many: ManyRecords) -> None:
    session = Desk(many.stack, "ada")
    free: list[bool] = []

    def ask_the_desk(**_: object) -> None:
        other = threading.Thread(target=session.held)
        other.start()
        other.join(timeout=30)
        free.append(not other.is_alive())

    many.stack.client("dynamodb").meta.events.register("before-send.dynamodb.Query", ask_the_desk)
    session.waiting()
    session.status()
    session.bound()
    assert free
    assert all(free)
