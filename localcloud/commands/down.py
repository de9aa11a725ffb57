"""`localcloud down`."""

from pathlib import Path

import click

from commandline.terminal import say
from localcloud import lifecycle
from localcloud.options import state_option
from localcloud.state import StateFolder


@click.command("down")
@state_option()
def command(*, state: Path) -> None:
    r"""Stop what `up` started.

    \b
    Example:
      python -m localcloud down
    """
    stopped = lifecycle.stop(StateFolder(state))
    say("stopped" if stopped else f"nothing runs with the state folder {state}")
