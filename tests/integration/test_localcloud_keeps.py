"""What was answered outlives a kill of every process, and what cannot be kept is refused."""

import json
import os
import resource
import signal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from localcloud import lifecycle
from localcloud.access import LocalSession
from localcloud.state import StateFolder
from tests.support.local_cloud import LocalCloud, bare_cloud, wait_until

BUCKET, TABLE = "photos", "results"
kept_cloud = partial(bare_cloud, owned=False)


def deploy(cloud: LocalCloud) -> str:
    """Make a bucket, a table and a queue, and save them as `up` does; return the queue's URL."""
    cloud.client("s3").create_bucket(Bucket=BUCKET)
    cloud.client("s3").put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    cloud.client("dynamodb").create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "photo", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "photo", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    url = str(cloud.client("sqs").create_queue(QueueName="review")["QueueUrl"])
    lifecycle.save_state(cloud.running)
    state = cloud.folder / "data" / "state"
    wait_until(lambda: all((state / f"{one}.json").exists() for one in ("s3", "dynamodb", "sqs", "lambda")))
    return url


def kill_everything(cloud: LocalCloud) -> None:
    """Kill all processes at once, so that none has time to save."""
    for pid in cloud.running.pids.values():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: StateFolder(cloud.folder).supervisor() is None)


def records(cloud: LocalCloud) -> dict[str, Any]:
    return {item["photo"]["S"]: item for item in cloud.client("dynamodb").scan(TableName=TABLE)["Items"]}


def stored(cloud: LocalCloud) -> dict[str, bytes]:
    """Return the bodies of all versions of all objects, each of which has one."""
    s3 = cloud.client("s3")
    versions = s3.list_object_versions(Bucket=BUCKET)["Versions"]
    found = {
        one["Key"]: s3.get_object(Bucket=BUCKET, Key=one["Key"], VersionId=one["VersionId"])
        for one in versions
    }
    assert len(found) == len(versions)
    return {key: answer["Body"].read() for key, answer in found.items()}


def decide(cloud: LocalCloud, photo: str, label: str) -> None:
    cloud.client("dynamodb").update_item(
        TableName=TABLE,
        Key={"photo": {"S": photo}},
        UpdateExpression="SET label = :label",
        ExpressionAttributeValues={":label": {"S": label}},
    )


def test_what_was_answered_outlives_kills_of_every_process(tmp_path: Path) -> None:
    with kept_cloud(tmp_path) as cloud:
        url = deploy(cloud)
        for number in range(3):
            decide(cloud, f"{number}.jpg", "bicycle")
        cloud.client("s3").put_object(Bucket=BUCKET, Key="a.jpg", Body=b"photo")
        cloud.client("sqs").send_message(QueueUrl=url, MessageBody="look")
        messages = cloud.folder / "data" / "state" / "sqs.json"
        wait_until(lambda: '"look"' in messages.read_text())
        decide(cloud, "0.jpg", "motorcycle")
        cloud.client("dynamodb").delete_item(TableName=TABLE, Key={"photo": {"S": "1.jpg"}})
        kill_everything(cloud)

    with kept_cloud(tmp_path) as again:
        decide(again, "3.jpg", "bicycle")
        kill_everything(again)

    with kept_cloud(tmp_path) as third:
        labels = {photo: record["label"]["S"] for photo, record in records(third).items()}
        assert labels == {"0.jpg": "motorcycle", "2.jpg": "bicycle", "3.jpg": "bicycle"}
        assert third.client("s3").get_object(Bucket=BUCKET, Key="a.jpg")["Body"].read() == b"photo"
        found = third.client("sqs").receive_message(QueueUrl=url).get("Messages", [])
        assert [message["Body"] for message in found] == ["look"]

    folder = StateFolder(tmp_path)
    assert folder.kept.lost() == "", "it was stopped in the end"
    assert list((tmp_path / "data" / "journal").iterdir()) != []
    with kept_cloud(tmp_path) as last:
        assert len(records(last)) == 3


def test_a_clock_that_was_set_back_hides_nothing(tmp_path: Path) -> None:
    with kept_cloud(tmp_path) as cloud:
        url = deploy(cloud)
        cloud.client("sqs").send_message(QueueUrl=url, MessageBody="look")
        assert cloud.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
        decide(cloud, "0.jpg", "bicycle")
        cloud.client("s3").put_object(Bucket=BUCKET, Key="a.jpg", Body=b"photo")
    messages = tmp_path / "data" / "state" / "sqs.json"
    state = json.loads(messages.read_text())
    (queue,) = state["payload"]["queues"]["data"].values()
    (message,) = queue["messages"]
    for name in ("sent_at", "visible_at", "first_receive_at"):  # as if all had been 50 hours later
        message[name] += 50 * 3600
    messages.write_text(json.dumps(state))

    with kept_cloud(tmp_path) as again:
        found = again.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
        assert [message["Body"] for message in found] == ["look"]
        assert set(records(again)) == {"0.jpg"}
        assert stored(again) == {"a.jpg": b"photo"}


# In CI, which is Linux, a skipped test fails (tests/conftest.py).
@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="macOS limits no process that runs already")
def test_what_cannot_be_kept_is_refused_and_nothing_else_is_lost(tmp_path: Path) -> None:
    """No file of ministack may have more than 4,000 bytes, as on a full disk."""
    with kept_cloud(tmp_path) as full:
        deploy(full)
        full.client("s3").put_object(Bucket=BUCKET, Key="before.jpg", Body=b"before")
        decide(full, "before.jpg", "bicycle")
        _, most = resource.prlimit(full.running.pids["ministack"], resource.RLIMIT_FSIZE)
        resource.prlimit(full.running.pids["ministack"], resource.RLIMIT_FSIZE, (4000, most))
        session, once = LocalSession(full.running), Config(retries={"total_max_attempts": 1}, proxies={})
        s3, dynamodb = session.client("s3", config=once), session.client("dynamodb", config=once)

        with pytest.raises(ClientError, match=r"InsufficientStorage.*its disk is full"):
            s3.put_object(Bucket=BUCKET, Key="large.jpg", Body=b"x" * 5000)
        with pytest.raises(ClientError, match="InsufficientStorage"):
            s3.put_object(Bucket=BUCKET, Key="before.jpg", Body=b"x" * 5000)
        with pytest.raises(ClientError, match=r"InternalError|InternalServerError"):
            dynamodb.put_item(TableName=TABLE, Item={"photo": {"S": "x"}, "text": {"S": "x" * 5000}})

        s3.put_object(Bucket=BUCKET, Key="small.jpg", Body=b"small")
        expected = {"before.jpg": b"before", "small.jpg": b"small"}
        assert (stored(full), set(records(full))) == (expected, {"before.jpg"})
        kill_everything(full)
    with kept_cloud(tmp_path) as again:
        assert (stored(again), set(records(again))) == (expected, {"before.jpg"})
