"""An endpoint's life by the page's commands, from an empty account on, under a steady stream of requests."""

import io
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from PIL import Image

from commandline.scones import main
from localcloud.application import provide_serving_image
from localcloud.environment import ROOT, isolated_environment
from model_build.archive.package import package_model
from tests.support.gate import Gate
from tests.support.local_cloud import LocalCloud, bare_cloud, environment_of, wait_until
from tests.support.photo_files import encode
from tests.support.tiny_model import picture, with_code, write_model

NAME = "scones-vehicle-classifier"
PAUSE_S = 0.02  # leaves the processor to the deployment that is tested


class Account:
    """A local cloud without anything in it, and the commands that a person types."""

    def __init__(self, cloud: LocalCloud, folder: Path) -> None:
        self.cloud = cloud
        self.model = str(write_model(folder / "a", ["red", "blue"]))
        self.swapped = str(write_model(folder / "b", ["blue", "red"]))
        broken = write_model(folder / "broken", ["red", "blue"])
        (broken / "model.onnx").write_bytes(b"this is no network")
        self.broken = str(package_model(broken, folder / "broken.tar.gz"))
        self.gate = Gate(folder / "gate")
        code = (ROOT / "model_build" / "serving" / "inference.py").read_text(encoding="utf-8")
        held_up = with_code(write_model(folder / "held-up", ["blue", "red"]), f"{code}\n{self.gate.code}\n")
        self.held_up = str(held_up)

    def run(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        """Run `scones model …`, check its exit code, return what it wrote."""
        output, errors = io.StringIO(), io.StringIO()
        with (
            environment_of(self.cloud.running),
            patch("sys.stdin", io.StringIO()),
            redirect_stdout(output),
            redirect_stderr(errors),
        ):
            status = main(["model", *arguments])
        assert status == code, f"{arguments}\n{output.getvalue()}\n{errors.getvalue()}"
        return output.getvalue(), errors.getvalue()

    def deploy(self, *arguments: str, code: int = 0) -> tuple[dict[str, Any], str]:
        """Deploy with our own image; return the result and what it wrote to standard error."""
        output, errors = self.run("deploy", "--image", "own", "--yes", "--json", *arguments, code=code)
        return json.loads(output or "{}"), errors

    def shown(self, command: str) -> Any:
        """Return what a command prints with --json."""
        return json.loads(self.run(command, "--json")[0])

    @contextmanager
    def stream(self) -> Iterator[tuple[set[str], list[Exception]]]:
        """Send one photo after another until the block ends; yield the versions that answer, and failures."""
        photo = encode(Image.fromarray(picture("red")), "PNG")
        request = {"EndpointName": NAME, "Body": photo, "ContentType": "image/png"}
        runtime, stop = self.cloud.client("sagemaker-runtime"), threading.Event()
        versions, failures = set[str](), list[Exception]()

        def send() -> None:
            while not stop.wait(PAUSE_S):
                try:
                    answer = runtime.invoke_endpoint(**request)
                    answer["Body"].read()
                    versions.add(answer["CustomAttributes"].partition("model_version=")[2])
                except Exception as error:  # noqa: BLE001 - the test asserts that there is none
                    failures.append(error)

        thread = threading.Thread(target=send)
        thread.start()
        try:
            wait_until(lambda: versions or failures, 30)
            yield versions, failures
        finally:
            stop.set()
            thread.join(30)

    def interrupt(self, status: str, *arguments: str) -> tuple[int, str]:
        """Press Ctrl-C once the endpoint has a status; return exit code and what was written about it.

        The command is a process of its own; `held_up` starts after that.
        """
        self.gate.close()
        process = subprocess.Popen(
            [sys.executable, "-m", "commandline.scones", "model", *arguments],
            cwd=ROOT,
            env=isolated_environment(self.cloud.running),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: process.poll() is not None or self.endpoint_status() == status)
        while process.poll() is None:
            process.send_signal(signal.SIGINT)  # again, as a person would: Python drops one in a finalizer
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=15)
        self.gate.open()
        return process.returncode, process.communicate()[1]

    def endpoint_status(self) -> str:
        """Return SageMaker's word; empty if there is no endpoint."""
        found = self.cloud.client("sagemaker").list_endpoints(NameContains=NAME)["Endpoints"]
        return str(found[0]["EndpointStatus"]) if found else ""


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    folder = tmp_path_factory.mktemp("story")
    with bare_cloud(folder / "cloud") as cloud:
        yield Account(cloud, folder)


