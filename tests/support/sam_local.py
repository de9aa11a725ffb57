"""Run `sam local` as a user does: the built functions in containers, with a local cloud."""

import contextlib
import ipaddress
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from localcloud.environment import host_architecture, host_runtime, isolated_environment
from localcloud.service import free_port
from localcloud.state import Running
from tests.support.lambda_runtime import wait_for_port
from tests.support.sam_app import CLOUD, EVENTS, LOGICAL_IDS, ROOT

IMAGE = f"public.ecr.aws/lambda/python:{host_runtime().removeprefix('python')}-{host_architecture()}"
"""Lambda's base image for this Python and this processor."""

_ENVIRONMENT_FILE = EVENTS / "env.local-cloud.json"
_DOCUMENTED_PORTS = {"AWS_ENDPOINT_URL": "4566", "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": "4567"}


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


class SamLocal:
    """The built application in a folder, with its logs, and the local cloud that its functions call."""

    def __init__(self, folder: Path, cloud: Running) -> None:
        self.folder = folder
        key = {"AWS_ACCESS_KEY_ID": cloud.access_key, "AWS_SECRET_ACCESS_KEY": cloud.access_key}
        target = {"PYTHON_RUNTIME": host_runtime(), "ARCHITECTURE": host_architecture()}
        variables = isolated_environment(None) | CLOUD | key | target | {"PYTHON": sys.executable}
        self._how: dict[str, Any] = {"cwd": ROOT, "env": variables}
        self._variables = folder / "env.json"
        write_environment_file(self._variables, cloud)

    def code(self, function: str) -> Path:
        """Return the folder of a function's built code, by its folder in functions/."""
        return self.folder / "build" / LOGICAL_IDS[function]

    def build(self) -> None:
        """Run `sam build` with samconfig.toml's [docker], for this machine's Python and processor."""
        command = _sam("build", "--build-dir", str(self.folder / "build"))
        done = subprocess.run(command, **self._how, capture_output=True, text=True, timeout=240, check=False)
        assert done.returncode == 0, done.stderr

    @contextlib.contextmanager
    def start_lambda(self) -> Iterator[Any]:
        """Run `sam local start-lambda`, a container a function; yield a boto3 client of it."""
        port, log = free_port("127.0.0.1", 0), self.folder / "start-lambda.log"
        built = ("--template", str(self.folder / "build" / "template.yaml"))
        options = ("--port", str(port), "--warm-containers", "LAZY", "--env-vars", str(self._variables))
        with log.open("wb") as output:
            command = _sam("local", "start-lambda", *built, *options)
            process = subprocess.Popen(command, **self._how, stdout=output, stderr=output)
        try:
            wait_for_port(port, process, log, 120)
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
            process.wait(60)


def _sam(*arguments: str) -> list[str]:
    config = ("--config-file", str(ROOT / "samconfig.toml"), "--config-env", "docker")
    target = f"PythonRuntime={host_runtime()} Architecture={host_architecture()}"
    sam = str(Path(sys.executable).with_name("sam"))
    return [sam, *arguments, *config, "--parameter-overrides", target]


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
