"""The process that owns a local cloud: starts ministack and the SageMaker emulator, watches and stops them.

Run by `localcloud up` and `localcloud demo`, in a session of its own so that a Ctrl-C in the terminal reaches
the command first. Its children end with it, however it ends: each holds one end of a pipe.
"""

import contextlib
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
from typing import Final
from urllib.parse import parse_qs, urlsplit

from localcloud.environment import ROOT, isolated_environment
from localcloud.faults import VARIABLE
from localcloud.service import StartError, end_with_parent, free_port, wait_until_healthy
from localcloud.state import Running, StateFolder
from operations.review import TOKEN_VARIABLE

AWS_PORT: Final = 4566
SAGEMAKER_PORT: Final = 4567
OWNED: Final = "owned"
KEPT: Final = "kept"
ALREADY_RUNNING: Final = 3
"""Exit status when another supervisor holds the state folder."""

SAVE_TIMEOUT_S: Final = 600
"""How long ministack may take to write its state before it ends."""
_STOP_TIMEOUT_S: Final = 30
_START_ATTEMPTS: Final = 3
_DESK: Final = "review-desk"
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
        self._processes: dict[str, subprocess.Popen[bytes]] = {}  # by role, the oldest first
        self._desk_due = 0.0

    def start(self) -> Running:
        """Start everything, on other ports if another program takes the chosen ones first."""
        shutil.rmtree(self._folder.temporary, ignore_errors=True)
        self._folder.faults.clear()
        last = self._folder.kept.last_ports() if self._keep else []
        preferred = [[*last[:1], AWS_PORT], [*last[1:], SAGEMAKER_PORT]]
        for _ in range(_START_ATTEMPTS - 1):
            with contextlib.suppress(StartError):
                return self._start_on(*(free_port(self._bind, *ports) for ports in preferred))
            preferred = [[], []]
            self.stop()
        return self._start_on(free_port(self._bind), free_port(self._bind))

    def watch(self, stop: threading.Event) -> None:
        """Return when it is to stop; StartError if a service ends by itself."""
        while not stop.wait(0.5):
            self._start_desk()
            for name, process in self._processes.items():
                if name != _DESK and process.poll() is not None:
                    raise StartError(f"{name} ended with status {process.returncode}")

    def stop(self) -> None:
        """Stop all services, the latest first, and remove their temporary files."""
        stopping, self._processes = list(self._processes.items())[::-1], {}
        asked = time.monotonic()
        for _, process in stopping:
            process.terminate()
        for name, process in stopping:
            patience = SAVE_TIMEOUT_S if self._keep and name == "ministack" else _STOP_TIMEOUT_S
            try:
                process.wait(timeout=max(0.0, asked + patience - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if os.getpgrp() == os.getpid():  # and not started by hand, in a process group with others
            # Lambda workers would notice the end of ministack a moment later.
            handler = signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.killpg(0, signal.SIGTERM)
            signal.signal(signal.SIGTERM, handler)
        shutil.rmtree(self._folder.temporary, ignore_errors=True)

    def _start_on(self, aws_port: int, sagemaker_port: int) -> Running:
        host = "127.0.0.1" if self._bind in {"", "0.0.0.0"} else self._bind  # noqa: S104  # compared, not bound
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
        state, instance = str(self._folder.path), running.instance
        environment = isolated_environment(running) | {
            "TMPDIR": str(self._folder.temporary),
            VARIABLE: str(self._folder.faults.path),
        }
        settings = self._ministack_settings(host, aws_port, instance)
        self._spawn("ministack", environment | settings, state)  # the path is for `ps`
        arguments = (self._bind, str(sagemaker_port), f"{state}/sagemaker", instance)
        self._spawn("sagemaker", environment, *arguments, module="sagemaker.server")
        for name, url in (
            ("ministack", f"{running.aws_url}/_ministack/health"),
            ("sagemaker", f"{running.sagemaker_url}/health"),
        ):
            wait_until_healthy(name, self._processes[name], url, instance)
        pids = {name: process.pid for name, process in self._processes.items()}
        return replace(running, pids={"supervisor": os.getpid(), **pids})

    def _start_desk(self) -> None:
        """Start the review desk once there is a stack and a command wants it, and again if it has ended."""
        desk = self._processes.get(_DESK)
        if time.monotonic() < self._desk_due or (desk and desk.poll() is None):
            return
        running = self._folder.saved()
        if running and running.desk_url and running.stack:
            self._desk_due = time.monotonic() + _DESK_PAUSE_S
            address = urlsplit(running.desk_url)
            token = {TOKEN_VARIABLE: parse_qs(address.query)["token"][0]}
            arguments = (str(address.port), str(self._folder.path))  # the path is for `ps`
            self._spawn(_DESK, isolated_environment(running) | token, *arguments, module="desk")

    def _ministack_settings(self, host: str, port: int, instance: str) -> dict[str, str]:
        files = self._folder.kept.folder if self._keep else self._folder.temporary
        return {
            "STATE_DIR": str(files / "state"),
            "S3_DATA_DIR": str(files / "s3"),
            **({"PERSIST_STATE": "1", "S3_PERSIST": "1"} if self._keep else {}),
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

    def _spawn(self, name: str, environment: dict[str, str], *arguments: str, module: str = "") -> None:
        self._folder.logs.mkdir(exist_ok=True)
        with (self._folder.logs / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", f"localcloud.{module or name}", *arguments],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=environment,
            )


def main() -> int:
    """Run a local cloud until a signal, the end of its owner, or the end of one of its services.

    Arguments are the state folder, the address to listen on, and whether it is owned (and stops when stdin
    closes) or kept for the next start.
    """
    state, bind, kind = sys.argv[1:]
    os.umask(0o077)
    folder = StateFolder(Path(state))
    folder.make()
    lock = folder.lock_as_supervisor()
    if lock is None:
        return ALREADY_RUNNING
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    if kind == OWNED:
        end_with_parent(grace_s=2 * _STOP_TIMEOUT_S)
    folder.clear()
    supervisor = Supervisor(folder, bind, keep=kind == KEPT)
    with lock:
        try:
            folder.save(supervisor.start())
            supervisor.watch(stop)
        except StartError as error:
            print(error, file=sys.stderr, flush=True)
            return 1
        finally:
            folder.clear()  # so that commands see it before anything is stopped
            supervisor.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
