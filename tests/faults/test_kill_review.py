"""Every process of a local cloud is killed while a person decides: no decision is lost, all else is named."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from commandline.errors import CommandError
from localcloud import lifecycle
from localcloud.state import StateFolder
from operations.review.desk import Desk
from tests.e2e.test_e2e_workflow import BETWEEN
from tests.faults.balance import processes
from tests.support.local_cloud import LocalCloud, localcloud, wait_until

PHOTOS = {f"incoming/{number}.jpg" for number in range(30)}
PARTS = ("localcloud.desk", "sagemaker/worker.py", "localcloud.sagemaker", "localcloud.ministack", "")
"""Each at least once; the last is all of them, the supervisor too."""


def up(state: Path, *options: str | Path) -> tuple[LocalCloud, str]:
    """Start the local cloud; return it, and what it showed."""
    done = localcloud("up", "--state", state, *options)
    assert done.returncode == 0, done.stderr
    return LocalCloud.of(state), done.stderr


@pytest.fixture
def cloud(tmp_path: Path, model: Path) -> Iterator[LocalCloud]:
    """Start a local cloud with 30 photos that wait for a person."""
    cloud, _ = up(tmp_path / "state", "--model", model)
    for key in PHOTOS:
        cloud.upload(key, BETWEEN)
    wait_until(lambda: queued(cloud) == len(PHOTOS), seconds=120)
    yield cloud
    localcloud("down", "--state", tmp_path / "state")


def queued(cloud: LocalCloud) -> int:
    """Return how many photos are on the review queue, those that somebody has received included."""
    attributes = cloud.client("sqs").get_queue_attributes(
        QueueUrl=cloud.outputs["ReviewQueueUrl"], AttributeNames=["All"]
    )["Attributes"]
    return sum(int(attributes[f"ApproximateNumberOfMessages{more}"]) for more in ("", "NotVisible"))


def decide_and_kill(cloud: LocalCloud, part: str) -> set[str]:
    """Decide on five photos, as far as it goes, and kill a part after three; return those decided on."""
    desk = Desk(lifecycle.stack_of(StateFolder(cloud.folder), cloud.running), "ada", audit=0.0)
    decided: list[str] = []
    with contextlib.suppress(ClientError, BotoCoreError, CommandError):
        while len(decided) < 5:
            for photo in desk.waiting(5 - len(decided)):
                assert desk.decide(photo["id"], "bicycle") == ""
                decided.append(photo["key"])
                if len(decided) == 3:
                    for pid in processes(part, cloud.folder):
                        os.kill(pid, signal.SIGKILL)
        desk.close()
    return set(decided)


def test_no_decision_is_lost(cloud: LocalCloud) -> None:
    decided: set[str] = set()
    state = cloud.folder
    for part in PARTS:
        decided |= decide_and_kill(cloud, part)
        if part not in PARTS[:2]:  # those are started again by themselves
            wait_until(lambda: StateFolder(state).supervisor() is None)
            cloud, shown = up(state)
            assert ("was killed" in shown) == (part != "localcloud.sagemaker"), "then the others can save"
            assert "without an outcome" not in shown

    assert len(decided) >= 3 * len(PARTS)
    records = {key: record for key in PHOTOS for record in cloud.records(key)}
    by_ada = {key for key, record in records.items() if record.get("decided_by") == "ada"}
    assert decided <= by_ada, "one that was recorded and not answered is no loss"
    outcomes = {key: record["outcome"] for key, record in records.items()}
    assert outcomes == {key: "ACCEPTED" if key in by_ada else "LOW_CONFIDENCE" for key in PHOTOS}
    assert queued(cloud) >= len(PHOTOS - by_ada), "what is not decided waits for a person"
