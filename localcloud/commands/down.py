"""`localcloud down`."""

from pathlib import Path

import click

from commandline.errors import CommandError
from commandline.terminal import confirm, say
from localcloud import lifecycle
from localcloud.options import state_option
from localcloud.state import StateFolder


@click.command("down")
@click.option("--erase", is_flag=True, help="Also erase photos, results and stack.")
@click.option("--yes", is_flag=True, help="Do not ask before erasing.")
@state_option()
def command(*, erase: bool, yes: bool, state: Path) -> None:
    r"""Stop what `up` started.

    Photos, results and the stack are kept for the next `up`, unless you --erase them. Endpoints that you
    deployed yourself are not kept.

    \b
    Example:
      scones local down --erase
    """
    folder = StateFolder(state)
    if erase and not yes:
        confirm(f"This erases the photos, results and stack in {folder.kept.folder}")
    stopped = lifecycle.stop(folder)
    say("stopped" if stopped else f"no local cloud to stop: nothing runs with the state folder {folder.path}")
    if stopped and not erase and (lost := folder.kept.lost()):
        raise CommandError(lost)
    if erase:
        folder.kept.erase()
        say("photos, results and stack are erased")
    elif folder.kept.folder.exists():
        kept = folder.kept.folder
        say(f"photos, results and stack are kept for the next start in {kept} (down --erase removes them)")
