"""With a million records in 30 days, first figures take few requests: 50 are 2 s where one takes 40 ms."""

import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from itertools import islice

import pytest

from operations.report.figures import read_history
from operations.results import ResultsTable
from operations.review.desk import PERIOD, Audit, Desk
from operations.review.live import Live
from operations.stack import Stack
from tests.support.aws_stack import with_workflow
from tests.support.many_records import SHARES, ManyRecords
from tests.support.review import review_stack

A_MILLION = 1_000_000
MOST_REQUESTS = 50


@pytest.fixture
def many(aws: None) -> ManyRecords:
    del aws
    return ManyRecords(with_workflow(review_stack()), A_MILLION)


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
