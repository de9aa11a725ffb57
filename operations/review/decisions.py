"""Decisions of people: recorded, published, and kept as labelled photos for training.

A decision stands in the record of the photo's version, above every outcome that the workflow could write
(statemachine/classify_image.asl.json leaves records with `decided_by` alone). It makes the outcome ACCEPTED
with the person's label, or REJECTED if the photo shows none of the labels; `model_label` keeps what the model
said. It is published as the workflow publishes outcomes, with `reviewed: true`.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any, Final

from botocore.exceptions import ClientError

from commandline.errors import CommandError
from operations.delivery import EVENT, Delivery, NotPublishedError
from operations.review.queue import Waiting
from operations.stack import Stack

NEITHER: Final = "other"
"""Folder of photos that show none of the labels, as `train --photos` and `evaluate --photos` read it."""
NO_LABEL: Final = "NoVehicle"
"""Error of a photo that shows none of the labels."""
LABELLED: Final = "labelled/"
_NAME_BYTES: Final = 255
_ENDING_BYTES: Final = 16
_RANK: Final = "4"  # above ACCEPTED and LOW_CONFIDENCE
_GONE: Final = ("NoSuchKey", "NoSuchVersion", "404")
_CONFLICT: Final = "ConditionalCheckFailedException"
_UNTOLD: Final = {"undelivered": {"S": EVENT}}


class AlreadyDecidedError(CommandError):
    """Somebody else has decided about the photo meanwhile, or it was deleted."""


@dataclass(frozen=True)
class Decision:
    """A decision that was carried out.

    Attributes:
        photo: what it is about.
        label: the person's label; `NEITHER` for none of the labels.
        before: the record's item as it was, to undo the decision.
        copy: key of the labelled copy.
    """

    photo: Waiting
    label: str
    before: Mapping[str, Any]
    copy: str


class Decisions:
    """Carries decisions out.

    Args:
        stack: the deployed stack.
        reviewer: who decides; recorded.
    """

    def __init__(self, stack: Stack, reviewer: str) -> None:
        self._reviewer = reviewer
        self._table = stack.output("ResultsTableName")
        self._bucket = stack.output("PhotoBucketName")
        self._dynamodb, self._s3 = stack.client("dynamodb"), stack.client("s3")
        self._delivery = Delivery(stack)

    def decide(self, photo: Waiting, label: str) -> Decision:
        """Keep, record and publish a decision; may be repeated by the same reviewer if it fails half way.

        Args:
            photo: what it is about.
            label: one of the stack's labels, or `NEITHER`.

        Raises:
            AlreadyDecidedError: somebody else has decided, or the photo or its record is gone.
        """
        before = self._item(photo)
        after = decided(before, label, self._reviewer, datetime.now(UTC))
        copy = f"{LABELLED}{label}/{file_name(photo.object_uri, photo.object_version)}"
        self._copy(photo, copy)
        undecided = "attribute_not_exists(decided_by) OR decided_by = :reviewer"
        try:
            self._put({**after, **_UNTOLD}, f"attribute_exists(object_uri) AND ({undecided})", photo)
        except AlreadyDecidedError:
            self._s3.delete_object(Bucket=self._bucket, Key=copy)
            raise
        self._publish(after)
        return Decision(photo, label, before, copy)

    def undo(self, decision: Decision) -> None:
        """Restore the record, publish what it says again, and delete the labelled copy.

        Raises:
            AlreadyDecidedError: the record was changed after the decision.
        """
        self._put({**decision.before, **_UNTOLD}, "decided_by = :reviewer", decision.photo)
        self._s3.delete_object(Bucket=self._bucket, Key=decision.copy)
        self._publish(decision.before, undone=True)

    def _item(self, photo: Waiting) -> dict[str, Any]:
        key = {"object_uri": {"S": photo.object_uri}, "object_version": {"S": photo.object_version}}
        answer = self._dynamodb.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        if "Item" not in answer:
            raise AlreadyDecidedError(f"{photo.object_uri} has no record any more: it was deleted")
        item: dict[str, Any] = answer["Item"]
        return item

    def _copy(self, photo: Waiting, key: str) -> None:
        source = {"Bucket": self._bucket, "Key": photo.key}
        if photo.object_version != "unversioned":
            source["VersionId"] = photo.object_version
        try:
            self._s3.copy_object(Bucket=self._bucket, Key=key, CopySource=source)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _GONE:
                raise
            raise AlreadyDecidedError(
                f"{photo.object_uri} was deleted: there is nothing to decide"
            ) from error

    def _put(self, item: Mapping[str, Any], condition: str, photo: Waiting) -> None:
        """Write a record if it is as the condition says; `:reviewer` is this reviewer."""
        try:
            self._dynamodb.put_item(
                TableName=self._table,
                Item=item,
                ConditionExpression=condition,
                ExpressionAttributeValues={":reviewer": {"S": self._reviewer}},
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != _CONFLICT:
                raise
            raise AlreadyDecidedError(f"{photo.object_uri} was decided by somebody else meanwhile") from error

    def _publish(self, item: Mapping[str, Any], *, undone: bool = False) -> None:
        """Publish a record's item; until that is done, the record says that its event is missing."""
        try:
            self._delivery.publish(item, undone=undone)
        except NotPublishedError as error:
            raise CommandError(f"recorded, but not published; decide again: {error}") from error
        self._delivery.delivered(item)


def decided(item: Mapping[str, Any], label: str, reviewer: str, now: datetime) -> dict[str, Any]:
    """Return a record's item with a decision.

    Args:
        item: as DynamoDB's API has it.
        label: the person's label, or `NEITHER`.
        reviewer: who decided.
        now: when.
    """
    outcome = "REJECTED" if label == NEITHER else "ACCEPTED"
    shard = item["outcome_day"]["S"].rsplit("#", 1)[1]
    day = item["recorded_at"]["S"][:10]
    kept = {name: value for name, value in item.items() if name not in {"error", "cause", "label"}}
    texts = {
        "outcome": outcome,
        "outcome_day": f"{outcome}#{day}#{shard}",
        "decided_by": reviewer,
        "decided_at": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        **(
            {"error": NO_LABEL, "cause": f"{reviewer} sees none of the labels"}
            if label == NEITHER
            else {"label": label}
        ),
    }
    model = {"model_label": item["label"]} if "label" in item else {}
    return {
        **kept,
        **model,
        **{name: {"S": text} for name, text in texts.items()},
        "outcome_rank": {"N": _RANK},
    }


def file_name(uri: str, version: str) -> str:
    """Return the name of a labelled copy: a digest that tells versions apart, and the photo's own.

    It has at most 255 bytes, as file systems allow, so that its key has fewer than S3's 1,024.

    Args:
        uri: `s3://bucket/key` of the photo.
        version: its version.
    """
    identity = hashlib.sha256(f"{uri}\n{version}".encode()).hexdigest()[:12]
    return shortened(f"{identity}-{PurePosixPath(uri).name}")


def shortened(name: str) -> str:
    """Return a file's name with at most 255 bytes in UTF-8, cut before its ending."""
    if len(name.encode()) <= _NAME_BYTES:
        return name
    ending = PurePosixPath(name).suffix
    if len(ending.encode()) > _ENDING_BYTES:
        ending = ""
    stem = name.removesuffix(ending).encode()[: _NAME_BYTES - len(ending.encode())]
    return stem.decode(errors="ignore") + ending
