"""A running local cloud for tests: boto3 clients, and queries about photos."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from commandline.polling import Rhythm, poll
from localcloud import lifecycle
from localcloud.access import LocalSession
from localcloud.environment import ROOT, Addresses, isolated_environment
from localcloud.state import Running, StateFolder

WAIT_S = 120
RHYTHM = Rhythm(shortest_pause=0.3, longest_pause=1)


class LocalCloud:
    """A running local cloud, as `localcloud` saved it in its state folder."""

    def __init__(self, running: Running, folder: Path) -> None:
        self.running = running
        self.folder = folder
        self._session = LocalSession(running)
        self._clients: dict[str, Any] = {}
        self._ended: dict[str, dict[str, Any]] = {}

    @classmethod
    def of(cls, folder: Path) -> "LocalCloud":
        """Return the one that runs with a state folder."""
        running = StateFolder(folder).load()
        assert running is not None
        return cls(running, folder)

    def client(self, service: str) -> Any:
        """Return a boto3 client of a service of this local cloud."""
        if service not in self._clients:
            self._clients[service] = self._session.client(service)
        return self._clients[service]

    @property
    def outputs(self) -> dict[str, str]:
        """Outputs of the deployed stack."""
        outputs: dict[str, str] = self.running.stack["outputs"]
        return outputs

    def upload(self, key: str, body: bytes) -> str:
        """Upload a photo; return its version id."""
        answer = self.client("s3").put_object(Bucket=self.outputs["PhotoBucketName"], Key=key, Body=body)
        return str(answer["VersionId"])

    def executions(self, key: str) -> list[dict[str, Any]]:
        """Wait until an object key has executions and all have ended; return them."""
        workflow = self.client("stepfunctions")
        arn = self.outputs["ClassifyImageStateMachineArn"]

        def ended() -> list[dict[str, Any]]:
            pages = workflow.get_paginator("list_executions").paginate(stateMachineArn=arn)
            listed = [self._describe(one["executionArn"]) for page in pages for one in page["executions"]]
            mine = [execution for execution in listed if _key(json.loads(execution["input"])) == key]
            return mine if all(execution["status"] != "RUNNING" for execution in mine) else []

        return poll(ended, until=bool, timeout_seconds=WAIT_S, rhythm=RHYTHM)

    def _describe(self, execution_arn: str) -> dict[str, Any]:
        """Describe an execution; one that has ended is not asked for again."""
        if execution_arn in self._ended:
            return self._ended[execution_arn]
        execution = dict(self.client("stepfunctions").describe_execution(executionArn=execution_arn))
        if execution["status"] != "RUNNING":
            self._ended[execution_arn] = execution
        return execution

    def records(self, key: str) -> list[dict[str, Any]]:
        """Return all records of the results table for one object key, as plain values."""
        table = self.outputs["ResultsTableName"]
        answer = self.client("dynamodb").query(
            TableName=table,
            KeyConditionExpression="object_uri = :uri",
            ExpressionAttributeValues={":uri": {"S": f"s3://{self.outputs['PhotoBucketName']}/{key}"}},
            ConsistentRead=True,
        )
        return [
            {
                name: float(value["N"]) if "N" in value else next(iter(value.values()))
                for name, value in item.items()
            }
            for item in answer["Items"]
        ]


class Listener:
    """Collect messages: events of a rule, notifications of a topic, or a queue's own."""

    def __init__(self, cloud: LocalCloud, queue_url: str = "") -> None:
        self._cloud = cloud
        self._sqs = cloud.client("sqs")
        self.name = f"test-{uuid.uuid4().hex[:8]}"
        self.url = queue_url or self._sqs.create_queue(QueueName=self.name)["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        self.arn = attributes["Attributes"]["QueueArn"]
        self._seen: list[dict[str, Any]] = []

    def to_events(self, pattern: Mapping[str, Any]) -> "Listener":
        """Subscribe to EventBridge events that match a pattern."""
        events = self._cloud.client("events")
        events.put_rule(Name=self.name, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=self.name, Targets=[{"Id": "queue", "Arn": self.arn}])
        return self

    def messages(self) -> list[dict[str, Any]]:
        """Return all message bodies received so far."""
        while found := self._sqs.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, WaitTimeSeconds=1
        ).get("Messages"):
            for message in found:
                self._seen.append(json.loads(message["Body"]))
                self._sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return list(self._seen)


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Return once a condition is true; fail after `seconds`."""
    poll(condition, until=bool, timeout_seconds=seconds, rhythm=RHYTHM)


@contextmanager
def environment_of(addresses: Addresses) -> Iterator[None]:
    """Let the AWS clients that code under test makes for itself talk to a local cloud."""
    with mock.patch.dict(os.environ, isolated_environment(addresses), clear=True):
        yield


@contextmanager
def bare_cloud(folder: Path, *, owned: bool = True) -> Iterator[LocalCloud]:
    """Run a local cloud without the application, and stop it; its state is kept unless it is `owned`."""
    running, process = lifecycle.start(StateFolder(folder), "127.0.0.1", owned=owned)
    try:
        yield LocalCloud(running, folder)
    finally:
        lifecycle.stop_process(process)


def localcloud(*arguments: str | Path, prefix: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Run a command of localcloud to its end, behind a prefix such as `env`."""
    environment = {name: value for name, value in os.environ.items() if name != "SCONES_STATE"}
    return run_program("localcloud", arguments, environment, prefix)


def run_program(
    program: str, arguments: Sequence[str | Path], environment: Mapping[str, str], prefix: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    """Run a program of this project to its end."""
    return subprocess.run(
        [*prefix, sys.executable, "-m", program, *map(str, arguments)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


@contextmanager
def deployed_cloud(folder: Path, *options: str | Path) -> Iterator[LocalCloud]:
    """Run a local cloud with the application, by `up` with these options and `down`."""
    done = localcloud("up", "--state", folder, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    try:
        yield LocalCloud.of(folder)
    finally:
        stopped = localcloud("down", "--state", folder)
    assert stopped.returncode == 0, stopped.stderr


@contextmanager
def without_rule(cloud: LocalCloud, rule: str = "PhotoUploadedRule") -> Iterator[str]:
    """Disable a rule of the application, which is the one that starts the workflow; yield its name."""
    events = cloud.client("events")
    (name,) = [one["Name"] for one in events.list_rules()["Rules"] if rule in one["Name"]]
    events.disable_rule(Name=name)
    try:
        yield name
    finally:
        events.enable_rule(Name=name)


def _key(workflow_input: Mapping[str, Any]) -> Any:
    """Return the object key in an execution's input: S3's event, or direct input."""
    detail = workflow_input.get("detail")
    return detail["object"]["key"] if detail else workflow_input.get("s3_key")


def processes_about(folder: Path) -> list[str]:
    """Return the command lines of all processes that mention a folder: workers, services, `sam`."""
    listed = subprocess.run(["ps", "-axww", "-o", "command"], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if str(folder) in line]
