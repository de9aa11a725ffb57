"""Events of recorded outcomes, and the debts of those that were not published.

Whoever records an outcome writes `undelivered` with it, publishes the event, and removes the attribute again.
A writer that dies in between leaves it in the record: a debt, which `redrive --missing` pays. A debt is
claimed before it is paid: `claimed_until` keeps others away, and expires if the claimant dies.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final

from boto3.dynamodb.types import TypeDeserializer
from botocore.exceptions import BotoCoreError, ClientError

from commandline.aws_errors import aws_reason
from commandline.errors import CommandError
from operations.photos.listener import DETAIL_TYPE, SOURCE
from operations.results import OPTIONAL, Record, timestamp
from operations.stack import Stack

EVENT: Final = "event"
"""`undelivered` of a record whose event is not published."""
UNDONE: Final = "undone"
"""The same, and the event says `"reviewed": false`: a person has taken a decision back."""
CLAIM: Final = timedelta(minutes=5)
"""Longer than botocore tries to publish."""
CONFLICT: Final = "ConditionalCheckFailedException"
_PAYABLE: Final = (
    "attribute_exists(undelivered) AND (attribute_not_exists(claimed_until) OR claimed_until < :now)"
)
_OURS: Final = "claimed_until = :mine"

Item = Mapping[str, Any]
"""A record as DynamoDB's API has it."""
_deserialize: Final = TypeDeserializer().deserialize


class NotPublishedError(CommandError):
    """EventBridge refused an event, or could not be reached; the debt stays in the record."""


class Delivery:
    """Publishes what the records of a deployed stack say."""

    def __init__(self, stack: Stack) -> None:
        self._now = stack.now
        self._events, self._dynamodb = stack.client("events"), stack.client("dynamodb")
        self._workflow = stack.client("stepfunctions")
        self._table = stack.output("ResultsTableName")

    def undelivered(self, before: datetime) -> Iterator[Item]:
        """Yield the records with a debt that nobody is paying.

        Args:
            before: younger records are left out: EXPRESS executions, which keep no status, may be paying.
        """
        pages = self._dynamodb.get_paginator("scan").paginate(
            TableName=self._table,
            FilterExpression=f"recorded_at < :before AND {_PAYABLE}",
            ExpressionAttributeValues=_texts(before=timestamp(before), now=timestamp(self._now())),
        )
        for page in pages:
            yield from (item for item in page["Items"] if not self._in_progress(item))

    def _in_progress(self, item: Item) -> bool:
        """Return whether the execution that wrote a record still tries to publish it."""
        arn = item.get("execution_arn", {"S": ""})["S"]
        if "decided_by" in item or ":execution:" not in arn:
            return False
        try:
            return bool(self._workflow.describe_execution(executionArn=arn)["status"] == "RUNNING")
        except ClientError as error:
            if error.response["Error"]["Code"] != "ExecutionDoesNotExist":
                raise
            return False

    def deliver(self, item: Item) -> bool:
        """Claim a debt and pay it; return whether it was there to be claimed.

        Raises:
            NotPublishedError: the event is still missing.
        """
        claimed = self._update(item, "SET claimed_until = :until", _PAYABLE, until=self.claim())
        if claimed is not None:
            self.publish(claimed)
        return claimed is not None

    def claim(self) -> str:
        """Return the `claimed_until` of a claim that begins now."""
        return timestamp(self._now() + CLAIM)

    def publish(self, item: Item) -> None:
        """Publish the event of a record whose debt is claimed, and remove debt and claim.

        Raises:
            NotPublishedError: the event is still missing; the claim is given up.
        """
        try:
            self._put_event(item)
        except NotPublishedError:
            with suppress(ClientError, BotoCoreError):  # it expires
                self._update(item, "REMOVE claimed_until", _OURS, mine=item["claimed_until"]["S"])
            raise
        self._update(item, "REMOVE undelivered, claimed_until", _OURS, mine=item["claimed_until"]["S"])

    def _put_event(self, item: Item) -> None:
        undone = item["undelivered"]["S"] == UNDONE
        reviewed = {"reviewed": not undone} if undone or "decided_by" in item else {}
        detail = json.dumps({**facts(item), **reviewed})
        entry = {"Source": SOURCE, "DetailType": DETAIL_TYPE, "Detail": detail}
        try:
            answer = self._events.put_events(Entries=[entry])
        except (ClientError, BotoCoreError) as error:
            raise NotPublishedError(aws_reason(error)) from error
        if answer["FailedEntryCount"]:
            raise NotPublishedError(answer["Entries"][0].get("ErrorMessage", "EventBridge refused the event"))

    def _update(self, item: Item, update: str, condition: str, **texts: str) -> Item | None:
        """Change a record; return it as it is now, None if the condition does not hold."""
        used = {"now": timestamp(self._now()), **texts}
        try:
            answer = self._dynamodb.update_item(
                TableName=self._table,
                Key={name: item[name] for name in ("object_uri", "object_version")},
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeValues=_texts(
                    **{name: text for name, text in used.items() if f":{name}" in update + condition}
                ),
                ReturnValues="ALL_NEW",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != CONFLICT:
                raise
            return None
        found: Item = answer["Attributes"]
        return found


def facts(item: Item) -> dict[str, Any]:
    """Return what is published of a record: its attributes, null where missing."""
    names = [name for name in Record.__dataclass_fields__ if name in item or name not in OPTIONAL]
    return {name: _plain(_deserialize(item[name])) if name in item else None for name in names}


def _plain(value: Any) -> Any:
    return value if isinstance(value, str) else float(value)


def _texts(**values: str) -> dict[str, dict[str, str]]:
    return {f":{name}": {"S": value} for name, value in values.items()}
