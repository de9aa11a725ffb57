"""`localcloud up`."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import click

from commandline.errors import UsageError
from commandline.options import trust_code_option
from commandline.terminal import say, visible
from localcloud.application import Application
from localcloud.desk import kept_address
from localcloud.lifecycle import deploy, print_next_steps, save_state, stack_of, start_and_deploy
from localcloud.options import bind_option, model_option, state_option, strict_option
from localcloud.state import StateFolder
from localcloud.steps import Steps
from operations.redrive import send_to_review, without_outcome
from operations.results import ResultsTable
from operations.review import LOOPBACK
from operations.stack import Stack

_UPLOADED: Final = timedelta(days=30)  # as far as `scones redrive --missing` looks back
_ON_THE_WAY: Final = timedelta(seconds=10)


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
            if bind not in {LOOPBACK, running.bind}:
                stop = f"stop it first (make down) to have one on {bind}"
                raise UsageError(f"a local cloud runs already, and listens on {running.bind}: {stop}")
            say(f"a local cloud runs already ({folder.path}); deploying to it again")
            application.build()
            running = deploy(folder, application, running)
        else:
            kept, killed = folder.kept.last_ports(), folder.kept.killed()
            running, _ = start_and_deploy(folder, steps, application, bind, owned=False)
            if kept:
                _name_lost(stack_of(folder, running), killed)
        save_state(running)
        if not running.desk_url:  # which the supervisor waits for to start the desk, on loopback
            running = replace(running, desk_url=kept_address(folder.path))
            folder.save(running)
    print_next_steps(folder, running)


def _name_lost(stack: Stack, killed: datetime | None) -> None:
    """Name the photos whose execution was not ended, and send review messages again that were lost by a kill.

    `killed` is when messages were saved last, if they were not saved at the end.
    """
    table, now = ResultsTable(stack), stack.now()
    if killed:
        doubtful = table.find(outcome="LOW_CONFIDENCE", since=killed - _ON_THE_WAY)
        for record in send_to_review(stack, (one for one in doubtful if not one.decided_by)):
            say(f"  on the review queue again: {visible(record.object_uri)}")
    # A clock that was set back makes uploads of before later than now.
    photos = [one.photo for one in without_outcome(stack, table, now - _UPLOADED, now + _UPLOADED)]
    for photo in photos:
        say(f"  without an outcome: {visible(photo)}")
    if photos:
        say("classify them now: scones redrive --missing --older-than 1s")
