"""`operations batch` on the deployed application: a bucket's photos in one execution, again, and stopped."""

from collections import Counter

import pytest

from commandline.aws import open_session
from operations.batch import Runs, under
from operations.stack import find_stack
from tests.e2e.conftest import report
from tests.e2e.test_e2e_workflow import BETWEEN, RED
from tests.support.local_cloud import Listener, LocalCloud, environment_of, wait_until

BODIES = {"ACCEPTED": RED, "LOW_CONFIDENCE": BETWEEN, "REJECTED": b"this is no photo"}


def upload(cloud: LocalCloud, prefix: str, count: int) -> dict[str, str]:
    """Upload photos of all kinds; return the outcomes they must have, by key."""
    kinds = ["ACCEPTED"] * 7 + ["LOW_CONFIDENCE", "REJECTED"]
    expected = {f"{prefix}{number:03}.jpg": kinds[number % len(kinds)] for number in range(count)}
    for key, outcome in expected.items():
        cloud.upload(key, BODIES[outcome])
    return expected


@pytest.mark.usefixtures("without_rule")
def test_a_prefix_is_classified_once(cloud: LocalCloud, published: Listener) -> None:
    expected = upload(cloud, "incoming/batch/", 60)
    reviews = Listener(cloud, cloud.outputs["ReviewQueueUrl"])
    reviews.messages()

    status, lines = report(cloud, "batch", "--prefix", "incoming/batch/", "--concurrency", "7")

    assert status == 0
    assert {line["s3_key"]: line["outcome"] for line in lines[:-1]} == expected
    summary, counts = lines[-1]["summary"], Counter(expected.values())
    assert {name: summary[name] for name in counts} == counts
    assert (summary["photos"], summary["classified"], summary["without_outcome"]) == (60, 60, 0)
    assert summary["labels"] == {"bicycle": counts["ACCEPTED"]}
    for key, outcome in expected.items():
        (record,) = cloud.records(key)
        assert record["outcome"] == outcome
        assert "undelivered" not in record
    told = Counter(one["detail"]["object_uri"] for one in published.messages())
    head = f"s3://{cloud.outputs['PhotoBucketName']}/"
    assert {told[head + key] for key in expected} == {1}
    mine = Counter(one["object_uri"] for one in reviews.messages() if "/batch/" in one["object_uri"])
    assert mine == {head + key: 1 for key, outcome in expected.items() if outcome == "LOW_CONFIDENCE"}

    status, lines = report(cloud, "batch", "--prefix", "incoming/batch/")
    assert (status, lines) == (0, [{"summary": {"photos": 0}}])


@pytest.mark.usefixtures("without_rule")
def test_a_run_that_is_stopped_is_continued_by_the_next(cloud: LocalCloud, published: Listener) -> None:
    prefix = "incoming/stopped/"
    expected = upload(cloud, prefix, 60)
    with environment_of(cloud.running):
        stack = find_stack("scones", open_session())
        runs = Runs(stack)
        run = runs.start(under(stack, prefix).photos(), at_a_time=3)
        assert run
        wait_until(lambda: any(cloud.records(key) for key in expected))
        runs.stop(run)
        assert runs.problem(run).startswith("ABORTED")

    status, lines = report(cloud, "batch", "--prefix", prefix)

    assert status == 0
    assert lines[-1]["summary"]["without_outcome"] == 0
    assert {key: record["outcome"] for key in expected for record in cloud.records(key)} == expected
    told = Counter(one["detail"]["object_uri"] for one in published.messages())
    head = f"s3://{cloud.outputs['PhotoBucketName']}/"
    assert {told[head + key] for key in expected} == {1}
