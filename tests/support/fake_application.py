"""The application in moto: it records and publishes an outcome for each photo and each repeated start."""

import json
from collections.abc import Iterator
from typing import Any, Final

from operations.stack import Stack
from tests.support.aws_stack import BUCKET, put_record

EXPRESS: Final = "arn:aws:states:eu-west-1:123456789012:express:classify:{}:x"  # has no DescribeExecution


class Application:
    """Stands in for an `OutcomeListener`: `receive` classifies what is new, and delivers the outcomes.

    These are outcome and error by the last part of the key; ACCEPTED by default.
    """

    def __init__(self, stack: Stack, outcomes: dict[str, tuple[str, str | None]] | None = None) -> None:
        self.stack, self.outcomes = stack, outcomes or {}
        self._s3, self._workflow = stack.client("s3"), stack.client("stepfunctions")
        self._seen: set[str] = set()

    def receive(self, wait_s: int) -> Iterator[dict[str, Any]]:
        """Yield an event for each new version of a photo, and for each start of what does not exist."""
        del wait_s
        listed = self._s3.list_object_versions(Bucket=BUCKET, Prefix="incoming/")
        for one in listed.get("Versions", []):
            yield from self._classify(one["Key"], one["VersionId"])
        machine = self.stack.outputs.get("ClassifyImageStateMachineArn")
        found = self._workflow.list_executions(stateMachineArn=machine)["executions"] if machine else []
        for arn in (execution["executionArn"] for execution in found):
            photo = json.loads(self._workflow.describe_execution(executionArn=arn)["input"])
            if "version_id" not in photo:
                yield from self._classify(photo["s3_key"], "unversioned")
            self._workflow.stop_execution(executionArn=arn)

    def _classify(self, key: str, version: str) -> Iterator[dict[str, Any]]:
        if f"{key} {version}" in self._seen:
            return
        self._seen.add(f"{key} {version}")
        outcome, error = self.outcomes.get(key.rsplit("/", 1)[-1], ("ACCEPTED", None))
        facts = {
            "object_version": version,
            "execution_arn": EXPRESS.format(len(self._seen)),
            "label": "bicycle",
            "recorded_at": "2026-11-25T10:00:00.000Z",
            **({"error": error} if error else {}),
        }
        put_record(self.stack, key, outcome, **facts)
        yield {"object_uri": f"s3://{BUCKET}/{key}", "outcome": outcome, "error": error, **facts}
