"""The photos that wait for a person: messages of the review queue, held while they are looked at.

A received message is invisible to others for the queue's visibility timeout, which is the lock between two
reviewers: it is renewed while the photo is held, and ended when it is given back.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from commandline.terminal import say
from operations.stack import Stack

HOLD_S: Final = 120
"""How long a photo stays invisible to others after the desk was last heard of."""
_MOST_A_REQUEST: Final = 10  # SQS's limit
_STRANGE: Final = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
_URI_BYTES, _VERSION_BYTES = 2048, 1024  # DynamoDB's limits of keys


@dataclass(frozen=True)
class Waiting:
    """A photo that waits for a decision.

    Attributes:
        object_uri: `s3://bucket/key`.
        object_version: its version.
        facts: the detail of its published event; of an audited photo its record.
        receipt: of the review message; empty for an audited photo, which has none.
    """

    object_uri: str
    object_version: str
    facts: Mapping[str, Any]
    receipt: str = ""

    @property
    def audited(self) -> bool:
        """Whether the photo was accepted and is looked at to measure the model."""
        return not self.receipt

    @property
    def key(self) -> str:
        """The object's key in the bucket."""
        return self.object_uri.removeprefix("s3://").split("/", 1)[1]


class ReviewQueue:
    """The review queue of a deployed stack.

    Args:
        stack: the deployed stack.
    """

    def __init__(self, stack: Stack) -> None:
        self._sqs = stack.client("sqs")
        self._url = stack.output("ReviewQueueUrl")
        self._photos = f"s3://{stack.output('PhotoBucketName')}/"
        self._told: set[str] = set()

    def take(self, count: int) -> list[Waiting]:
        """Receive up to so many photos that nobody else holds."""
        if count <= 0:
            return []
        while True:
            answer = self._sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=min(count, _MOST_A_REQUEST),
                VisibilityTimeout=HOLD_S,
            )
            messages = answer.get("Messages", [])
            photos = [photo for message in messages if (photo := self._photo(message))]
            if photos or not messages:
                return photos

    def _photo(self, message: Mapping[str, Any]) -> Waiting | None:
        """Return the photo of a message; None if it is about something else, which is said once.

        Such a message is not ours to delete: after some attempts it goes to the dead-letter queue.
        """
        try:
            return _waiting(message, self._photos)
        except _STRANGE:
            if message["MessageId"] not in self._told:
                self._told.add(message["MessageId"])
                say(f"review queue: message {message['MessageId']} is left alone: no photo of this stack")
            return None

    def hold(self, photo: Waiting, seconds: int = HOLD_S) -> None:
        """Keep a photo from others for some time from now on; 0 gives it back."""
        if photo.receipt:
            self._sqs.change_message_visibility(
                QueueUrl=self._url, ReceiptHandle=photo.receipt, VisibilityTimeout=seconds
            )

    def finish(self, photo: Waiting) -> None:
        """Remove a photo from the queue: it is decided."""
        if photo.receipt:
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=photo.receipt)

    def put_back(self, photo: Waiting) -> None:
        """Put a photo on the queue again whose message was deleted."""
        self._sqs.send_message(QueueUrl=self._url, MessageBody=json.dumps(dict(photo.facts)))

    def length(self) -> int:
        """Return about how many photos wait, those that are held included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)


def _waiting(message: Mapping[str, Any], photos: str) -> Waiting:
    """Return the photo of a review message.

    Raises:
        One of _STRANGE: it names no photo whose URI begins with `photos`.
    """
    facts = json.loads(message["Body"])
    uri, version = facts["object_uri"], facts["object_version"]
    limits = len(uri.encode()) <= _URI_BYTES and 0 < len(version.encode()) <= _VERSION_BYTES
    if not (uri.startswith(photos) and uri != photos and limits):
        raise ValueError(uri)
    return Waiting(uri, version, facts, message["ReceiptHandle"])
