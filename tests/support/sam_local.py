"""Run `sam local` as a user does: the built functions in containers, with a local cloud."""

import contextlib
import ipaddress
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import boto3
from botocore.config import Config

from localcloud.environment import host_architecture, host_runtime, isolated_environment
from localcloud.service import free_port
from localcloud.state import Running
from tests.support.lambda_runtime import wait_for_port
from tests.support.sam_app import CLOUD, EVENTS, LOGICAL_IDS, ROOT

IMAGE = f"public.ecr.aws/lambda/python:{host_runtime().removeprefix('python')}-{host_architecture()}"
"""Lambda's base image for this Python and this processor."""

_SAM = str(Path(sys.executable).with_name("sam"))
_ENVIRONMENT_FILE = EVENTS / "env.local-cloud.json"
_DOCUMENTED_PORTS = {"AWS_ENDPOINT_URL": "4566", "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": "4567"}
_START_S = 120
_STOP_S = 60


def docker_problem() -> str:
    """Return why `sam local` cannot work on this machine and what to do, or an empty string."""
    try:
        engine = _docker("version", "--format", "{{.Server.Version}}")
    except FileNotFoundError:
        return "there is no docker command: install Docker, or run .ci/start-docker (Debian, as root)"
    if engine.returncode:
        return (
            f"no Docker engine answers: start it, or run .ci/start-docker (Debian, as root)\n{engine.stderr}"
        )
    if _docker("image", "inspect", IMAGE).returncode:
        return (
            f"the image {IMAGE} is missing: docker pull {IMAGE}, or run .ci/start-docker, which builds a "
            "stand-in for Python 3.11 where nothing can be pulled (then use make PYTHON=python3.11)"
        )
    return ""


def address_for_containers() -> str:
    """Return the address on which containers reach the local cloud as host.docker.internal.

    On Linux it is the address of Docker's bridge. Docker Desktop forwards to this machine's loopback.
    """
    inspected = json.loads(_docker("network", "inspect", "bridge").stdout)[0]["IPAM"]["Config"][0]
    # Older engines omit a gateway that was not configured: it is the network's first address.
    bridge = inspected.get("Gateway") or str(ipaddress.ip_network(inspected["Subnet"])[1])
    with contextlib.suppress(OSError), socket.create_server((bridge, 0)):
        return bridge
    return "127.0.0.1"


def _docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, timeout=60)


@dataclass(frozen=True)
class SamLocal:
    """The built application, in a folder with its logs."""

    folder: Path
    environment_file: Path  # passed as `--env-vars`
    access_key: str  # of the local cloud

    def code(self, function: str) -> Path:
        """Return the folder of a function's built code, by its folder in functions/."""
        return self.folder / "build" / LOGICAL_IDS[function]

    def build(self) -> None:
        """Run `sam build` with samconfig.toml's [docker], for this machine's Python and processor."""
        target = {"PYTHON_RUNTIME": host_runtime(), "ARCHITECTURE": host_architecture()}
        done = self._run(["build", "--build-dir", str(self.folder / "build")], target)
        assert done.returncode == 0, done.stderr

    def invoke(self, function: str, event: Path) -> dict[str, Any]:
        """Run `sam local invoke` with an event file; return Lambda's response."""
        options = ["--event", str(event), *self._container_options()]
        done = self._run(["local", "invoke", LOGICAL_IDS[function], *options], {})
        assert done.returncode == 0, done.stderr
        return cast("dict[str, Any]", json.loads(done.stdout))

    @contextlib.contextmanager
    def start_lambda(self) -> Iterator[Any]:
        """Run `sam local start-lambda`, a container a function; yield a boto3 client of it."""
        port = free_port("127.0.0.1", 0)
        warm = ("--warm-containers", "LAZY")
        command = ["local", "start-lambda", "--port", str(port), *warm, *self._container_options()]
        log = self.folder / "start-lambda.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self._command(command), cwd=ROOT, env=self._environment({}), stdout=output, stderr=output
            )
        try:
            wait_for_port(port, process, log, _START_S)
            yield boto3.client(
                "lambda",
                endpoint_url=f"http://127.0.0.1:{port}",
                region_name="us-east-1",
                aws_access_key_id="test",
                aws_secret_access_key="test",  # noqa: S106  # there is no secret
                config=Config(read_timeout=120, retries={"total_max_attempts": 1}),
            )
        finally:
            process.send_signal(signal.SIGINT)  # as Ctrl-C: it removes its containers
            process.wait(_STOP_S)

    def _container_options(self) -> list[str]:
        return [
            *("--template", str(self.folder / "build" / "template.yaml")),
            *("--env-vars", str(self.environment_file)),
        ]

    def _run(self, arguments: list[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._command(arguments),
            cwd=ROOT,
            env=self._environment(variables),
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def _command(self, arguments: list[str]) -> list[str]:
        return [
            *(_SAM, *arguments, "--config-file", str(ROOT / "samconfig.toml"), "--config-env", "docker"),
            "--parameter-overrides",
            f"PythonRuntime={host_runtime()} Architecture={host_architecture()}",
        ]

    def _environment(self, variables: dict[str, str]) -> dict[str, str]:
        key = {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.access_key}
        return isolated_environment(None) | CLOUD | key | {"PYTHON": sys.executable} | variables


def write_environment_file(path: Path, running: Running) -> None:
    """Copy events/env.local-cloud.json with the ports of this local cloud."""
    ports = {
        "AWS_ENDPOINT_URL": running.aws_url.rpartition(":")[2],
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": running.sagemaker_url.rpartition(":")[2],
    }
    content = json.loads(_ENVIRONMENT_FILE.read_text(encoding="utf-8"))
    assert content["Parameters"].keys() == ports.keys()
    for name, port in ports.items():
        usual = f":{_DOCUMENTED_PORTS[name]}"
        assert content["Parameters"][name].endswith(usual), f"{_ENVIRONMENT_FILE} does not have {usual}"
        content["Parameters"][name] = content["Parameters"][name].removesuffix(usual) + f":{port}"
    path.write_text(json.dumps(content), encoding="utf-8")
