"""Brings the application up: the local cloud started and the functions built side by side, then deployed."""

import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from commandline.errors import CommandError
from commandline.terminal import say
from localcloud import lifecycle
from localcloud.application import Application
from localcloud.service import free_port
from localcloud.state import Running, StateFolder
from localcloud.steps import StepError, Steps

MEGABYTE: Final = 1024 * 1024
NEEDED_FILES: Final = 512
NEEDED_MB: Final = 500
"""The demo used 364 MB at its peak: the built functions, and a copy for each of their processes."""


def start_and_build(
    folder: StateFolder, steps: Steps, application: Application, bind: str, *, owned: bool
) -> tuple[Running, subprocess.Popen[bytes]]:
    """Start a local cloud and build the functions meanwhile; return what runs, and the supervisor to stop.

    Raises:
        CommandError: one of the two failed; nothing runs then.
    """
    _require_open_files()
    _require_space(folder)
    free_port(
        bind
    )  # an address of another machine is refused now, without the logs of services that cannot start
    folder.put_old_logs_aside()
    built = steps.submit(application.build)
    running, process = lifecycle.start(folder, bind, owned=owned)
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


@contextmanager
def stopped_on_error(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Stop a local cloud if what is done with it fails or is interrupted."""
    try:
        yield
    except BaseException:
        lifecycle.stop_process(process)
        raise


def deploy(folder: StateFolder, application: Application, running: Running) -> Running:
    """Deploy the application and write down what was deployed.

    Raises:
        StepError: it failed; the message says so if the local cloud itself has ended.
    """
    try:
        deployed = application.deploy(running)
    except CommandError as error:
        say(str(error))
        lifecycle.require_alive(folder)
        raise StepError("deploying failed, see above") from error
    folder.save(deployed)
    return deployed
