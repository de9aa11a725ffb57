"""The commands as a user runs them: `demo` on a folder of odd files, `send`, and a Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from localcloud.environment import ROOT
from model_build.data.samples import png_claiming
from tests.support.local_cloud import LocalCloud, localcloud, processes_about, wait_until
from tests.support.tiny_model import COLOURS

RED, GREEN = COLOURS["red"], COLOURS["green"]
AWKWARD = ["two words.jpg", "a+b.jpg", "100%41.jpg", 'it\'s "so".jpg', "Fahrräder-自転車.jpg"]
AWKWARD += ["sub/dir/red.jpg", "$.{%x%}.jpg"]


def write_odd_photos(folder: Path) -> dict[str, tuple[str, ...]]:
    """Write every kind of file that turned up as a photo; returns the outcomes that each may have."""
    folder.mkdir()
    red = Image.new("RGB", (300, 200), RED)
    phone = Image.fromarray(np.full((3000, 4000, 3), GREEN, dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    phone.save(folder / "phone.jpg", exif=exif)
    red.convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(np.full((64, 64), 40_000, dtype=np.uint16)).save(folder / "deep.png")
    red.quantize(8).save(folder / "palette.png", transparency=0)
    red.convert("L").save(folder / "grey.jpg")
    red.save(folder / "animated.gif", save_all=True, append_images=[Image.new("RGB", (300, 200), GREEN)])
    red.save(folder / "photo.webp", lossless=True)
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.png").write_text("not a picture")
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (400, 400, 3), dtype=np.uint8))
    noise.save(folder / "truncated.jpg")
    os.truncate(folder / "truncated.jpg", 5000)
    (folder / "huge.png").write_bytes(png_claiming(50_000, 50_000))
    for name in AWKWARD:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        red.save(folder / name)
    odd = ("phone.jpg", "cmyk.jpg", "photo.webp", "animated.gif", "deep.png", "palette.png", "grey.jpg")
    return {
        **dict.fromkeys(AWKWARD, ("ACCEPTED",)),
        **dict.fromkeys(odd, ("ACCEPTED", "LOW_CONFIDENCE")),
        **dict.fromkeys(("empty.jpg", "text.png", "truncated.jpg", "huge.png"), ("REJECTED",)),
    }


def test_demo_gives_every_file_one_outcome_and_leaves_nothing_running(
    tmp_path: Path, model: Path, cloud: LocalCloud, offline: list[str]
) -> None:
    """Without a network: the wheels that `sam build` needs are kept by the build of the running cloud."""
    assert cloud.running.pids
    expected = write_odd_photos(tmp_path / "photos")

    done = localcloud(
        *("demo", "--json", "--photos", tmp_path / "photos"),
        *("--state", tmp_path / "state", "--model", model),
        prefix=offline,
    )

    assert done.returncode == 0, done.stderr
    *photos, last = map(json.loads, done.stdout.splitlines())
    summary = last["summary"]
    assert sorted(photo["file"] for photo in photos) == sorted(expected)
    for photo in photos:
        assert photo["outcome"] in expected[photo["file"]], photo
        assert photo["s3_key"] == f"incoming/{photo['file']}"
        assert (photo["error"] is None) == (photo["outcome"] == "ACCEPTED"), photo
        assert photo["seconds"] > 0
    counted = {name: summary[name] for name in ("ACCEPTED", "LOW_CONFIDENCE", "REJECTED", "FAILED")}
    assert summary["photos"] == len(expected) == sum(counted.values())
    assert (counted["REJECTED"], counted["FAILED"]) == (4, 0)
    wait_until(lambda: not processes_about(tmp_path / "state"), seconds=5)
    assert not (tmp_path / "state" / "state.json").exists()


def test_status_and_env_file_lead_to_the_running_cloud(state: Path, cloud: LocalCloud) -> None:
    told = json.loads(localcloud("status", "--json", "--state", state).stdout)
    assert told["running"]
    assert told["stack"]["outputs"] == cloud.outputs
    listed = subprocess.run(
        ["sh", "-c", f'. "{told["env_file"]}" && aws s3 ls'],
        env={"PATH": os.environ["PATH"], "AWS_PROFILE": "my-real-account"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert cloud.outputs["PhotoBucketName"] in listed.stdout


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("demo", "runs already"),
        ("up --bind 127.0.0.2", "listens on 127.0.0.1: stop it first (make down) to have one on 127.0.0.2"),
    ],
)
def test_a_second_cloud_with_the_same_state_is_refused(state: Path, command: str, told: str) -> None:
    done = localcloud(*command.split(), "--state", state)
    assert done.returncode == 2
    assert told in done.stderr


@pytest.mark.parametrize(("number", "step"), [(signal.SIGINT, "sam-deploy"), (signal.SIGTERM, "sam-build")])
def test_an_interrupt_leaves_nothing_behind(
    tmp_path: Path, model: Path, number: signal.Signals, step: str
) -> None:
    state = tmp_path / "state"
    demo = subprocess.Popen(
        [sys.executable, "-m", "localcloud", "demo", "--state", str(state), "--model", str(model)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until((state / "logs" / f"{step}.log").exists)
    demo.send_signal(number)
    assert demo.wait(timeout=30) == 130
    wait_until(lambda: not processes_about(state), seconds=5)
    assert not (state / "state.json").exists()
