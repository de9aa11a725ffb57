"""The photos that wait for a person: messages of the review queue, held while they are looked at.

A received message is invisible to others for the queue's visibility timeout, which is the lock between two
reviewers: it is renewed while the photo is held, and ended when it is given back.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from operations.stack import Stack

HOLD_S: Final = 120
"""How long a photo stays invisible to others after the desk was last heard of."""
_MOST_A_REQUEST: Final = 10  # SQS's limit


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

    def take(self, count: int) -> list[Waiting]:
        """Receive up to so many photos that nobody else holds."""
        if count <= 0:
            return []
        answer = self._sqs.receive_message(
            QueueUrl=self._url,
            MaxNumberOfMessages=min(count, _MOST_A_REQUEST),
            VisibilityTimeout=HOLD_S,
        )
        return [_waiting(message) for message in answer.get("Messages", [])]

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


def _waiting(message: Mapping[str, Any]) -> Waiting:
    facts = json.loads(message["Body"])
    return Waiting(facts["object_uri"], facts["object_version"], facts, message["ReceiptHandle"])
