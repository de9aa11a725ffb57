"""A results table of any size, its records computed as they are asked for, behind boto3; counts requests."""

import bisect
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import boto3
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from operations.results import SAMPLE, timestamp
from operations.stack import Stack
from tests.support.aws_stack import BUCKET

PERIOD: Final = timedelta(days=30)
SHARES: Final = {
    "ACCEPTED": 0.764,
    SAMPLE: 0.01,
    "LOW_CONFIDENCE": 0.05,
    "REJECTED": 0.05,
    "FAILED": 0.01,
    "ACCEPTED#LOW_CONFIDENCE": 0.1,
    "REJECTED#LOW_CONFIDENCE": 0.01,
    "ACCEPTED#ACCEPTED": 0.005,
    "REJECTED#ACCEPTED": 0.001,
}
A_PAGE: Final = 1_600  # records of 650 bytes in 1 MB


class ManyRecords:
    """Partitions of the index, each with its share of the records, evenly over the last 30 days."""

    def __init__(self, stack: Stack, count: int, shares: Mapping[str, float] = SHARES) -> None:
        self.requests = 0
        self._now = datetime.now(UTC)
        self._sizes = {name: round(share * count) for name, share in shares.items()}
        session = boto3.Session()
        session.events.register_first("before-send", self._count)
        session.events.register_first("before-send.dynamodb.*", self._answer)  # type: ignore[arg-type]
        self.stack = replace(stack, session=session)

    def _count(self, **_: Any) -> None:
        self.requests += 1

    def _answer(self, request: Any, **_: Any) -> AWSResponse:
        operation = request.headers["X-Amz-Target"].decode().split(".")[1]
        asked = json.loads(request.body)
        if operation == "UpdateItem":  # a hold
            name, number = asked["Key"]["object_uri"]["S"].split("/")[-2], asked["Key"]["object_version"]["S"]
            answer = {"Attributes": self._item(name, int(number))}
        else:
            answer = self._query(asked)
        body = json.dumps(answer).encode()
        return AWSResponse(request.url, 200, HTTPHeaders(), _Raw(body))

    def _query(self, asked: dict[str, Any]) -> dict[str, Any]:
        values = asked["ExpressionAttributeValues"]
        name, since = values[":outcome_day"]["S"], values[":recorded_at"]["S"]
        size, limit = self._sizes.get(name, 0), min(asked.get("Limit", A_PAGE), A_PAGE)
        first = bisect.bisect_left(range(size), since, key=lambda number: self._time(name, number))
        numbers = range(first, size)[:: 1 if asked.get("ScanIndexForward", True) else -1]
        if start := asked.get("ExclusiveStartKey"):
            numbers = numbers[numbers.index(int(start["object_version"]["S"])) + 1 :]
        page = numbers[:limit]
        matched = (
            [] if "FilterExpression" in asked and name.startswith("ACCEPTED") else page
        )  # all were right
        answer: dict[str, Any] = {"Count": len(matched), "ScannedCount": len(page)}
        if asked.get("Select") != "COUNT":
            answer["Items"] = [self._item(name, number) for number in matched]
        if len(page) == limit and page:
            answer["LastEvaluatedKey"] = {"object_version": {"S": str(page[-1])}}
        return answer

    def _time(self, name: str, number: int) -> str:
        return timestamp(self._now - PERIOD + PERIOD * ((number + 0.5) / self._sizes[name]))

    def _item(self, name: str, number: int) -> dict[str, Any]:
        outcome, time = name.partition("#")[0], self._time(name, number)
        texts = {
            "object_uri": f"s3://{BUCKET}/incoming/{name}/{number}.jpg",
            "object_version": str(number),
            "outcome": outcome,
            "outcome_day": name,
            "label": "bicycle",
            "execution_arn": f"arn:aws:states:eu-west-1:123456789012:execution:scones:{number}",
            "started_at": time,
            "recorded_at": time,
        }
        numbers = {"confidence": "0.97", "threshold": "0.85"}
        return {k: {"S": v} for k, v in texts.items()} | {k: {"N": v} for k, v in numbers.items()}


class _Raw:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self) -> Any:
        yield self._body
