"""`operations review`."""

import getpass
import os
import webbrowser

import click

from commandline.options import PROBABILITY
from commandline.terminal import say
from operations.review import LOOPBACK, desk_address, desk_token
from operations.stack import StackChoice, stack_options


def default_reviewer() -> str:
    """Return the name of whoever runs this command, as the system knows it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


@click.command("review")
@stack_options
@click.option("--port", type=click.IntRange(0, 65535), default=4580, help="Port; 0 takes a free one.")
@click.option("--reviewer", metavar="NAME", help="Who decides.  [default: your name on this machine]")
@click.option("--audit", type=PROBABILITY, default=0.02, help="Share of accepted photos to look at blind.")
@click.option("--open/--no-open", "opened", default=False, help="Open the page in a browser.")
def command(*, choice: StackChoice, port: int, reviewer: str | None, audit: float, opened: bool) -> None:
    r"""Serve the review desk on this machine, until Ctrl-C: decide on doubtful photos with one key each.

    A decision is recorded with the reviewer's name, published as event with `reviewed: true`, and the photo
    is copied to labelled/<label>/ in the photo bucket. Photos that are looked at are hidden from others. The
    page /live shows what comes in now; a photo that is dropped there is sent through.

    \b
    Example:
      scones review --open
    """
    # Imported late: other commands need no web server.
    from operations.review.desk import Desk  # noqa: PLC0415
    from operations.review.server import create_app, serve  # noqa: PLC0415

    stack, token = choice.find(), desk_token()
    desk = Desk(stack, reviewer or default_reviewer(), audit)

    def started(port: int) -> None:
        desk_url, live_url = desk_address(port, token), desk_address(port, token, "live")
        say(f"review desk of the stack {stack.name}: {desk_url} (Ctrl-C ends it); live view: {live_url}")
        if opened:
            webbrowser.open(desk_url)

    try:
        serve(create_app(stack, desk, token), LOOPBACK, port, started)
    finally:
        desk.close()
