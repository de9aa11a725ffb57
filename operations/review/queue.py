"""Messages of the photos that wait for a person, and of those that could not be put on the review queue."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from commandline.terminal import say
from operations.results import Version
from operations.stack import Stack

HOLD_S: Final = 120
"""How long a photo stays invisible to others after the desk was last heard of."""
WAIT_S: Final = 1
"""Long polling asks all of SQS's servers; short polling may find none of the messages."""
_QUEUES: Final = ("ReviewQueueUrl", "ReviewDeadLetterQueueUrl")
_MOST_A_REQUEST: Final = 10  # SQS's limit
_URI_BYTES, _VERSION_BYTES = 2048, 1024  # DynamoDB's limits of keys


@dataclass(frozen=True)
class Message:
    """A message about a version of a photo, received and not deleted."""

    photo: Version
    identity: str
    queue_url: str
    receipt: str


class ReviewQueue:
    """The review queue and its dead letters: events that did not reach it, photos looked at fifty times."""

    def __init__(self, stack: Stack) -> None:
        self._stack, self._sqs = stack, stack.client("sqs")
        self._urls = [stack.output(name) for name in _QUEUES]
        self._photos = f"s3://{stack.output('PhotoBucketName')}/"
        self._warned: set[str] = set()

    def take(self, count: int) -> list[Message]:
        """Receive up to so many messages, hidden from others for `HOLD_S`; wait a moment for the first."""
        return next((found for url in self._urls if (found := self._receive(url, count))), [])

    def _receive(self, url: str, count: int) -> list[Message]:
        found: list[Message] = []
        while True:
            answer = self._sqs.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=min(count - len(found), _MOST_A_REQUEST),
                VisibilityTimeout=HOLD_S,
                WaitTimeSeconds=WAIT_S,
            )
            messages = answer.get("Messages", [])
            found += [one for message in messages if (one := self._read(message, url))]
            more = len(messages) == _MOST_A_REQUEST and len(found) < count
            if not messages or (found and not more):
                return found

    def _read(self, message: Mapping[str, Any], url: str) -> Message | None:
        """Read an event, or its detail; None, with one warning, for a foreign message, left alone."""
        name = message["MessageId"]
        with suppress(ValueError, LookupError, TypeError, AttributeError, RecursionError):
            event = json.loads(message["Body"])
            detail = event.get("detail", event)
            uri, version = detail["object_uri"], detail["object_version"]
            limits = len(uri.encode()) <= _URI_BYTES and 0 < len(version.encode()) <= _VERSION_BYTES
            if uri.startswith(self._photos) and uri != self._photos and limits:
                return Message((uri, version), name, url, message["ReceiptHandle"])
        if name not in self._warned:
            self._warned.add(name)
            say(f"review queue: message {name} is left alone: no photo of this stack")
        return None

    def hold(self, message: Message, seconds: int = HOLD_S) -> None:
        """Keep a message from others for some time from now on; 0 gives it back."""
        self._sqs.change_message_visibility(
            QueueUrl=message.queue_url, ReceiptHandle=message.receipt, VisibilityTimeout=seconds
        )

    def delete(self, message: Message) -> None:
        """Delete a message."""
        self._sqs.delete_message(QueueUrl=message.queue_url, ReceiptHandle=message.receipt)

    def length(self) -> int:
        """Return about how many messages there are, those that are held included."""
        return sum(map(self._stack.messages, _QUEUES))
