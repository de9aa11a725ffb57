"""The process that owns a local cloud: starts emulator and stand-in, watches them, stops them as one.

Run by `localcloud up` and `localcloud demo`, in a session of its own so that a Ctrl-C in the terminal
reaches the command first. Its children end with it, however it ends: each holds one end of a pipe.
"""

import argparse
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from localcloud.parent import wait_for_eof
from localcloud.state import Running, StateFolder, isolated_environment

AWS_PORT = 4566
SAGEMAKER_PORT = 4567
ALREADY_RUNNING = 3
"""Exit status when another supervisor holds the state folder."""

_START_TIMEOUT_S = 60
_STOP_TIMEOUT_S = 8
_START_ATTEMPTS = 3


class StartError(Exception):
    """A service did not come up."""


def free_port(bind: str, preferred: int) -> int:
    """A port that is free on an address: the preferred one, else any.

    Args:
        bind: Address to listen on.
        preferred: Port to try first; 0 for any.

    Raises:
        StartError: The address is not one of this machine's.
    """
    for port in (preferred, 0):
        with contextlib.suppress(OSError), socket.create_server((bind, port)) as server:
            return int(server.getsockname()[1])
    raise StartError(f"cannot listen on {bind}: is it an address of this machine?")


def reachable(bind: str) -> str:
    """The address under which this machine reaches what listens on `bind`."""
    return "127.0.0.1" if bind in {"", "0.0.0.0"} else bind  # noqa: S104  # compared, not bound


