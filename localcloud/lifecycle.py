"""Starting, deploying to, showing and stopping a local cloud from a command."""

import contextlib
import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from commandline.errors import CommandError
from commandline.polling import PollingTimeoutError, poll
from commandline.terminal import say, visible
from localcloud.access import LocalSession
from localcloud.application import Application
from localcloud.environment import ROOT
from localcloud.service import OFTEN, free_port
from localcloud.state import SAVE, USUAL_STATE, BusyError, Running, StateFolder
from localcloud.steps import StepError, Steps, tail, timed
from localcloud.supervisor import ALREADY_RUNNING, KEPT, OWNED, SAVE_TIMEOUT_S
from operations.checks import run_checks
from operations.stack import Stack
from operations.status import Situation

NEEDED_FILES: Final = 512
NEEDED_MB: Final = 500
"""The demo used 364 MB at its peak: the built functions, and a copy for each of their processes."""
_START_TIMEOUT_S: Final = 200
_STOP_TIMEOUT_S: Final = SAVE_TIMEOUT_S + 10
_PATIENCE_S: Final = 5


def start_and_deploy(
    folder: StateFolder, steps: Steps, application: Application, bind: str, *, owned: bool
) -> tuple[Running, subprocess.Popen[bytes]]:
    """Start a local cloud, build the functions meanwhile, and deploy; return what runs, and the supervisor.

    If one of them fails, nothing runs.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < NEEDED_FILES:  # of the processes that are started
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (NEEDED_FILES, hard))
        except ValueError as error:
            raise CommandError(
                f"only {hard} files may be open at a time, and the local cloud needs {NEEDED_FILES}: raise "
                f"that limit (ulimit -n {NEEDED_FILES})"
            ) from error
    free = shutil.disk_usage(folder.path).free // 1024**2
    if free < NEEDED_MB:
        raise CommandError(
            f"{folder.path} has {free} MB free, and the local cloud needs {NEEDED_MB}: make room, or name a "
            "folder on another disk with --state"
        )
    free_port(bind)  # refuses an address of another machine now, without the logs of services
    folder.put_old_logs_aside()
    built = steps.submit(application.build)
    running, process = start(folder, bind, owned=owned)
    with _stopped_on_error(process):
        built.result()
        return deploy(folder, application, running), process


def deploy(folder: StateFolder, application: Application, running: Running) -> Running:
    """Deploy the application and write down what it deployed.

    StepError if that failed; the message says so if the local cloud itself has ended.
    """
    try:
        deployed = application.deploy(running)
    except CommandError as error:
        say(str(error))
        require_alive(folder)
        raise StepError("deploying failed, see above") from error
    folder.save(deployed)
    return deployed


def start(folder: StateFolder, bind: str, *, owned: bool) -> tuple[Running, subprocess.Popen[bytes]]:
    """Start a supervisor and wait until its local cloud answers.

    One that is `owned` ends with this process, however this process ends, and nothing of it is kept.
    BusyError if the state folder is in use, StepError if the local cloud does not come up.
    """
    in_use = BusyError(f"a local cloud runs already with the state folder {folder.path}")
    # One that has saved nothing, or nothing any more, is on its way down.
    if folder.supervisor() and (folder.load() or not _becomes_free(folder)):
        raise in_use
    if not owned and (lost := folder.kept.recover()):
        say(lost)
    folder.logs.mkdir(parents=True, exist_ok=True)
    kind = OWNED if owned else KEPT
    with (folder.logs / "supervisor.log").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "localcloud.supervisor", str(folder.path), bind, kind],
            stdin=subprocess.PIPE if owned else subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=ROOT,
            start_new_session=True,
        )

    def running() -> Running | None:
        if process.poll() == ALREADY_RUNNING:
            raise in_use
        if process.poll() is not None:
            raise StepError(f"the local cloud did not start\n{_service_logs(folder)}")
        found = folder.load()
        return found if found and found.pids.get("supervisor") == process.pid else None

    with _stopped_on_error(process), timed("local cloud started"):
        try:
            found = poll(running, until=bool, timeout_seconds=_START_TIMEOUT_S, rhythm=OFTEN)
        except PollingTimeoutError:
            found = None
        if found is None:
            raise StepError(
                f"the local cloud did not start within {_START_TIMEOUT_S} s\n{_service_logs(folder)}"
            )
    return found, process


def require_alive(folder: StateFolder, instance: str = "") -> None:
    """Raise a StepError, with cause and ends of logs, if a local cloud, `instance` or any, has ended."""
    running = folder.load()
    if running and instance in {"", running.instance}:
        return
    # The last line that the supervisor wrote: why it stopped the services.
    log = folder.logs / "supervisor.log"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    cause = next((line for line in reversed(lines) if line.strip()), "it was stopped, or killed")
    raise StepError(f"the local cloud has ended: {cause}\n{_service_logs(folder)}")


def session(folder: StateFolder, running: Running) -> LocalSession:
    """Return a session with a local cloud, whose requests fail at once when that has ended."""
    return LocalSession(running, partial(require_alive, folder, running.instance))


def stack_of(folder: StateFolder, running: Running) -> Stack:
    """Return the stack that is deployed on a local cloud."""
    return Stack(running.stack["name"], running.stack["outputs"], session(folder, running))


def print_next_steps(folder: StateFolder, running: Running) -> None:
    """Print where a local cloud listens, commands to try, which model serves, and the pages' addresses."""
    outputs = running.stack.get("outputs", {})
    print(f"The local cloud is up: AWS at {running.aws_url}, SageMaker at {running.sagemaker_url}")
    if not outputs:
        print("  nothing is deployed on it; deploy with: make up")
        return
    usual = folder.path == USUAL_STATE.resolve()
    scones = os.path.relpath(Path(sys.executable).with_name("scones"))
    other = f"{scones} local down --state {shlex.quote(os.path.relpath(folder.path))}"
    (model,) = run_checks(Situation(stack_of(folder, running)).model)
    print(
        f"\nTry:\n"
        f"  . {os.path.relpath(folder.env_file)}\n"
        f"  scones send photo.jpg\n"
        f"  scones results\n"
        f"  aws s3 cp photo.jpg s3://{outputs['PhotoBucketName']}/incoming/photo.jpg\n"
        f"\nLogs: {os.path.relpath(folder.logs)}. Stop it with: {'make down' if usual else other}\n"
        f"Model: {visible(model.detail)}\n"
        f"\nLook at what comes in:      {running.desk_url.replace('/?', '/live?')}\n"
        f"Decide on doubtful photos:  {running.desk_url}"
    )


def save_state(running: Running) -> None:
    """Let a local cloud save what is kept for the next start, as it does when it is stopped."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(running.pids["ministack"], SAVE)


@contextlib.contextmanager
def _stopped_on_error(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Stop a local cloud if what is done with it fails or is interrupted."""
    try:
        yield
    except BaseException:
        stop_process(process)
        raise


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
        poll(folder.supervisor, until=lambda pid: pid is None, timeout_seconds=seconds, rhythm=OFTEN)
    except PollingTimeoutError:
        return False
    return True


def _service_logs(folder: StateFolder) -> str:
    logs = [folder.logs / f"{name}.log" for name in ("supervisor", "ministack", "sagemaker")]
    return "\n".join(f"  the end of {log}:\n{tail(log)}" for log in logs if log.exists())