def test_an_endpoints_life(account: Account) -> None:  # noqa: PLR0915 - one life, in its order
    # In an empty account, the image is what is missing first; pushing it would need Docker.
    refusal = account.deploy("--model", account.model, code=2)[1]
    assert "`scones model image push`" in refusal
    assert not account.cloud.client("cloudformation").list_stacks()["StackSummaries"]

    # One command makes the stack and the endpoint: here with AWS's image, which needs no push.
    dry, _ = account.run("deploy", "--model", account.model, "--dry-run")
    operations = [call["operation"] for call in json.loads(dry)]
    assert (operations[0], "CreateEndpoint" in operations) == ("CreateStack", True)
    output, errors = account.run("deploy", "--model", account.model, "--yes")
    assert "ModelBucket" in errors
    assert "is in service" in output
    first = account.shown("status")
    assert (first["status"], first["labels"]) == ("InService", ["red", "blue"])
    assert "$0.115 an hour" in account.run("status")[0]
    assert "give --yes" in account.run("delete", "--endpoint-name", NAME, code=2)[1]

    outputs = account.cloud.client("cloudformation").describe_stacks(StackName="scones-model")["Stacks"][0]
    repository = {one["OutputKey"]: one["OutputValue"] for one in outputs["Outputs"]}["ServingRepositoryUri"]
    provide_serving_image(account.cloud.client("ecr"), repository.partition("/")[2])

    with account.stream() as (versions, failures):
        # Update
        second, _ = account.deploy("--model", account.swapped)
        assert (second["created"], account.shown("status")["labels"]) == (False, ["blue", "red"])
        # Back to the model before by a part of its name, and forth; a mistyped name changes nothing
        models = account.shown("list")
        assert [one["serving"] for one in models] == [False, True]
        assert [one["labels"] for one in models] == [["red", "blue"], ["blue", "red"]]
        assert "`scones model list`" in account.run("use", "nothing", code=2)[1]
        account.run("use", models[0]["model"].removeprefix(f"{NAME}-"))
        now = account.shown("status")
        assert (now["serving"], now["labels"]) == (first["serving"], ["red", "blue"])
        account.run("rollback")
        assert [one["serving"] for one in account.shown("list")] == [False, True]
        # A broken archive leaves the old version serving, and nothing of itself.
        _, errors = account.deploy("--model", account.broken, code=1)
        assert "rolled back" in errors
        assert "onnxruntime" in errors, "the end of the container's log says what went wrong"
        now = account.shown("status")
        assert (now["serving"], len(now["models"])) == (second["version"], 2)
        # Scale, capture, change the instance type while scaling
        account.deploy("--model", account.model, "--max-instances", "3")
        assert account.shown("status")["scaling"] == [1, 3]
        account.deploy("--model", account.model, "--max-instances", "4", "--capture")
        assert (account.shown("status")["scaling"], account.shown("status")["capture"]) == ([1, 4], True)
        scaled = ("--max-instances", "5", "--instance-type", "ml.c5.large")
        account.deploy("--model", account.broken, *scaled, code=1)
        assert (account.shown("status")["scaling"], account.shown("status")["instance_type"]) == (
            [1, 4],
            "ml.m5.large",
        )
        account.deploy("--model", account.model, *scaled)
        now = account.shown("status")
        assert (now["scaling"], now["instance_type"], now["capture"]) == ([1, 5], "ml.c5.large", False)
        # Ctrl-C while SageMaker updates
        held_up = ("deploy", "--image", "own", "--trust-code", "--model", account.held_up, *scaled)
        code, errors = account.interrupt("Updating", *held_up)
        assert (code, "may go on changing" in errors) == (130, True), errors
        wait_until(lambda: account.endpoint_status() == "InService")
        account.deploy("--model", account.model, *scaled)
    assert failures == []
    assert len(versions) >= 5

    # Ctrl-C while it is deleted, for which it may be too fast: the same command does the rest.
    code, _ = account.interrupt("Deleting", "delete", "--endpoint-name", NAME, "--yes")
    assert code in {0, 130}
    wait_until(lambda: not account.endpoint_status())
    account.run("delete", "--endpoint-name", NAME, "--yes")
    assert f"endpoint {NAME} does not exist" in account.run("status")[0]
    gone = account.shown("status")
    assert (gone["status"], gone["versions"], gone["models"], gone["scaling"]) == (None, [], [], None)

    # Deployed again into the same stack; after Ctrl-C while it is created, the same command goes on.
    code, errors = account.interrupt("Creating", *held_up[:-4])
    assert (code, "may go on changing" in errors) == (130, True), errors
    wait_until(lambda: account.endpoint_status() == "InService")
    again, _ = account.deploy("--model", account.model)
    assert account.shown("status")["serving"] == again["version"]
