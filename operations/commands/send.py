"""`scones send`."""

import json
from pathlib import Path
from typing import Final

import click

from commandline.errors import FAILED
from commandline.options import EXISTING, PATH, SECONDS, json_option
from commandline.terminal import confirm, plural, say, visible
from operations.photos.sources import PREFIX, find_photos
from operations.stack import StackChoice, stack_options

MANY: Final = 200


@click.command("send")
@click.argument("paths", type=EXISTING, nargs=-1, required=True, metavar="FILE|FOLDER...")
@stack_options
@click.option("--timeout", type=SECONDS, default=180, help="How long one photo may take.")
@click.option("--page", type=PATH, metavar="FILE", help="Write the outcomes to an HTML page as well.")
@click.option("--dry-run", is_flag=True, help="Only list the photos and their keys.")
@click.option("--yes", is_flag=True, help=f"Send more than {MANY} photos without asking.")
@json_option
def command(  # noqa: PLR0913 - one parameter for each option
    *,
    choice: StackChoice,
    paths: tuple[Path, ...],
    timeout: float,
    page: Path | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    r"""Send photos to a stack and show the outcome of each.

    A FOLDER is sent with its subfolders under its name: album/a.jpg becomes incoming/album/a.jpg. What is no
    photo by its first bytes, or begins with a dot, is left out; links are followed. With --json each photo is
    one line, and the last line is the summary. Exit code 0 if every photo reached an outcome and none is
    FAILED.

    \b
    Example:
      scones send photo.jpg album/ --stack-name scones
    """
    found = find_photos(paths)
    for skipped in found.skipped:
        say(skipped)
    if dry_run:
        for photo in found.photos:
            line = {"file": photo.name, "s3_key": photo.key}
            print(json.dumps(line) if as_json else f"{visible(photo.name)} -> {visible(photo.key)}")
        say(f"nothing was sent: {plural(len(found.photos), 'photo')}")
        return 0
    if len(found.photos) > MANY and not yes:
        confirm(f"This sends {plural(len(found.photos), 'photo')} to {PREFIX} of the stack {choice.name}")
    stack = choice.find()
    from operations.photos.send import send_photos  # noqa: PLC0415 - draws thumbnails, which takes Jinja

    try:
        done = send_photos(stack, found.photos, timeout_s=timeout, as_json=as_json, page=page)
    except KeyboardInterrupt:
        say("what was sent is classified all the same, and `scones results` lists it")
        raise
    return 0 if done else FAILED
