"""Decisions of people: recorded, published, and kept as labelled photos for training.

A decision stands in the record of the photo's version, above every outcome that the workflow could write
(statemachine/classify_image.asl.json leaves records with `decided_by` alone). It makes the outcome ACCEPTED
with the person's label, or REJECTED if the photo shows none of the labels. `model_label` keeps the model's
label, `before_decision` all that a decision replaces: it can be repeated, changed and taken back. Records are
changed attribute by attribute, and only as they were read: what others write meanwhile is never lost.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from botocore.exceptions import ClientError

from commandline.errors import CommandError
from operations.delivery import EVENT, UNDONE, Delivery, NotPublishedError
from operations.photos.labelled import LABELLED, NEITHER, copies, file_name
from operations.results import Item, Record, ResultsTable, partition, timestamp
from operations.review.queue import HOLD_S, Message
from operations.stack import Stack

NO_LABEL: Final = "NoVehicle"  # error of a photo that shows none of the labels
_RANK: Final = "4"  # above ACCEPTED and LOW_CONFIDENCE
_GONE: Final = ("NoSuchKey", "NoSuchVersion", "404")
_DEBT: Final = ("undelivered", "claimed_until")
_REPLACED: Final = ("outcome", "outcome_day", "outcome_rank", "label", "error", "cause")
_DECIDED: Final = {*_REPLACED, "decided_by", "decided_at", "model_label", "before_decision", "in_review"}
_HELD: Final = ("held_by", "held_until")
_AS_READ: Final = ("outcome", "execution_arn", "recorded_at", "decided_by", "decided_at")
_ATTEMPTS: Final = 5


class AlreadyDecidedError(CommandError):
    """Somebody else has decided about the photo meanwhile, or it was deleted."""


class HeldElsewhereError(CommandError):
    """Another desk has the photo."""


@dataclass(frozen=True)
class Photo:
    """A photo that waits for a decision; without message if it is audited, or if that is on its way."""

    record: Record
    message: Message | None = None

    @property
    def audited(self) -> bool:
        """Whether the photo was accepted and is looked at to measure the model."""
        return self.record.outcome != "LOW_CONFIDENCE"


@dataclass(frozen=True)
class Decision:
    """A decision that was carried out."""

    photo: Photo
    label: str
    decided_at: str


class Decisions:
    """Holds photos, decides, and takes decisions back, in the records of a deployed stack."""

    def __init__(self, stack: Stack, reviewer: str) -> None:
        self._stack, self._reviewer = stack, reviewer
        self._session = f"{reviewer}/{uuid.uuid4().hex[:12]}"
        self._bucket, self._s3 = stack.output("PhotoBucketName"), stack.client("s3")
        self._table, self._delivery = ResultsTable(stack), Delivery(stack)

    def hold(self, uri: str, version: str, outcome: str) -> Record | None:
        """Keep a photo from other desks for `HOLD_S`; return its record, None if nobody needs to look at it.

        By the record, since SQS may deliver a message twice. A HeldElsewhereError if another desk has it. A
        hold longer than any can be is of a clock that was set back since.
        """
        now = self._stack.now()
        over = "held_until < :now OR held_until > :latest"
        free = f"attribute_not_exists(held_until) OR {over} OR held_by = :session"
        times = {"now": timestamp(now), "latest": timestamp(now + timedelta(seconds=2 * HOLD_S))}
        held, item = self._table.update(
            (uri, version),
            "SET held_by = :session, held_until = :until",
            f"outcome = :outcome AND attribute_not_exists(decided_by) AND ({free})",
            {**times, "outcome": outcome, **self._hold()},
        )
        if held:
            return Record.from_item(item)
        if "decided_by" not in item and item.get("outcome") == {"S": outcome}:
            raise HeldElsewhereError(f"{uri} is on another desk")
        return None

    def release(self, record: Record) -> None:
        """Give a photo back to other desks."""
        ours = "held_by = :session", {"session": self._session}
        self._table.update(record.version, "REMOVE held_by, held_until", *ours)

    def decide(self, photo: Photo, label: str) -> Decision:
        """Keep, record and publish a decision; may be repeated, with another label too, until it succeeds.

        An AlreadyDecidedError if somebody else has decided, or the photo is gone; a NotPublishedError if the
        decision is recorded and its event is missing.
        """

        def change(item: Item) -> Item:
            if item.get("decided_by", {"S": self._reviewer})["S"] != self._reviewer:
                raise AlreadyDecidedError(f"{item['object_uri']['S']} was decided by somebody else meanwhile")
            debt = {"undelivered": {"S": EVENT}, "claimed_until": {"S": self._delivery.claim()}}
            return {**decided(item, label, self._reviewer, self._stack.now()), **debt}

        self._copy(photo.record, label)
        try:
            item = self._change(photo.record, change)
        finally:
            self._tidy_copies(photo.record)
        try:
            self._delivery.publish(item)
        except NotPublishedError as error:
            raise NotPublishedError(f"recorded, but not published; decide again: {error}") from error
        return Decision(photo, label, item["decided_at"]["S"])

    def undo(self, decision: Decision) -> str:
        """Restore the record, hold the photo, publish, and delete its copy; may be repeated.

        Returns what is left to do. An AlreadyDecidedError if the record was changed after the decision.
        """
        claim = self._delivery.claim()
        texts = {"undelivered": UNDONE, "claimed_until": claim, "held_by": self._session}
        texts["held_until"] = self._hold()["until"]

        def change(item: Item) -> Item:
            if "decided_by" not in item:  # by an attempt that did not come to its end
                return item
            if (item["decided_by"]["S"], item["decided_at"]["S"]) != (self._reviewer, decision.decided_at):
                uri = item["object_uri"]["S"]
                raise AlreadyDecidedError(f"{uri} was changed after the decision: it stays")
            kept = {name: value for name, value in item.items() if name not in _DECIDED}
            return {**kept, **item["before_decision"]["M"], **{k: {"S": text} for k, text in texts.items()}}

        item = self._change(decision.photo.record, change)
        problem = ""
        try:
            if item.get("claimed_until") == {"S": claim}:
                self._delivery.publish(item)
            elif "undelivered" in item:
                self._delivery.deliver(item)
        except NotPublishedError as error:
            problem = f"taken back; `scones redrive --missing` publishes it later: {error}"
        self._tidy_copies(decision.photo.record)
        return problem

    def _change(self, record: Record, change: Callable[[Item], Item]) -> Item:
        """Change a record by a function of it, whatever others do meanwhile; return it as it is now."""
        for _ in range(_ATTEMPTS):
            read = self._table.item(*record.version)
            if not read:
                raise AlreadyDecidedError(f"{record.object_uri} has no record any more: it was deleted")
            wanted = change(read)
            if wanted == read:
                return read
            written, item = self._write(record, read, wanted)
            if written:
                return item
        raise CommandError(f"{record.object_uri} is changed by others all the time: try again")

    def _write(self, record: Record, read: Item, wanted: Item) -> tuple[bool, Item]:
        """Set and remove the attributes that differ, with a claimed debt, if the record is as it was read."""
        new = {name: value for name, value in wanted.items() if name in _DEBT or read.get(name) != value}
        gone = sorted({*_HELD, *read} - {*wanted})
        same = [
            f"#{name} = :was_{name}" if name in read else f"attribute_not_exists(#{name})"
            for name in _AS_READ
        ]
        return self._table.update(
            record.version,
            f"SET {', '.join(f'#{name} = :{name}' for name in new)} "
            f"REMOVE {', '.join(f'#{name}' for name in gone)}",
            " AND ".join(["attribute_exists(object_uri)", *same]),
            new | {f"was_{name}": read[name] for name in _AS_READ if name in read},
            {f"#{name}": name for name in {*new, *gone, *_AS_READ}},
        )

    def _copy(self, record: Record, label: str) -> None:
        source = {"Bucket": self._bucket, "Key": record.key}
        if record.object_version != "unversioned":
            source["VersionId"] = record.object_version
        try:
            self._s3.copy_object(Bucket=self._bucket, Key=_copy_key(record, label), CopySource=source)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _GONE:
                raise
            raise AlreadyDecidedError(f"{record.object_uri} was deleted: nothing to decide") from error

    def _tidy_copies(self, record: Record) -> None:
        """Delete the labelled copies of a photo but the one of the decision that its record has."""
        item = self._table.item(*record.version)
        label = item.get("label", {"S": NEITHER})["S"]
        kept = _copy_key(record, label) if "decided_by" in item else ""
        for one in copies(self._stack, *record.version):
            if one["IsLatest"] and "Size" in one and one["Key"] != kept:
                self._s3.delete_object(Bucket=self._bucket, Key=one["Key"])

    def _hold(self) -> dict[str, str]:
        until = timestamp(self._stack.now() + timedelta(seconds=HOLD_S))
        return {"session": self._session, "until": until}


def decided(item: Item, label: str, reviewer: str, now: datetime) -> Item:
    """Return a record's item with a decision."""
    outcome = "REJECTED" if label == NEITHER else "ACCEPTED"
    before = item.get("before_decision", {"M": {name: item[name] for name in _REPLACED if name in item}})
    model = item.get("model_label") if "decided_by" in item else item.get("label")
    none = {"error": NO_LABEL, "cause": f"{reviewer} sees none of the labels"}
    texts = {
        "outcome": outcome,
        "outcome_day": partition(outcome, before["M"]["outcome"]["S"]),
        "decided_by": reviewer,
        "decided_at": timestamp(now),
        **(none if label == NEITHER else {"label": label}),
    }
    return {
        **{name: value for name, value in item.items() if name not in {*_REPLACED, *_HELD}},
        "before_decision": before,
        **({"model_label": model} if model else {}),
        **{name: {"S": text} for name, text in texts.items()},
        "outcome_rank": {"N": _RANK},
    }


def _copy_key(record: Record, label: str) -> str:
    return f"{LABELLED}{label}/{file_name(*record.version)}"
