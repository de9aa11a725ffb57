"""Starting and stopping a local cloud from a command."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from localcloud.state import Running, StateFolder, isolated_environment
from localcloud.steps import StepError, tail, timed
from localcloud.supervisor import ALREADY_RUNNING

_START_TIMEOUT_S = 200
_STOP_TIMEOUT_S = 20


class AlreadyRunningError(Exception):
    """Another local cloud uses the state folder."""


def start(folder: StateFolder, bind: str, *, owned: bool) -> tuple[Running, subprocess.Popen[bytes]]:
    """Start a supervisor and wait until its local cloud answers.

    Args:
        folder: The state folder.
        bind: Address to listen on.
        owned: Whether the local cloud must end with this process, however this process ends.

    Returns:
        What runs, and the supervisor's process.

    Raises:
        AlreadyRunningError: The state folder is in use.
        StepError: It did not come up.
    """
    folder.logs.mkdir(parents=True, exist_ok=True)
    log = folder.logs / "supervisor.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "localcloud.supervisor"),
                *("--state", str(folder.path), "--bind", bind, *(["--owned"] if owned else [])),
            ],
            stdin=subprocess.PIPE if owned else subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=Path(__file__).resolve().parents[1],
            start_new_session=True,
        )
    try:
        with timed("local cloud started"):
            return _wait_until_up(folder, process), process
    except BaseException:
        stop_process(process)
        raise


def _wait_until_up(folder: StateFolder, process: subprocess.Popen[bytes]) -> Running:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() == ALREADY_RUNNING:
            raise AlreadyRunningError(f"a local cloud runs already with the state folder {folder.path}")
        if process.poll() is not None:
            break
        running = folder.load()
        if running and running.pids.get("supervisor") == process.pid:
            return running
        time.sleep(0.1)
    raise StepError(f"the local cloud did not start\n{_service_logs(folder)}")


def require_alive(folder: StateFolder) -> None:
    """Tell when the local cloud ended under a command that failed: then that is the news.

    Raises:
        StepError: It ended by itself.
    """
    if folder.supervisor() is None:
        raise StepError(f"the local cloud ended by itself\n{_service_logs(folder)}")


def _service_logs(folder: StateFolder) -> str:
    logs = [folder.logs / f"{name}.log" for name in ("supervisor", "ministack", "sagemaker")]
    return "\n".join(f"  the end of {log}:\n{tail(log)}" for log in logs if log.exists())


def stop_process(process: subprocess.Popen[bytes]) -> None:
    """Stop a supervisor that this process started, and wait until nothing of it is left."""
    process.terminate()
    try:
        process.wait(timeout=_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def stop(folder: StateFolder) -> bool:
    """Stop the local cloud of a state folder.

    Returns:
        Whether one was running.

    Raises:
        StepError: It would not stop.
    """
    supervisor = folder.supervisor()
    if supervisor is None:
        folder.clear()
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(supervisor, signal.SIGTERM)
    if not _wait_until_free(folder):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(supervisor, signal.SIGKILL)
        if not _wait_until_free(folder):
            raise StepError(f"the local cloud (process {supervisor}) does not stop")
    folder.clear()
    return True


def _wait_until_free(folder: StateFolder) -> bool:
    deadline = time.monotonic() + _STOP_TIMEOUT_S
    while time.monotonic() < deadline:
        if folder.supervisor() is None:
            return True
        time.sleep(0.1)
    return False


def interruptible() -> None:
    """Turn SIGTERM and SIGHUP into what Ctrl-C is, so that everything is cleaned up alike."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


def use(running: Running) -> None:
    """Point this process's own AWS clients at a local cloud."""
    environment = isolated_environment(running)
    os.environ.update(environment)  # never empty in between: another thread may start a program
    for name in set(os.environ) - set(environment):
        del os.environ[name]
