"""Run a function on AWS's runtime without Docker: SAM CLI's runtime emulator and AWS's runtime client.

https://github.com/aws/aws-lambda-runtime-interface-emulator, https://pypi.org/project/awslambdaric
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import samcli  # type: ignore[import-untyped]

from localcloud.environment import host_architecture
from tests.support.sam_app import CLOUD, FUNCTIONS, function_environment

Invoke = Callable[[Any], dict[str, Any]]
"""Take an event and return Lambda's response: the handler's result, or errorType and errorMessage."""


@dataclass(frozen=True)
class LambdaRuntime:
    """A function that runs on the emulator, whose process is the parent of its own; call it with an event."""

    address: str
    process: int

    def __call__(self, event: Any) -> dict[str, Any]:
        """Return Lambda's response to an event."""
        url = f"http://{self.address}/2015-03-31/functions/function/invocations"
        try:
            with urllib.request.urlopen(url, json.dumps(event).encode(), timeout=60) as response:
                answer: dict[str, Any] = json.load(response)
        except urllib.error.HTTPError as error:
            if error.code != HTTPStatus.BAD_GATEWAY:
                raise
            answer = json.load(
                error
            )  # the function could not start; Lambda reports it like a handler's error
        return answer

    def peak_memory_mb(self) -> float:
        """Return the most memory that the function's process has had, in MB; only Linux tells."""
        threads = Path(f"/proc/{self.process}/task").glob("*/children")
        (child,) = [child for thread in threads for child in thread.read_text(encoding="ascii").split()]
        status = Path(f"/proc/{child}/status").read_text(encoding="utf-8")
        return int(status.split("VmHWM:")[1].split()[0]) / 1024


@contextlib.contextmanager
def lambda_runtime(
    folder: str,
    variables: Mapping[str, str],
    log: Path,
    *,
    code: Path | None = None,
    handler: str = "app.lambda_handler",
) -> Iterator[LambdaRuntime]:
    """Run the function of a folder, or what was built of it, until the context ends.

    Its process starts with the first event. `variables` are in addition to the template's.
    """
    rapid = Path(samcli.__file__).parent / "local" / "rapid"
    emulator = rapid / f"aws-lambda-rie-{host_architecture()}"
    ports = _free_ports(2)
    invoke_at, runtime_at = (f"127.0.0.1:{port}" for port in ports)
    command = [sys.executable, "-m", "awslambdaric", handler]
    addresses = ["--runtime-interface-emulator-address", invoke_at, "--runtime-api-address", runtime_at]
    environment = {
        "PATH": os.environ["PATH"],
        **CLOUD,
        **function_environment(folder),
        **variables,
        "AWS_LAMBDA_FUNCTION_NAME": folder,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1536",
        "AWS_LAMBDA_FUNCTION_TIMEOUT": "60",
        "AWS_LAMBDA_LOG_FORMAT": "JSON",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(emulator), *addresses, *command],
            cwd=code or FUNCTIONS / folder,
            env=environment,
            stdout=output,
            stderr=output,
        )
    try:
        wait_for_port(ports[0], process, log)
        yield LambdaRuntime(invoke_at, process.pid)
    finally:
        process.terminate()
        process.wait(10)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(listener.getsockname()[1]) for listener in listeners]


def wait_for_port(port: int, process: subprocess.Popen[Any], log: Path, seconds: float = 30) -> None:
    """Return once a port of this machine is listened on; AssertionError with the log if the process ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError(f"{process.args!r} did not start:\n{log.read_text(errors='replace')[-4000:]}")
