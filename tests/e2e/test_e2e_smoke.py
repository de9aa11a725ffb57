"""`scones doctor`, `smoke` and `load` against a deployed stack."""

from pathlib import Path
from typing import Any

from tests.e2e.conftest import report
from tests.e2e.test_e2e_workflow import BETWEEN, RED
from tests.support.local_cloud import LocalCloud


def checked(cloud: LocalCloud, *arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Run a command; return its exit code and its checks by name."""
    code, lines = report(cloud, *arguments)
    assert "summary" in lines[-1]
    return code, {line["name"]: line for line in lines[:-1]}


def waiting(cloud: LocalCloud) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    url = cloud.outputs["ReviewQueueUrl"]
    counted = cloud.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(counted[name]) for name in names)


def test_doctor_finds_nothing_wrong_with_a_deployed_stack(cloud: LocalCloud) -> None:
    code, checks = checked(cloud, "doctor")
    wrong = {name for name, check in checks.items() if check["status"] == "wrong"}
    assert wrong <= {"review queue"}, "tests before this one take messages of doubtful photos from the queue"
    assert code == len(wrong)
    shown = ("identity", "stack scones", "rules", "log resource policies", "event patterns", "role policies")
    assert {name: checks[name]["status"] for name in shown} == dict.fromkeys(shown, "ok")


def test_smoke_proves_a_deployed_stack_and_cleans_up(cloud: LocalCloud, tmp_path: Path) -> None:
    for name, body in (("red.jpg", RED), ("between.jpg", BETWEEN)):
        (tmp_path / name).write_bytes(body)
    photos = ("--accepted", f"{tmp_path}/red.jpg", "--doubtful", f"{tmp_path}/between.jpg")
    before = waiting(cloud)
    code, checks = checked(cloud, "smoke", *photos)
    assert waiting(cloud) == before, "nobody reviews a test's photos"
    assert {name: check for name, check in checks.items() if check["status"] == "wrong"} == {}
    assert code == 0
    outcomes = {name.split(" ")[0] for name in checks} & {"ACCEPTED", "LOW_CONFIDENCE", "REJECTED", "FAILED"}
    assert len(outcomes) == 4
    others = {"review queue", "log", "trace", "missing object", "duplicate event", "5 photos at once"}
    assert others <= set(checks)
    left = cloud.client("s3").list_object_versions(
        Bucket=cloud.outputs["PhotoBucketName"], Prefix="incoming/smoke/"
    )
    assert left.get("Versions", []) == []


def test_every_version_under_load_has_exactly_one_outcome(cloud: LocalCloud) -> None:
    mix = "good=.3,doubtful=.1,broken=.2,duplicate=.2,overwritten=.2"
    code, lines = report(cloud, "load", "--rate", "4", "--duration", "6", "--burst", "10", "--mix", mix)
    summary = lines[-1]["summary"]
    assert (code, summary["lost"], summary["duplicates"]) == (0, 0, 0), lines
    assert summary["sent"] > 24, "overwritten photos are two versions"
    assert sum(summary["outcomes"].values()) == summary["sent"]
    assert summary["outcomes"]["FAILED"] == 0
    assert 0 < summary["p50_s"] <= summary["p95_s"] <= summary["p99_s"] <= summary["max_s"]
