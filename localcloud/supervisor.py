"""The process that owns a local cloud: starts ministack and the SageMaker emulator, watches and stops them.

Run by `localcloud up` and `localcloud demo`, in a session of its own so that a Ctrl-C in the terminal reaches
the command first. Its children end with it, however it ends: each holds one end of a pipe.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Final
from urllib.parse import parse_qs, urlsplit

from localcloud.environment import isolated_environment
from localcloud.faults import VARIABLE
from localcloud.service import Service, StartError, end_with_parent, free_port, reachable
from localcloud.state import Running, StateFolder, ministack_folders
from operations.review import TOKEN_VARIABLE

AWS_PORT: Final = 4566
SAGEMAKER_PORT: Final = 4567
ALREADY_RUNNING: Final = 3
"""Exit status when another supervisor holds the state folder."""

SAVE_TIMEOUT_S: Final = 600
"""How long ministack may take to write its state before it ends."""
_STOP_TIMEOUT_S: Final = 30
_START_ATTEMPTS: Final = 3
_DESK_PAUSE_S: Final = 5  # between starts of a desk that ends at once


class Supervisor:
    """Owns the processes of one local cloud.

    With `keep`, it starts with the photos, results and stacks of the last one that was kept, on the same
    ports if they are free, and is kept for the next.
    """

    def __init__(self, folder: StateFolder, bind: str, *, keep: bool) -> None:
        self._folder = folder
        self._bind = bind
        self._keep = keep
        self._services: list[Service] = []
        self._desk: Service | None = None
        self._desk_due = 0.0

    def start(self) -> Running:
        """Start everything, on other ports if another program takes the chosen ones first."""
        shutil.rmtree(self._folder.temporary, ignore_errors=True)
        self._folder.temporary.mkdir(parents=True)
        self._folder.faults.clear()
        self._folder.logs.mkdir(exist_ok=True)
        last = self._folder.kept.last_ports() if self._keep else []
        preferred = [[*last[:1], AWS_PORT], [*last[1:], SAGEMAKER_PORT]]
        for attempt in range(1, _START_ATTEMPTS + 1):
            try:
                return self._start_on(*(free_port(self._bind, *ports) for ports in preferred))
            except StartError:
                preferred = [[], []]
                self.stop()
                if attempt == _START_ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    def watch(self, stop: threading.Event) -> str:
        """Return when it is to stop (empty) or when a service ends by itself (its name and status)."""
        while not stop.wait(0.5):
            self._start_desk()
            for service in self._services:
                if service.process.poll() is not None:
                    return f"{service.name} ended with status {service.process.returncode}"
        return ""

    def stop(self) -> None:
        """Stop all services, the latest first, and remove their temporary files."""
        desk, self._desk = [self._desk] if self._desk else [], None
        services, self._services = [*desk, *self._services[::-1]], []
        asked = time.monotonic()
        for service in services:
            service.ask_to_stop()
        for service in services:
            saves = self._keep and service.name == "ministack"
            service.reap(asked + (SAVE_TIMEOUT_S if saves else _STOP_TIMEOUT_S))
        _end_grandchildren()
        shutil.rmtree(self._folder.temporary, ignore_errors=True)

    def _start_on(self, aws_port: int, sagemaker_port: int) -> Running:
        host = reachable(self._bind)
        running = Running(
            bind=self._bind,
            aws_url=f"http://{host}:{aws_port}",
            sagemaker_url=f"http://{host}:{sagemaker_port}",
            access_key=self._folder.access_key(),
            instance=uuid.uuid4().hex,
        )
        if self._keep:
            self._folder.kept.move_to(running)
        self._folder.temporary.mkdir(parents=True, exist_ok=True)
        environment = isolated_environment(running) | {
            "TMPDIR": str(self._folder.temporary),
            VARIABLE: str(self._folder.faults.path),
        }
        ministack = self._spawn(
            "ministack",
            ["-m", "localcloud.ministack", str(self._folder.path)],  # the path is for `ps`
            environment | self._ministack_settings(host, aws_port, running.instance),
            f"{running.aws_url}/_ministack/health",
            running.instance,
        )
        self._services.append(ministack)
        sagemaker = self._spawn(
            "sagemaker",
            [
                *("-m", "localcloud.sagemaker.server", "--bind", self._bind, "--port", str(sagemaker_port)),
                *("--folder", str(self._folder.path / "sagemaker"), "--instance", running.instance),
            ],
            environment,
            f"{running.sagemaker_url}/health",
            running.instance,
        )
        self._services.append(sagemaker)
        for service in self._services:
            service.wait_until_healthy()
        pids = {"supervisor": os.getpid()} | {s.name: s.process.pid for s in self._services}
        return replace(running, pids=pids)

    def _start_desk(self) -> None:
        """Start the review desk once there is a stack and a command wants it, and again if it has ended."""
        if time.monotonic() < self._desk_due or (self._desk and self._desk.process.poll() is None):
            return
        running = self._folder.saved()
        if running is None or not running.desk_url or not running.stack:
            return
        self._desk_due = time.monotonic() + _DESK_PAUSE_S
        address = urlsplit(running.desk_url)
        self._desk = self._spawn(
            "review-desk",
            ["-m", "localcloud.desk", str(address.port), str(self._folder.path)],  # the path is for `ps`
            isolated_environment(running) | {TOKEN_VARIABLE: parse_qs(address.query)["token"][0]},
            running.desk_url,
            "",
        )

    def _ministack_settings(self, host: str, port: int, instance: str) -> dict[str, str]:
        kept = self._folder.kept
        files = kept.settings() if self._keep else ministack_folders(self._folder.temporary)
        return files | {
            "BIND_HOST": self._bind,
            "GATEWAY_PORT": str(port),
            "MINISTACK_HOST": host,
            "MINISTACK_EDITION": instance,  # shown in its answer to the health check
            "LAMBDA_EXECUTOR": "local",
            "LAMBDA_ACCOUNT_CONCURRENCY": "1000",  # AWS's default; the workers behind it are far fewer
            # No listeners on fixed ports, and no containers on the user's Docker.
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            "DOCKER_HOST": f"unix://{self._folder.temporary}/no-docker.sock",
        }

    def _spawn(
        self, name: str, arguments: list[str], environment: dict[str, str], url: str, instance: str
    ) -> Service:
        with (self._folder.logs / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=Path(__file__).resolve().parents[1],
                env=environment,
            )
        return Service(name, process, url, instance)


def _end_grandchildren() -> None:
    """End what the services started: Lambda workers would notice the end of ministack a moment later."""
    if os.getpgrp() != os.getpid():
        return  # started by hand, in a process group with others
    handler = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)
    signal.signal(signal.SIGTERM, handler)


def _stop_on_signal(stop: threading.Event) -> None:
    def handler(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, handler)


def main() -> int:
    """Run a local cloud until a signal, the end of its owner, or the end of one of its services."""
    parser = argparse.ArgumentParser(prog="python -m localcloud.supervisor", description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--bind", default="127.0.0.1")
    parser.add_argument("--owned", action="store_true", help="stop when stdin closes")
    parser.add_argument(
        "--keep", action="store_true", help="keep photos, results and stacks for the next start"
    )
    arguments = parser.parse_args()
    os.umask(0o077)
    folder = StateFolder(arguments.state)
    folder.make()
    lock = folder.lock_as_supervisor()
    if lock is None:
        return ALREADY_RUNNING
    stop = threading.Event()
    _stop_on_signal(stop)
    if arguments.owned:
        end_with_parent(grace_s=2 * _STOP_TIMEOUT_S)
    folder.clear()
    supervisor = Supervisor(folder, arguments.bind, keep=arguments.keep)
    try:
        problem = _run(supervisor, folder, stop)
    finally:
        supervisor.stop()
        lock.close()
    return 1 if problem else 0


def _run(supervisor: Supervisor, folder: StateFolder, stop: threading.Event) -> str:
    """Start the services and return why they must be stopped; commands see that before it is done."""
    try:
        folder.save(supervisor.start())
        problem = supervisor.watch(stop)
    except StartError as error:
        problem = str(error)
    finally:
        folder.clear()
    if problem:
        print(problem, file=sys.stderr, flush=True)
    return problem


if __name__ == "__main__":
    sys.exit(main())
