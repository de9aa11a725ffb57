"""ClassifyBatch on a table, a queue and a bus in moto; what the three functions say is given."""

import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.support.sam_app import FOLDERS, function_environment, load_function

BUCKET, TABLE = "photos", "results"
EXECUTION = "arn:aws:states:us-east-1:111122223333:express:scones-classify-batch/Batches:1:2"


class Clock:
    """A Lambda context with so much time left."""

    def __init__(self, seconds: float = 15.4) -> None:
        self.seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        """Return what is left; less each time."""
        self.seconds -= 0.2
        return int(self.seconds * 1000)


@pytest.fixture
def function(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        boto3.client("dynamodb").create_table(
            TableName=TABLE,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[
                {"AttributeName": name, "AttributeType": "S"} for name in ("object_uri", "object_version")
            ],
            KeySchema=[
                {"AttributeName": "object_uri", "KeyType": "HASH"},
                {"AttributeName": "object_version", "KeyType": "RANGE"},
            ],
        )
        sqs = boto3.client("sqs")
        urls = {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in ("review", "heard")}
        events = boto3.client("events")
        events.put_rule(Name="heard", EventPattern=json.dumps({"source": ["scones.vehicle-classification"]}))
        arn = "arn:aws:sqs:us-east-1:123456789012:heard"
        events.put_targets(Rule="heard", Targets=[{"Id": "queue", "Arn": arn}])
        environment = {name: v for folder in FOLDERS for name, v in function_environment(folder).items()}
        environment |= {"RESULTS_TABLE": TABLE, "REVIEW_QUEUE_URL": urls["review"], "EVENT_BUS": "default"}
        environment |= {"PHOTOS_AT_A_TIME": "2", "RESULT_RETENTION_DAYS": "7"}
        loaded = load_function("classify_batch", environment)
        loaded.urls = urls
        yield loaded


def say(function: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any]) -> list[str]:
    """Let the pipeline say of each key an outcome or an error's name; return the keys it is asked for."""
    asked: list[str] = []

    def classify(_bucket: str, key: str, _version: str, _seconds: Any) -> Any:
        asked.append(key)
        said = answers[key]
        if said in {"ACCEPTED", "LOW_CONFIDENCE"}:
            return function.pipeline.Result(said, "bicycle", 0.9, "m1")
        if said == "REJECTED":
            return function.pipeline.Result(said, error="UnsupportedImage", cause="no image")
        return function.pipeline.Temporary(said, "why")

    monkeypatch.setattr(function.app, "PIPELINE", SimpleNamespace(classify=classify))
    return asked


def invoke(
    function: SimpleNamespace, *keys: str, execution: str = EXECUTION, **common: Any
) -> list[dict[str, Any]]:
    event = {
        "Items": [{"key": key, "version_id": "v1"} for key in keys],
        "BatchInput": {"bucket": BUCKET, **common},
        "execution_arn": execution,
        "started_at": "2026-11-27T00:00:00.000Z",
    }
    lines: list[dict[str, Any]] = function.app.lambda_handler(event, Clock())
    return lines


def records() -> dict[str, dict[str, Any]]:
    items = boto3.client("dynamodb").scan(TableName=TABLE)["Items"]
    return {item["object_uri"]["S"].rsplit("/", 1)[1]: item for item in items}


def bodies(url: str) -> list[Any]:
    found: list[Any] = []
    sqs = boto3.client("sqs")
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        found += [json.loads(message["Body"]) for message in messages]
    return found


