"""Parts are killed again and again while photos come in: each has its outcome, and nothing is left behind.

STORM_SEEDS says how many storms there are, one after the other.
"""

import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from localcloud.environment import ROOT
from localcloud.state import StateFolder
from tests.e2e.test_e2e_workflow import RED
from tests.faults.balance import DESK, FUNCTIONS, MODEL, OUTCOME_EVENTS, Observer, kill, pids
from tests.faults.test_soak import check_balance, mend, plan, published, records, running, send
from tests.faults.test_soak import patient as patient  # noqa: PLC0414 - a fixture
from tests.support.local_cloud import Listener, LocalCloud, localcloud, wait_until

SEEDS = int(os.environ.get("STORM_SEEDS") or 1)
KILLS = 20
PHOTOS = 80
A_SECOND = 4
FAILED_AT_MOST = 0.02


def draw_kills(rng: random.Random, observer: Observer) -> dict[int, Callable[[], object]]:
    """Draw what is killed, by the number of the photo before which it is; each part at least once."""
    one = partial(kill, FUNCTIONS, observer, only=rng.choice)
    ways = [
        one,
        partial(kill, FUNCTIONS, observer),
        partial(kill, MODEL, observer),
        partial(kill, DESK, observer),
    ]
    drawn = [*ways, *rng.choices(ways, weights=[6, 2, 2, 1], k=KILLS - len(ways))]
    rng.shuffle(drawn)
    return dict(zip(sorted(rng.sample(range(PHOTOS), KILLS)), drawn, strict=True))


@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
def test_a_storm_of_kills_loses_no_photo(patient: Observer, seed: int) -> None:
    observer, started, prefix = patient, time.monotonic(), f"incoming/storm/{seed}/"
    rng = random.Random(seed)  # noqa: S311 - a plan, no secret
    events = Listener(observer.cloud).to_events(OUTCOME_EVENTS)
    expected = send(observer, plan(rng, PHOTOS, prefix), A_SECOND, draw_kills(rng, observer))
    wait_until(lambda: len(records(observer, prefix)) == len(expected) and not running(observer), 300)
    before = Counter(str(record["outcome"]) for record in records(observer, prefix).values())
    idle_after = time.monotonic() - started
    mend(observer)

    account: dict[str, Any] = {
        "seed": seed,
        "idle after s": round(idle_after, 1),
        "before redrive": dict(before),
    }
    (ROOT / "build" / f"storm-{seed}.json").write_text(json.dumps(account, indent=2) + "\n", encoding="utf-8")
    assert before["FAILED"] <= FAILED_AT_MOST * len(expected)
    deliveries, reviews = published(observer, events, prefix)
    check_balance(expected, records(observer, prefix), deliveries, reviews, stopped=set())
    folders = list(StateFolder(observer.cloud.folder).temporary.glob("ministack-lambda-*"))
    assert len(folders) <= len(pids(FUNCTIONS, observer)), "killed workers left their folders"


def test_the_cloud_goes_down_and_up_after_it(cloud: LocalCloud) -> None:
    """The last test that uses this cloud: it is another one then."""
    assert localcloud("down", "--state", cloud.folder).returncode == 0
    assert not StateFolder(cloud.folder).temporary.exists()
    assert localcloud("up", "--state", cloud.folder).returncode == 0
    key, after = "incoming/after-the-storm.jpg", LocalCloud.of(cloud.folder)
    after.upload(key, RED)
    assert [one["status"] for one in after.executions(key)] == ["SUCCEEDED"]
