"""What `down` keeps for the next `up`, and a model of other classes on a stack that exists."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud.environment import Addresses
from localcloud.state import Running, StateFolder
from operations.photos.labelled import file_name
from tests.e2e.conftest import scones
from tests.support.local_cloud import LocalCloud, localcloud, wait_until
from tests.support.tiny_model import write_model, write_photo

ROLE = "arn:aws:iam::000000000000:role/local-sagemaker"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Path]:
    """Return a state folder; what runs in it is stopped in the end."""
    yield tmp_path / "state"
    localcloud("down", "--state", tmp_path / "state")


def succeeded(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def up(state: Path, model: Path | None = None) -> Running:
    succeeded(localcloud("up", "--state", state, *(("--model", model) if model else ())))
    return LocalCloud.of(state).running


def send(state: Path, folder: Path) -> dict[str, tuple[str, str | None]]:
    """Send a folder; return outcome and label of each file."""
    *photos, last = map(json.loads, succeeded(scones(state, "send", "--json", folder)).stdout.splitlines())
    assert last["summary"]["photos"] == len(photos)
    return {photo["file"]: (photo["outcome"], photo["label"]) for photo in photos}


def change_the_model_and_back(state: Path, model: Path, folder: Path) -> None:
    """Deploy a model and roll back: the stack's labels follow in one step, and each photo has its model."""
    given = ("--role-arn", ROLE, "--bucket", "scones-models", "--image", "own")
    for command, labels, label in (
        (("deploy", "--model", model, *given), "bicycle,motorcycle", "bicycle"),
        (("rollback",), "red,green,blue", "red"),
    ):
        changed = succeeded(scones(state, "model", *command, "--yes"))
        assert f"stack scones: ClassLabels is {labels}" in changed.stdout
        write_photo(folder / label / "red.png", "red")
        assert send(state, folder / label) == {"red.png": ("ACCEPTED", label)}
    models = json.loads(scones(state, "model", "list", "--json").stdout)
    assert [one["photos"]["answered"] for one in models] == [1, 2]
    assert [one["serving"] for one in models] == [False, True]


def is_killed(state: Path, running: Running) -> None:
    """Kill a local cloud and start it again: it reports that, and the photo that has no outcome."""
    os.kill(running.pids["ministack"], signal.SIGKILL)
    wait_until(lambda: StateFolder(state).supervisor() is None)
    (state / "data" / "s3" / "000000000000" / "scones-photos" / "incoming" / "lost.png").write_bytes(b"x")
    done = succeeded(localcloud("up", "--state", state))
    assert "was killed when it ended: photos and records are kept" in done.stderr
    assert "without an outcome: s3://scones-photos/incoming/lost.png" in done.stderr
    cloud = LocalCloud.of(state)
    assert [record["label"] for record in cloud.records("incoming/photos/red.png")] == ["bicycle"]


def moves_to_other_ports(state: Path) -> None:
    """Start a local cloud as if its last start had listened elsewhere, where something else listens now."""
    before = LocalCloud.of(state).running
    succeeded(localcloud("down", "--state", state))
    elsewhere = Addresses("127.0.0.1", "http://127.0.0.1:9", "http://127.0.0.1:10", "key")
    StateFolder(state).kept.move_to(elsewhere)
    after = up(state)
    assert after.stack["parameters"]["ClassLabels"] == "red,green,blue"
    assert (state / "kept-model" / "model.tar.gz").exists(), "the model that served last serves again"
    urls = [running.stack["outputs"]["ReviewQueueUrl"] for running in (before, after)]
    assert f":{after.aws_url.rpartition(':')[2]}/" in urls[1]
    assert urls[0].rpartition("/")[2] == urls[1].rpartition("/")[2]


def test_photos_results_stack_and_ports_outlive_a_stop(own: Path, model: Path, tmp_path: Path) -> None:
    first = up(own, model)
    for colour in ("red", "green"):
        write_photo(tmp_path / "photos" / f"{colour}.png", colour)
    assert send(own, tmp_path / "photos") == {
        "red.png": ("ACCEPTED", "bicycle"),
        "green.png": ("ACCEPTED", "motorcycle"),
    }
    stopped = localcloud("down", "--state", own)
    assert "kept for the next start" in stopped.stderr

    # It is started again with a model of other classes: all is where it was, and new photos get new labels
    colours = write_model(tmp_path / "colours", ["red", "green", "blue"])
    second = up(own, colours)
    assert (second.aws_url, second.sagemaker_url) == (first.aws_url, first.sagemaker_url)
    assert second.stack["outputs"]["ResultsTableName"] == first.stack["outputs"]["ResultsTableName"]
    assert second.stack["outputs"]["ClassLabels"] == "red,green,blue"
    cloud = LocalCloud(second, own)
    s3, bucket = cloud.client("s3"), cloud.outputs["PhotoBucketName"]
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert {item["Key"] for item in listed} == {"incoming/photos/green.png", "incoming/photos/red.png"}
    assert [record["label"] for record in cloud.records("incoming/photos/red.png")] == ["bicycle"]
    write_photo(tmp_path / "more" / "blue.png", "blue")
    assert send(own, tmp_path / "more") == {"blue.png": ("ACCEPTED", "blue")}
    (stored,) = s3.list_object_versions(Bucket=bucket, Prefix="incoming/more/")["Versions"]
    archives = s3.list_objects_v2(Bucket="scones-models", Prefix="models/")["Contents"]
    assert len(archives) == 1, "each start left an archive behind"

    # Another model and the one before bring their labels with them
    change_the_model_and_back(own, model, tmp_path)

    # A plain `up` keeps the model that serves, and its labels
    assert up(own).stack["outputs"]["ClassLabels"] == "red,green,blue"

    # One photo is forgotten wherever the stack has it, and what stays is named
    copy = file_name("s3://scones-photos/incoming/more/blue.png", stored["VersionId"])
    s3.put_object(Bucket=bucket, Key=f"labelled/no-label-any-more/{copy}", Body=b"blue")
    forgotten = succeeded(scones(own, "forget", "blue.png", "--yes", "--json"))
    deleted, last = map(json.loads, forgotten.stdout.splitlines())
    assert (deleted["versions"], deleted["labelled copies"], deleted["records"]) == (1, 1, 1)
    assert "image_data" in last["stays"][0]["what"]
    left = s3.list_object_versions(Bucket=bucket)["Versions"]
    assert {item["Key"] for item in left} == {
        *("incoming/photos/green.png", "incoming/photos/red.png"),
        *("incoming/bicycle/red.png", "incoming/red/red.png"),
    }

    # Photos, records and stack outlive a kill, and other ports
    is_killed(own, second)
    moves_to_other_ports(own)

    # And erased only if that is asked for
    succeeded(localcloud("down", "--erase", "--yes", "--state", own))
    assert not StateFolder(own).kept.folder.exists()
