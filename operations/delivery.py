"""Delivery of recorded outcomes: the event, the review message, and what the workflow could not deliver.

The workflow records an outcome first and delivers it then. If delivery fails for longer than its patience, it
notes in the record what is missing (`undelivered`: `event`, or `review,event`) and ends; if it is stopped in
between, the record has no such note and the execution's history says how far it came. `Delivery` finds both.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from boto3.dynamodb.types import TypeDeserializer
from botocore.exceptions import ClientError

from commandline.errors import CommandError
from operations.photos.listener import DETAIL_TYPE, SOURCE
from operations.photos.steps import steps_of
from operations.results import Record
from operations.stack import Stack

REVIEW: Final = "review"
EVENT: Final = "event"
_OF_DECISIONS: Final = ("decided_by", "decided_at", "model_label")
_deserialize: Final = TypeDeserializer().deserialize


class NotPublishedError(CommandError):
    """EventBridge refused an event."""


@dataclass(frozen=True)
class Undelivered:
    """A recorded outcome that nobody was told of.

    Attributes:
        item: the record's item as DynamoDB's API has it.
        parts: what is missing, in the order of delivery: of `REVIEW`, `EVENT`.
    """

    item: Mapping[str, Any]
    parts: tuple[str, ...]

    @property
    def object_uri(self) -> str:
        """`s3://bucket/key` of the photo."""
        return str(self.item["object_uri"]["S"])

    @property
    def outcome(self) -> str:
        """The recorded outcome."""
        return str(self.item["outcome"]["S"])


class Delivery:
    """Delivers what the records of a deployed stack say.

    Args:
        stack: the deployed stack.
    """

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._events = stack.client("events")
        self._dynamodb = stack.client("dynamodb")
        self._table = stack.output("ResultsTableName")

    def publish(self, item: Mapping[str, Any], *, undone: bool = False) -> None:
        """Publish what a record says, as the workflow does; `reviewed` tells people's decisions apart.

        Args:
            item: as DynamoDB's API has it.
            undone: whether a decision was taken back: the event says `"reviewed": false`.

        Raises:
            NotPublishedError: EventBridge refuses it.
        """
        reviewed = {"reviewed": not undone} if undone or "decided_by" in item else {}
        detail = json.dumps({**facts(item), **reviewed})
        entry = {"Source": SOURCE, "DetailType": DETAIL_TYPE, "Detail": detail}
        answer = self._events.put_events(Entries=[entry])
        if answer["FailedEntryCount"]:
            raise NotPublishedError(answer["Entries"][0].get("ErrorMessage", "EventBridge refused the event"))

    def undelivered(self, since: datetime) -> Iterator[Undelivered]:
        """Yield the recorded outcomes that were not delivered.

        Args:
            since: executions that were stopped before are not looked at.
        """
        request = {"TableName": self._table, "FilterExpression": "attribute_exists(undelivered)"}
        for page in self._dynamodb.get_paginator("scan").paginate(**request):
            for item in page["Items"]:
                yield Undelivered(item, tuple(item["undelivered"]["S"].split(",")))
        for execution in self._stopped(since):
            yield from self._left_by(execution)

    def _stopped(self, since: datetime) -> Iterator[Mapping[str, Any]]:
        """Yield the executions that were stopped or timed out; EXPRESS keeps none."""
        workflow, machine = (
            self._stack.client("stepfunctions"),
            self._stack.output("ClassifyImageStateMachineArn"),
        )
        if workflow.describe_state_machine(stateMachineArn=machine)["type"] == "EXPRESS":
            return
        pages = workflow.get_paginator("list_executions")
        for status in ("ABORTED", "TIMED_OUT"):
            for page in pages.paginate(stateMachineArn=machine, statusFilter=status):
                for one in page["executions"]:
                    if one["stopDate"] >= since:
                        yield workflow.describe_execution(executionArn=one["executionArn"])

    def _left_by(self, execution: Mapping[str, Any]) -> Iterator[Undelivered]:
        """Yield the record that a stopped execution has written and not delivered."""
        uri, arn = _photo(json.loads(execution["input"])), execution["executionArn"]
        request = {
            "TableName": self._table,
            "KeyConditionExpression": "object_uri = :uri",
            "FilterExpression": "execution_arn = :execution AND attribute_not_exists(redelivered_at) "
            "AND attribute_not_exists(decided_by) AND attribute_not_exists(undelivered)",
            "ExpressionAttributeValues": {":uri": {"S": uri}, ":execution": {"S": arn}},
        }
        for page in self._dynamodb.get_paginator("query").paginate(**request):
            for item in page["Items"]:
                done = {step.name for step in steps_of(self._stack, arn) if step.succeeded}
                parts = missing_parts(item["outcome"]["S"], done)
                if parts:
                    yield Undelivered(item, parts)

    def deliver(self, one: Undelivered) -> None:
        """Deliver what is missing of an outcome, and note in the record that it was.

        Raises:
            NotPublishedError: EventBridge refuses the event; the record says that it is missing.
        """
        if REVIEW in one.parts:
            self._stack.client("sqs").send_message(
                QueueUrl=self._stack.output("ReviewQueueUrl"), MessageBody=json.dumps(facts(one.item))
            )
            self._note(one, "SET undelivered = :value", EVENT)
        self.publish(one.item)
        self._note(one, "SET redelivered_at = :value REMOVE undelivered", datetime.now(UTC).isoformat())

    def delivered(self, item: Mapping[str, Any]) -> None:
        """Remove the note from a record that its event is missing."""
        self._update(item, "REMOVE undelivered", {})

    def _note(self, one: Undelivered, update: str, value: str) -> None:
        self._update(one.item, update, {":value": {"S": value}})

    def _update(self, item: Mapping[str, Any], update: str, values: Mapping[str, Any]) -> None:
        """Change the record, unless it is another execution's by now."""
        try:
            self._dynamodb.update_item(
                TableName=self._table,
                Key={name: item[name] for name in ("object_uri", "object_version")},
                UpdateExpression=update,
                ConditionExpression="execution_arn = :execution",
                ExpressionAttributeValues={":execution": item["execution_arn"], **values},
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise


def missing_parts(outcome: str, done: set[str]) -> tuple[str, ...]:
    """Return what an execution that was stopped has not delivered of the outcome that it recorded.

    A call that was under way when the execution was stopped may have been carried out; it is made again,
    since hearing twice is better than never.

    Args:
        outcome: the recorded outcome.
        done: names of the states whose tasks have succeeded (statemachine/classify_image.asl.json).
    """
    wanted = {"RequestReview": REVIEW, "PublishOutcome": EVENT}
    if outcome != "LOW_CONFIDENCE":
        del wanted["RequestReview"]
    return tuple(part for state, part in wanted.items() if state not in done)


def facts(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is published of a record: its attributes, null where missing.

    Args:
        item: as DynamoDB's API has it.
    """
    names = [name for name in Record.__dataclass_fields__ if name in item or name not in _OF_DECISIONS]
    return {name: _plain(_deserialize(item[name])) if name in item else None for name in names}


def _plain(value: Any) -> Any:
    return value if isinstance(value, str) else float(value)


def _photo(start: Mapping[str, Any]) -> str:
    """Return the URI of the photo that an execution's input names; empty if it names none."""
    detail = start.get("detail")
    if isinstance(detail, dict) and "object" in detail:
        return f"s3://{detail.get('bucket', {}).get('name')}/{detail['object'].get('key')}"
    return f"s3://{start.get('s3_bucket')}/{start.get('s3_key')}"