@dataclass
class Service:
    """One child process.

    Attributes:
        name: Role, and name of the log file.
        process: The process; its stdin is the pipe that it ends with.
        health_url: Answers when the service is ready.
        instance: What the answer must contain: somebody else's service may have taken the port first.
    """

    name: str
    process: subprocess.Popen[bytes]
    health_url: str
    instance: str

    def wait_until_healthy(self) -> None:
        """Return when it answers.

        Raises:
            StartError: It ended, or took too long.
        """
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise StartError(f"{self.name} ended with status {self.process.returncode}")
            with contextlib.suppress(OSError, urllib.error.URLError):
                opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
                with opener.open(self.health_url, timeout=2) as answer:
                    if self.instance in answer.read().decode():
                        return
            time.sleep(0.1)
        raise StartError(f"{self.name} did not answer {self.health_url} within {_START_TIMEOUT_S} s")

    def ask_to_stop(self) -> None:
        """Send SIGTERM, if it still runs."""
        if self.process.poll() is None:
            self.process.terminate()

    def reap(self, deadline: float) -> None:
        """Wait for its end, insisting at the deadline."""
        try:
            self.process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Supervisor:
    """Owns the processes of one local cloud.

    Args:
        folder: The state folder, locked by the caller.
        bind: Address to listen on.
    """

    def __init__(self, folder: StateFolder, bind: str) -> None:
        self._folder = folder
        self._bind = bind
        self._services: list[Service] = []

    def start(self) -> Running:
        """Start everything, on other ports if somebody takes the chosen ones first.

        Raises:
            StartError: It would not come up.
        """
        shutil.rmtree(self._folder.temporary, ignore_errors=True)
        self._folder.temporary.mkdir(parents=True)
        self._folder.logs.mkdir(exist_ok=True)
        for attempt in range(1, _START_ATTEMPTS + 1):
            try:
                return self._start_on(
                    free_port(self._bind, AWS_PORT if attempt == 1 else 0),
                    free_port(self._bind, SAGEMAKER_PORT if attempt == 1 else 0),
                )
            except StartError:
                self.stop()
                if attempt == _START_ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    def watch(self, stop: threading.Event) -> str:
        """Return when told to stop (an empty text) or when a service ends by itself (which one)."""
        while not stop.wait(0.5):
            for service in self._services:
                if service.process.poll() is not None:
                    return f"{service.name} ended with status {service.process.returncode}"
        return ""

    def stop(self) -> None:
        """Stop all services, the latest first, and remove their temporary files."""
        services, self._services = self._services[::-1], []
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        for service in services:
            service.ask_to_stop()
        for service in services:
            service.reap(deadline)
        _end_grandchildren()
        shutil.rmtree(self._folder.temporary, ignore_errors=True)

    def _start_on(self, aws_port: int, sagemaker_port: int) -> Running:
        host = reachable(self._bind)
        running = Running(
            instance=uuid.uuid4().hex,
            bind=self._bind,
            aws_url=f"http://{host}:{aws_port}",
            sagemaker_url=f"http://{host}:{sagemaker_port}",
        )
        self._folder.temporary.mkdir(parents=True, exist_ok=True)
        environment = isolated_environment(running) | {"TMPDIR": str(self._folder.temporary)}
        self._spawn(
            "ministack",
            ["-m", "localcloud.ministack_launcher", str(self._folder.path)],  # the path is for `ps`
            environment | self._ministack_settings(host, aws_port, running.instance),
            f"{running.aws_url}/_ministack/health",
            running.instance,
        )
        self._spawn(
            "sagemaker",
            [
                *("-m", "localcloud.sagemaker", "--bind", self._bind, "--port", str(sagemaker_port)),
                *("--folder", str(self._folder.path / "sagemaker"), "--instance", running.instance),
            ],
            environment,
            f"{running.sagemaker_url}/health",
            running.instance,
        )
        for service in self._services:
            service.wait_until_healthy()
        running.pids = {"supervisor": os.getpid()} | {s.name: s.process.pid for s in self._services}
        return running

    def _ministack_settings(self, host: str, port: int, instance: str) -> dict[str, str]:
        return {
            "BIND_HOST": self._bind,
            "GATEWAY_PORT": str(port),
            "MINISTACK_HOST": host,
            "MINISTACK_EDITION": instance,  # shown in its answer to the health check
            "LAMBDA_EXECUTOR": "local",
            # Listeners on fixed ports, and a user's Docker, are none of our business.
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            "DOCKER_HOST": f"unix://{self._folder.temporary}/no-docker.sock",
        }

    def _spawn(
        self, name: str, arguments: list[str], environment: dict[str, str], health: str, instance: str
    ) -> None:
        with (self._folder.logs / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=Path(__file__).resolve().parents[1],
                env=environment,
            )
        self._services.append(Service(name, process, health, instance))


def _end_grandchildren() -> None:
    """End what the services started: Lambda workers would notice the end of ministack a moment later."""
    if os.getpgrp() != os.getpid():
        return  # started by hand, in a group with others
    handler = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)
    signal.signal(signal.SIGTERM, handler)


def _stop_on_signal(stop: threading.Event) -> None:
    def handler(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, handler)


def _stop_with_owner(stop: Callable[[], None]) -> None:
    def wait() -> None:
        wait_for_eof()
        stop()

    threading.Thread(target=wait, daemon=True).start()


def main() -> int:
    """Run a local cloud until a signal, the end of its owner, or the end of one of its services."""
    parser = argparse.ArgumentParser(prog="python -m localcloud.supervisor", description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--bind", default="127.0.0.1")
    parser.add_argument("--owned", action="store_true", help="stop when stdin closes")
    arguments = parser.parse_args()
    folder = StateFolder(arguments.state)
    lock = folder.lock_as_supervisor()
    if lock is None:
        return ALREADY_RUNNING
    stop = threading.Event()
    _stop_on_signal(stop)
    if arguments.owned:
        _stop_with_owner(stop.set)
    folder.clear()
    supervisor = Supervisor(folder, arguments.bind)
    try:
        folder.save(supervisor.start())
        problem = supervisor.watch(stop)
    except StartError as error:
        problem = str(error)
    finally:
        supervisor.stop()
        folder.clear()
        lock.close()
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
