"""Starting, deploying to and stopping a local cloud from a command."""

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from commandline.errors import CommandError
from commandline.polling import PollingTimeoutError, Rhythm, poll
from commandline.terminal import say
from localcloud.access import LocalSession
from localcloud.service import free_port
from localcloud.state import SAVE, Running, StateFolder
from localcloud.steps import StepError, Steps, tail, timed
from localcloud.supervisor import ALREADY_RUNNING, SAVE_TIMEOUT_S
from operations.stack import Stack

MEGABYTE: Final = 1024 * 1024
NEEDED_FILES: Final = 512
NEEDED_MB: Final = 500
"""The demo used 364 MB at its peak: the built functions, and a copy for each of their processes."""
_START_TIMEOUT_S: Final = 200
_STOP_TIMEOUT_S: Final = SAVE_TIMEOUT_S + 10
_PATIENCE_S: Final = 5
_OFTEN: Final = Rhythm(shortest_pause=0.1, longest_pause=0.1)


class AlreadyRunningError(CommandError):
    """Another local cloud uses the state folder."""


def start_and_build(
    folder: StateFolder, steps: Steps, build: Callable[[], None], bind: str, *, owned: bool
) -> tuple[Running, subprocess.Popen[bytes]]:
    """Start a local cloud and build the functions meanwhile; return what runs, and the supervisor to stop.

    If one of the two fails, nothing runs.
    """
    _require_open_files()
    _require_space(folder)
    free_port(bind)  # refuses an address of another machine now, without the logs of services
    folder.put_old_logs_aside()
    built = steps.submit(build)
    running, process = start(folder, bind, owned=owned)
    with stopped_on_error(process):
        built.result()
    return running, process


def _require_space(folder: StateFolder) -> None:
    free = shutil.disk_usage(folder.path).free // MEGABYTE
    if free < NEEDED_MB:
        raise CommandError(
            f"{folder.path} has {free} MB free, and the local cloud needs {NEEDED_MB}: make room, or name a "
            "folder on another disk with --state"
        )


def _require_open_files() -> None:
    """Let the processes that are started have as many open files as they need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < NEEDED_FILES:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (NEEDED_FILES, hard))
        except ValueError as error:
            raise CommandError(
                f"only {hard} files may be open at a time, and the local cloud needs {NEEDED_FILES}: raise "
                f"that limit (ulimit -n {NEEDED_FILES})"
            ) from error


@contextlib.contextmanager
def stopped_on_error(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Stop a local cloud if what is done with it fails or is interrupted."""
    try:
        yield
    except BaseException:
        stop_process(process)
        raise


def deploy(folder: StateFolder, work: Callable[[Running], Running], running: Running) -> Running:
    """Do the deploying `work` and write down what it deployed.

    Raises:
        StepError: it failed; the message says so if the local cloud itself has ended.
    """
    try:
        deployed = work(running)
    except CommandError as error:
        say(str(error))
        require_alive(folder)
        raise StepError("deploying failed, see above") from error
    folder.save(deployed)
    return deployed


def start(folder: StateFolder, bind: str, *, owned: bool) -> tuple[Running, subprocess.Popen[bytes]]:
    """Start a supervisor and wait until its local cloud answers.

    One that is `owned` ends with this process, however this process ends, and nothing of it is kept.

    Raises:
        AlreadyRunningError: the state folder is in use.
        StepError: the local cloud did not come up.
    """
    # One that has saved nothing, or nothing any more, is on its way down.
    if folder.supervisor() and (folder.load() or not _becomes_free(folder)):
        raise AlreadyRunningError(f"a local cloud runs already with the state folder {folder.path}")
    if not owned and (lost := folder.kept.recover()):
        say(lost)
    folder.logs.mkdir(parents=True, exist_ok=True)
    with (folder.logs / "supervisor.log").open("wb") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "localcloud.supervisor"),
                *("--state", str(folder.path), "--bind", bind, "--owned" if owned else "--keep"),
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
    def running() -> Running | None:
        if process.poll() == ALREADY_RUNNING:
            raise AlreadyRunningError(f"a local cloud runs already with the state folder {folder.path}")
        if process.poll() is not None:
            raise StepError(f"the local cloud did not start\n{_service_logs(folder)}")
        found = folder.load()
        return found if found and found.pids.get("supervisor") == process.pid else None

    try:
        found = poll(running, until=bool, timeout_seconds=_START_TIMEOUT_S, rhythm=_OFTEN)
    except PollingTimeoutError as error:
        raise StepError(
            f"the local cloud did not start within {_START_TIMEOUT_S} s\n{_service_logs(folder)}"
        ) from error
    if found is None:
        raise AssertionError("poll returns what `until` accepts")
    return found


def require_alive(folder: StateFolder, instance: str = "") -> None:
    """Raise a StepError, with cause and ends of logs, if a local cloud, `instance` or any, has ended."""
    running = folder.load()
    if running and instance in {"", running.instance}:
        return
    raise StepError(f"the local cloud has ended: {_cause(folder)}\n{_service_logs(folder)}")


def _cause(folder: StateFolder) -> str:
    """Return the last line that the supervisor wrote: why it stopped the services."""
    log = folder.logs / "supervisor.log"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    return next((line for line in reversed(lines) if line.strip()), "it was stopped, or killed")


def session(folder: StateFolder, running: Running) -> LocalSession:
    """Return a session with a local cloud, whose requests fail at once when that has ended."""
    return LocalSession(running, partial(require_alive, folder, running.instance))


def stack_of(folder: StateFolder, running: Running) -> Stack:
    """Return the stack that is deployed on a local cloud."""
    return Stack(running.stack["name"], running.stack["outputs"], session(folder, running))


def _service_logs(folder: StateFolder) -> str:
    logs = [folder.logs / f"{name}.log" for name in ("supervisor", "ministack", "sagemaker")]
    return "\n".join(f"  the end of {log}:\n{tail(log)}" for log in logs if log.exists())


def save_state(running: Running) -> None:
    """Let a local cloud save what is kept for the next start, as it does when it is stopped."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(running.pids["ministack"], SAVE)


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
    """Stop the local cloud of a state folder; return whether one was running."""
    supervisor = folder.supervisor()
    if supervisor is None:
        folder.clear()
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(supervisor, signal.SIGTERM)
    for waited in range(_PATIENCE_S, _STOP_TIMEOUT_S, _PATIENCE_S):
        if _becomes_free(folder, _PATIENCE_S):
            break
        say(f"  saving what is kept ({waited} s)")
    else:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(supervisor, signal.SIGKILL)
        if not _becomes_free(folder):
            raise StepError(f"the local cloud (process {supervisor}) does not stop")
    folder.clear()
    return True


def _becomes_free(folder: StateFolder, seconds: float = _STOP_TIMEOUT_S) -> bool:
    try:
        poll(folder.supervisor, until=lambda pid: pid is None, timeout_seconds=seconds, rhythm=_OFTEN)
    except PollingTimeoutError:
        return False
    return True
