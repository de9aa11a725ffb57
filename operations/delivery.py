"""Events of recorded outcomes, and the debts of those that were not published.

Whoever records an outcome writes `undelivered` with it, publishes the event, and removes the attribute again.
A writer that dies in between leaves it in the record: a debt, which `redrive --missing` pays. A debt is
claimed before it is paid: `claimed_until` keeps others away, and expires if the claimant dies.
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from commandline.aws import aws_reason
from commandline.errors import CommandError
from operations.outcomes import DETAIL_TYPE, SOURCE
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
        self._stack, self._table = stack, ResultsTable(stack)

    def undelivered(self, before: datetime) -> Iterator[Item]:
        """Yield the records with a debt that nobody is paying: neither a claimant nor its own execution.

        Younger records are left out: their EXPRESS executions, which keep no status, may be paying.
        """
        workflow = self._stack.client("stepfunctions")
        request = {
            "TableName": self._stack.output("ResultsTableName"),
            "FilterExpression": f"recorded_at < :before AND {_PAYABLE}",
            "ExpressionAttributeValues": {
                ":before": {"S": timestamp(before)},
                ":now": {"S": timestamp(self._stack.now())},
            },
        }
        pages = self._stack.client("dynamodb").get_paginator("scan").paginate(**request)
        for item in pages.search("Items"):
            arn, status = item.get("execution_arn", {"S": ""})["S"], ""
            if ":execution:" in arn and "decided_by" not in item:
                with suppress(workflow.exceptions.ExecutionDoesNotExist):
                    status = workflow.describe_execution(executionArn=arn)["status"]
            if status != "RUNNING":
                yield item

    def claim(self) -> str:
        """Return the `claimed_until` of a claim that begins now."""
        return timestamp(self._stack.now() + CLAIM)

    def deliver(self, item: Item) -> bool:
        """Claim a debt and pay it; return whether it could be claimed. Raises as `publish` does."""
        times = {"now": timestamp(self._stack.now()), "until": self.claim()}
        ours, claimed = self._table.update(_version(item), "SET claimed_until = :until", _PAYABLE, times)
        if ours:
            self.publish(claimed)
        return ours

    def publish(self, item: Item) -> None:
        """Publish the event of a claimed debt and remove it; a NotPublishedError removes only the claim."""
        ours = "claimed_until = :mine", {"mine": item["claimed_until"]}
        facts = Record.from_item(item).as_json()
        facts = {name: value for name, value in facts.items() if value is not None or name not in OPTIONAL}
        undone = item["undelivered"]["S"] == UNDONE
        reviewed = {"reviewed": not undone} if undone or "decided_by" in item else {}
        event = {"Source": SOURCE, "DetailType": DETAIL_TYPE, "Detail": json.dumps({**facts, **reviewed})}
        problem, cause = "", None
        try:
            answer = self._stack.client("events").put_events(Entries=[event])
            if answer["FailedEntryCount"]:
                problem = answer["Entries"][0].get("ErrorMessage") or "EventBridge refused the event"
        except (ClientError, BotoCoreError) as error:
            problem, cause = aws_reason(error), error
        if not problem:
            self._table.update(_version(item), "REMOVE undelivered, claimed_until", *ours)
            return
        with suppress(ClientError, BotoCoreError):  # it expires
            self._table.update(_version(item), "REMOVE claimed_until", *ours)
        raise NotPublishedError(problem) from cause


def _version(item: Item) -> Version:
    return item["object_uri"]["S"], item["object_version"]["S"]
