"""Options that the commands share."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from commandline.options import PATH, Command, HomePath
from localcloud.environment import ROOT, STRICT
from localcloud.state import USUAL_STATE
from model_build.archive.package import DEFAULT_MODEL

DEMO_STATE: Final = ROOT / "build" / "demo"


def state_option(default: Path = USUAL_STATE) -> Callable[[Command], Command]:
    """Return a decorator that adds --state."""
    return click.option(
        "--state",
        type=PATH,
        envvar="SCONES_STATE",
        show_envvar=True,
        default=default,
        show_default=f"{default.relative_to(ROOT)} in the checkout",
        metavar="DIR",
        help="Folder of this local cloud's state and logs.",
    )


class ModelPath(HomePath):
    """A model folder or model.tar.gz; `default` is the shipped one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Replace `default`."""
        return DEFAULT_MODEL if value == "default" else super().convert(value, param, ctx)


model_option = click.option(
    "--model",
    type=ModelPath(exists=True, path_type=Path),
    show_default="the one that served last, or the shipped one",
    metavar="PATH",
    help="Model folder or model.tar.gz behind the endpoint; its labels become the stack's ClassLabels. "
    "`default` is the shipped one.",
)
bind_option = click.option(
    "--bind",
    default="127.0.0.1",
    metavar="ADDRESS",
    help="Address to listen on; any other lets other machines in.",
)


strict_option = click.option(
    "--strict",
    is_flag=True,
    expose_value=False,
    callback=lambda _context, _option, strict: os.environ.update({STRICT: "1"} if strict else {}),
    help="Start it as slow and as strict as AWS: latency, throttling, short polls that find nothing, ten "
    "functions at a time, no events of a new bucket at first.",
)
