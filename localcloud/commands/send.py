"""`localcloud send`."""

from pathlib import Path

import click

from commandline.errors import FAILED, UsageError
from commandline.options import EXISTING, Seconds, json_option
from commandline.terminal import say
from localcloud import lifecycle
from localcloud.options import state_option
from localcloud.state import StateFolder
from operations.photos.send import send_photos
from operations.photos.sources import find_photos
from operations.stack import Stack


@click.command("send")
@click.argument("paths", type=EXISTING, nargs=-1, required=True, metavar="FILE|FOLDER...")
@click.option("--timeout", type=Seconds(), default=180, help="How long one photo may take.")
@json_option
@state_option()
def command(*, paths: tuple[Path, ...], timeout: float, as_json: bool, state: Path) -> int:
    r"""Classify photos with what `up` started; the short way to `operations send`.

    \b
    Example:
      python -m localcloud send photo.jpg photos/
    """
    found = find_photos(paths)
    folder = StateFolder(state)
    running = folder.load()
    if running is None or not running.stack:
        raise UsageError(f"nothing runs with the state folder {folder.path}; start it with: make up")
    for skipped in found.skipped:
        say(skipped)
    stack = Stack(running.stack["name"], running.stack["outputs"], lifecycle.session(folder, running))
    return 0 if send_photos(stack, found.photos, timeout_s=timeout, as_json=as_json) else FAILED
