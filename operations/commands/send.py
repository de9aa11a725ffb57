"""`operations send`."""

from pathlib import Path

import click

from commandline.errors import FAILED
from commandline.options import EXISTING, PATH, Seconds, json_option
from commandline.terminal import say
from operations.options import StackChoice, stack_options
from operations.photos.send import send_photos
from operations.photos.sources import find_photos


@click.command("send")
@click.argument("paths", type=EXISTING, nargs=-1, required=True, metavar="FILE|FOLDER...")
@stack_options
@click.option("--timeout", type=Seconds(), default=180, help="How long one photo may take.")
@click.option("--page", type=PATH, metavar="FILE", help="Write the outcomes to an HTML page as well.")
@json_option
def command(
    *, choice: StackChoice, paths: tuple[Path, ...], timeout: float, page: Path | None, as_json: bool
) -> int:
    r"""Send photos to a stack and show the outcome of each.

    A FOLDER is sent with its subfolders; links are followed, names that begin with a dot are left out. With
    --json each photo is one line, and the last line is the summary. Exit code 0 if every photo reached an
    outcome and none is FAILED.

    \b
    Example:
      python -m operations send photo.jpg photos/ --stack-name scones
    """
    found = find_photos(paths)
    for skipped in found.skipped:
        say(skipped)
    return (
        0
        if send_photos(choice.find(), found.photos, timeout_s=timeout, as_json=as_json, page=page)
        else FAILED
    )