def test_each_photo_is_recorded_announced_and_a_line(
    function: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = [f"{number}.jpg" for number in range(24)]
    answers = {key: ("ACCEPTED", "LOW_CONFIDENCE", "REJECTED")[n % 3] for n, key in enumerate(keys)}
    say(function, monkeypatch, answers)

    lines = invoke(function, *keys)

    assert [line["s3_key"] for line in lines] == keys
    assert {line["s3_key"]: line["outcome"] for line in lines} == answers
    assert not any(line["already_recorded"] for line in lines)
    found = records()
    assert {key: item["outcome"]["S"] for key, item in found.items()} == answers
    assert not any("undelivered" in item for item in found.values())
    week = time.time() + 7 * 86_400
    assert all(abs(int(item["expires_at"]["N"]) - week) < 60 for item in found.values())
    events = [body["detail"] for body in bodies(function.urls["heard"])]
    assert {one["object_uri"].rsplit("/", 1)[1]: one["outcome"] for one in events} == answers
    assert len(events) == 24
    assert [one["outcome"] for one in bodies(function.urls["review"])] == ["LOW_CONFIDENCE"] * 8


def test_what_has_an_outcome_is_left_alone(
    function: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = say(function, monkeypatch, {"a.jpg": "ACCEPTED", "b.jpg": "REJECTED"})
    invoke(function, "a.jpg")

    lines = invoke(function, "a.jpg", "b.jpg", "b.jpg", execution="arn:another")

    assert asked == ["a.jpg", "b.jpg"]
    assert [(line["s3_key"], line["outcome"], line["already_recorded"]) for line in lines] == [
        ("a.jpg", "ACCEPTED", True),
        ("b.jpg", "REJECTED", False),
    ]
    assert len(bodies(function.urls["heard"])) == 2


def test_a_reclassification_replaces_all_but_a_persons_decision(
    function: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(function, monkeypatch, {"a.jpg": "ACCEPTED", "b.jpg": "ACCEPTED"})
    invoke(function, "a.jpg", "b.jpg")
    item = records()["b.jpg"] | {"decided_by": {"S": "ada"}}
    boto3.client("dynamodb").put_item(TableName=TABLE, Item=item)
    asked = say(function, monkeypatch, {"a.jpg": "REJECTED", "b.jpg": "REJECTED"})

    lines = invoke(function, "a.jpg", "b.jpg", execution="arn:another", reclassify=True)

    assert asked == ["a.jpg"]
    assert [line["outcome"] for line in lines] == ["REJECTED", "ACCEPTED"]


def test_a_better_record_of_another_execution_stays(
    function: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be written while this batch classifies the photo."""
    say(function, monkeypatch, {"a.jpg": "ACCEPTED"})
    classify = function.app.PIPELINE.classify

    def meanwhile(*_: Any) -> Any:
        monkeypatch.setattr(function.app, "PIPELINE", SimpleNamespace(classify=classify))
        invoke(function, "a.jpg", execution="arn:another")
        return function.pipeline.Result("REJECTED", error="ObjectNotFound", cause="gone")

    monkeypatch.setattr(function.app, "PIPELINE", SimpleNamespace(classify=meanwhile))
    (line,) = invoke(function, "a.jpg")
    assert (line["outcome"], line["already_recorded"]) == ("ACCEPTED", True)
    assert len(bodies(function.urls["heard"])) == 1


def test_a_failed_record_is_done_again(function: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = {
        "object_uri": {"S": f"s3://{BUCKET}/a.jpg"},
        "object_version": {"S": "v1"},
        "outcome": {"S": "FAILED"},
        "outcome_rank": {"N": "1"},
    }
    boto3.client("dynamodb").put_item(TableName=TABLE, Item=failed)
    say(function, monkeypatch, {"a.jpg": "ACCEPTED"})
    assert [line["outcome"] for line in invoke(function, "a.jpg")] == ["ACCEPTED"]


def test_photos_that_a_service_failed_have_no_outcome_and_the_rest_is_kept(
    function: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(function, monkeypatch, {"a.jpg": "ACCEPTED", "b.jpg": "EndpointBusy"})
    with pytest.raises(function.errors.BatchIncomplete, match=r"1 of 2 photos .*b\.jpg: EndpointBusy: why"):
        invoke(function, "a.jpg", "b.jpg")
    assert set(records()) == {"a.jpg"}
    assert len(bodies(function.urls["heard"])) == 1

    asked = say(function, monkeypatch, {"a.jpg": "ACCEPTED", "b.jpg": "ACCEPTED"})
    assert [line["outcome"] for line in invoke(function, "a.jpg", "b.jpg")] == ["ACCEPTED", "ACCEPTED"]
    assert asked == ["b.jpg"], "a repetition does what is left"
    assert len(bodies(function.urls["heard"])) == 1


def test_what_could_not_be_announced_is_announced_by_the_repetition(
    function: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(function, monkeypatch, {"a.jpg": "LOW_CONFIDENCE"})
    refused = {"FailedEntryCount": 1, "Entries": [{"ErrorCode": "ThrottlingException"}]}
    with monkeypatch.context() as patch:
        patch.setattr(function.app.ANNOUNCEMENTS._events, "put_events", lambda **_: refused)  # noqa: SLF001
        with pytest.raises(function.errors.BatchIncomplete, match="not announced: EventBridge"):
            invoke(function, "a.jpg")
    assert "undelivered" in records()["a.jpg"], "redrive --missing finds it if nobody repeats the batch"

    invoke(function, "a.jpg")
    assert "undelivered" not in records()["a.jpg"]
    assert len(bodies(function.urls["heard"])) == 1


def test_a_quiet_backfill_announces_nothing(
    function: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(function, monkeypatch, {"a.jpg": "LOW_CONFIDENCE"})
    invoke(function, "a.jpg", announce=False)
    assert "undelivered" not in records()["a.jpg"]
    assert bodies(function.urls["heard"]) == bodies(function.urls["review"]) == []


def test_transient_errors_are_tried_again_while_there_is_time(function: SimpleNamespace) -> None:
    tries = iter(
        [type("EndpointBusy", (Exception,), {})("busy"), type("StorageUnavailable", (Exception,), {})("s3")]
    )

    def serialize(event: Any, _context: object) -> Any:
        error = next(tries, None)
        if error:
            raise error
        return event

    def classified(event: Any, _context: object) -> Any:
        return event | {"model_version": None, "label": "bicycle", "confidence": 1.0}

    pipeline = function.pipeline.Pipeline(serialize, classified, classified)
    assert pipeline.classify(BUCKET, "a.jpg", "v1", lambda: 10.0).outcome == "ACCEPTED"


def test_an_error_that_stays_is_told_when_the_time_is_over(function: SimpleNamespace) -> None:
    def serialize(_event: Any, _context: object) -> Any:
        raise type("StorageUnavailable", (Exception,), {})("s3")

    pipeline = function.pipeline.Pipeline(serialize, serialize, serialize)
    left = pipeline.classify(BUCKET, "a.jpg", "v1", lambda: 0.1)
    assert (left.error, left.cause) == ("StorageUnavailable", "s3")


@pytest.mark.parametrize(
    "name", ["RESULTS_TABLE", "REVIEW_QUEUE_URL", "EVENT_BUS", "PHOTOS_AT_A_TIME", "RESULT_RETENTION_DAYS"]
)
def test_a_missing_variable_is_named(name: str, function: SimpleNamespace) -> None:
    good = {
        "RESULTS_TABLE": "t",
        "REVIEW_QUEUE_URL": "u",
        "EVENT_BUS": "b",
        "CONFIDENCE_THRESHOLD": "0.85",
        "PHOTOS_AT_A_TIME": "4",
        "RESULT_RETENTION_DAYS": "0",
    }
    assert function.settings.Settings.from_environment(good).photos_at_a_time == 4
    with pytest.raises(ValueError, match=name):
        function.settings.Settings.from_environment({**good, name: ""})


def test_photos_are_decoded_one_after_the_other(
    function: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    running: list[str] = []
    most: list[int] = []

    class App:
        """Stands for each of the three functions."""

        class imaging:  # noqa: N801 - a module's name
            @staticmethod
            def shrink(key: str) -> str:
                running.append(key)
                most.append(len(running))
                time.sleep(0.02)
                running.remove(key)
                return key

        @classmethod
        def lambda_handler(cls, given: dict[str, Any], _context: object) -> dict[str, Any]:
            if "s3_key" in given:
                cls.imaging.shrink(given["s3_key"])
            return {"model_version": "m1", "label": "bicycle", "confidence": 0.9}

    monkeypatch.setattr(function.pipeline, "_imported", lambda _folder: App)
    pipeline = function.pipeline.Pipeline.load()
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda key: pipeline.classify(BUCKET, key, "v1", lambda: 0.0), "abcdefgh"))
    assert {result.outcome for result in results} == {"ACCEPTED"}
    assert (len(most), max(most)) == (8, 1)
