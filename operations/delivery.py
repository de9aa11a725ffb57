"""Events of recorded outcomes, and the debts of those that were not published.

Whoever records an outcome writes `undelivered` with it, publishes the event, and removes the attribute again.
A writer that dies in between leaves it in the record: a debt, which `redrive --missing` pays. A debt is
claimed before it is paid: `claimed_until` keeps others away, and expires if the claimant dies.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from commandline.aws_errors import aws_reason
from commandline.errors import CommandError
from operations.photos.listener import DETAIL_TYPE, SOURCE
from operations.results import OPTIONAL, Item, Record, ResultsTable, Version, timestamp
from operations.stack import Stack

EVENT: Final = "event"  # `undelivered` of a record whose event is not published
UNDONE: Final = "undone"  # the same, of a decision that was taken back: the event says `"reviewed": false`
CLAIM: Final = timedelta(minutes=5)  # longer than botocore tries to publish
_PAYABLE: Final = (
    "attribute_exists(undelivered) AND (attribute_not_exists(claimed_until) OR claimed_until < :now)"
)


class NotPublishedError(CommandError):
    """EventBridge refused an event, or could not be reached; the debt stays in the record."""


class Delivery:
    """Publishes what the records of a deployed stack say."""

    def __init__(self, stack: Stack) -> None:
        self._now, self._table, self._name = stack.now, ResultsTable(stack), stack.output("ResultsTableName")
        self._events, self._dynamodb = stack.client("events"), stack.client("dynamodb")
        self._workflow = stack.client("stepfunctions")

    def undelivered(self, before: datetime) -> Iterator[Item]:
        """Yield the records with a debt that nobody is paying.

        Younger records are left out: their EXPRESS executions, which keep no status, may be paying.
        """
        pages = self._dynamodb.get_paginator("scan").paginate(
            TableName=self._name,
            FilterExpression=f"recorded_at < :before AND {_PAYABLE}",
            ExpressionAttributeValues={
                ":before": {"S": timestamp(before)},
                ":now": {"S": timestamp(self._now())},
            },
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
        except self._workflow.exceptions.ExecutionDoesNotExist:
            return False

    def claim(self) -> str:
        """Return the `claimed_until` of a claim that begins now."""
        return timestamp(self._now() + CLAIM)

    def deliver(self, item: Item) -> bool:
        """Claim a debt and pay it; return whether it could be claimed. Raises as `publish` does."""
        times = {"now": timestamp(self._now()), "until": self.claim()}
        ours, claimed = self._table.update(_version(item), "SET claimed_until = :until", _PAYABLE, times)
        if ours:
            self.publish(claimed)
        return ours

    def publish(self, item: Item) -> None:
        """Publish the event of a record whose debt is claimed, and remove debt and claim.

        NotPublishedError if the event is still missing; the claim is given up.
        """
        ours = "claimed_until = :mine", {"mine": item["claimed_until"]}
        try:
            self._put_event(item)
        except NotPublishedError:
            with suppress(ClientError, BotoCoreError):  # it expires
                self._table.update(_version(item), "REMOVE claimed_until", *ours)
            raise
        self._table.update(_version(item), "REMOVE undelivered, claimed_until", *ours)

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


def facts(item: Item) -> dict[str, Any]:
    """Return what is published of a record: its attributes, null where missing."""
    record = asdict(Record.from_item(item))
    return {name: value for name, value in record.items() if value is not None or name not in OPTIONAL}


def _version(item: Item) -> Version:
    return item["object_uri"]["S"], item["object_version"]["S"]
