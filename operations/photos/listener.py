"""A temporary subscription to the published outcomes of one photo bucket."""

import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from typing import Any, Final, Self

from botocore.exceptions import BotoCoreError, ClientError

from commandline.errors import CommandError
from commandline.polling import PollingTimeoutError, poll
from operations.stack import Stack

SOURCE: Final = "scones.vehicle-classification"
DETAIL_TYPE: Final = "Vehicle Classified"

_PROBE_SOURCE: Final = "scones.operations"
_PROBE_TYPE: Final = "Listener Probe"
_READY_TIMEOUT_S: Final = 60


class ListenerError(CommandError):
    """The subscription receives nothing."""


class OutcomeListener:
    """Receives the outcomes that are published while it is entered.

    It is an SQS queue and an EventBridge rule of its own, both removed when it is left. A new rule can take a
    while to become effective, so entering it waits until an event that it sends itself arrives.
    """

    def __init__(self, stack: Stack) -> None:
        self._bucket_uri = f"s3://{stack.output('PhotoBucketName')}/"
        self._sqs, self._events = stack.client("sqs"), stack.client("events")
        self._name = f"scones-outcomes-{uuid.uuid4().hex[:12]}"
        self._queue_url = ""
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        """Subscribe; ListenerError if no event arrives."""
        try:
            self._subscribe()
            self._wait_until_ready()
        except BaseException:
            with suppress(ClientError, BotoCoreError):
                self._cleanup.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Remove queue and rule; a failure to do so does not hide the error that led here."""
        try:
            self._cleanup.close()
        except (ClientError, BotoCoreError):
            if kind is None:
                raise

    def receive(self, wait_s: int) -> Iterator[Mapping[str, Any]]:
        """Yield the details of outcomes that have arrived, each once; wait 0 to 20 seconds for the first."""
        request = {"QueueUrl": self._queue_url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": wait_s}
        for message in self._sqs.receive_message(**request).get("Messages", []):
            event = json.loads(message["Body"])
            self._sqs.delete_message(QueueUrl=self._queue_url, ReceiptHandle=message["ReceiptHandle"])
            if event["source"] == SOURCE or event["detail"]["probe"] == self._name:
                yield event["detail"]

    def _subscribe(self) -> None:
        name, url = self._name, self._sqs.create_queue(QueueName=self._name)["QueueUrl"]
        self._queue_url = url
        self._cleanup.callback(self._sqs.delete_queue, QueueUrl=url)
        answer = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        queue = answer["Attributes"]["QueueArn"]
        pattern = {
            "source": [SOURCE, _PROBE_SOURCE],
            "detail-type": [DETAIL_TYPE, _PROBE_TYPE],
            "detail": {"object_uri": [{"prefix": self._bucket_uri}]},
        }
        rule = self._events.put_rule(Name=name, EventPattern=json.dumps(pattern))["RuleArn"]
        self._cleanup.callback(self._events.delete_rule, Name=name)
        statement = {  # without it, EventBridge may not deliver to the queue
            "Effect": "Allow",
            "Principal": {"Service": "events.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue,
            "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self._sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
        self._events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": queue}])
        self._cleanup.callback(self._events.remove_targets, Rule=name, Ids=["queue"])

    def _wait_until_ready(self) -> None:
        detail = json.dumps({"object_uri": self._bucket_uri, "probe": self._name})
        probe = {"Source": _PROBE_SOURCE, "DetailType": _PROBE_TYPE, "Detail": detail}

        def probe_arrives() -> bool:
            self._events.put_events(Entries=[probe])
            return any("probe" in detail for detail in self.receive(wait_s=1))

        try:
            poll(probe_arrives, until=bool, timeout_seconds=_READY_TIMEOUT_S)
        except PollingTimeoutError as error:
            raise ListenerError(
                f"no event reached the queue {self._name} within {_READY_TIMEOUT_S} s: try again; if that "
                "does not help, see whether the account lets EventBridge send to SQS"
            ) from error
