"""`localcloud up`."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from commandline.errors import UsageError
from commandline.options import trust_code_option
from commandline.terminal import say
from localcloud.application import Application
from localcloud.launch import deploy, start_and_build, stopped_on_error
from localcloud.lifecycle import save_state, stack_of
from localcloud.lost import name_lost
from localcloud.next_steps import print_next_steps
from localcloud.options import bind_option, model_option, state_option, strict_option
from localcloud.service import free_port
from localcloud.state import Running, StateFolder
from localcloud.steps import Steps
from operations.review.address import LOOPBACK, desk_address, desk_token

DESK_PORT: Final = 4580


@click.command("up")
@model_option
@trust_code_option
@bind_option
@strict_option
@state_option()
def command(*, model: Path | None, trust_code: bool, bind: str, state: Path) -> None:
    r"""Start the application and leave it running.

    Starts the local cloud, builds and deploys the stack with `sam`, and deploys the model. If the local cloud
    runs already, builds and deploys to it again. A model of your own, its labels and parameters that you
    deployed stay until you name others.

    \b
    Example:
      scones local up
    """
    folder = StateFolder(state)
    with folder.reserved(), Steps(folder.logs) as steps:
        application = Application(folder, steps, model, trust_code=trust_code)
        running = folder.load()
        if running:
            running = _deploy_again(folder, application, running, bind)
        else:
            kept, killed = folder.kept.last_ports(), folder.kept.killed()
            running, process = start_and_build(folder, steps, application, bind, owned=False)
            with stopped_on_error(process):
                running = deploy(folder, application, running)
            if kept:
                name_lost(stack_of(folder, running), killed)
        save_state(running)
        running = _with_desk(folder, running)
    print_next_steps(folder, running)


def _with_desk(folder: StateFolder, running: Running) -> Running:
    """Let the supervisor start the review desk, on loopback; return the local cloud with its address."""
    if not running.desk_url:
        port = free_port(LOOPBACK, DESK_PORT)
        running = replace(running, desk_url=desk_address(port, desk_token()))
        folder.save(running)
    return running


def _deploy_again(folder: StateFolder, application: Application, running: Running, bind: str) -> Running:
    if bind not in {LOOPBACK, running.bind}:
        raise UsageError(
            f"a local cloud runs already, and listens on {running.bind}: stop it first (make down) to have "
            f"one on {bind}"
        )
    say(f"a local cloud runs already ({folder.path}); deploying to it again")
    application.build()
    return deploy(folder, application, running)
