"""`operations doctor` and `operations smoke` against a deployed stack, whole and broken."""

import json
import subprocess
import sys
from typing import Any

import pytest
from PIL import Image

from localcloud.environment import isolated_environment
from tests.e2e.conftest import ROOT
from tests.support.local_cloud import LocalCloud
from tests.support.tiny_model import COLOURS


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options that name a photo that the colour model accepts, and one that it does not."""
    folder = tmp_path_factory.mktemp("smoke")
    Image.new("RGB", (300, 200), COLOURS["red"]).save(folder / "red.jpg")
    between = tuple((a + b) // 2 for a, b in zip(COLOURS["red"], COLOURS["green"], strict=True))
    Image.new("RGB", (300, 200), between).save(folder / "between.jpg")
    return ["--accepted", str(folder / "red.jpg"), "--doubtful", str(folder / "between.jpg")]


def operations(cloud: LocalCloud, *arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Run a command with --json; return its exit code and its checks by name."""
    done = subprocess.run(
        [sys.executable, "-m", "operations", *arguments, "--json"],
        cwd=ROOT,
        env=isolated_environment(cloud.running),
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines, done.stderr
    assert "summary" in lines[-1]
    return done.returncode, {line["name"]: line for line in lines[:-1]}


def test_doctor_finds_nothing_wrong_with_a_deployed_stack(cloud: LocalCloud) -> None:
    code, checks = operations(cloud, "doctor")
    wrong = {name for name, check in checks.items() if check["status"] == "wrong"}
    assert wrong <= {"review queue"}, "tests before this one take messages of doubtful photos from the queue"
    assert code == len(wrong)
    for name in ("identity", "stack scones", "rules", "log resource policies"):
        assert checks[name]["status"] == "ok", checks[name]


def test_smoke_proves_a_deployed_stack_and_cleans_up(cloud: LocalCloud, photos: list[str]) -> None:
    code, checks = operations(cloud, "smoke", *photos)
    assert {name: check for name, check in checks.items() if check["status"] == "wrong"} == {}
    assert code == 0
    outcomes = {name.split(" ")[0] for name in checks} & {"ACCEPTED", "LOW_CONFIDENCE", "REJECTED", "FAILED"}
    assert len(outcomes) == 4
    assert {"review queue", "log", "trace", "missing object", "duplicate event", "5 photos at once"} <= set(
        checks
    )
    left = cloud.client("s3").list_object_versions(
        Bucket=cloud.outputs["PhotoBucketName"], Prefix="incoming/smoke/"
    )
    assert left.get("Versions", []) == []
