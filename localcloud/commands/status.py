"""`localcloud status`."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from commandline.errors import FAILED
from commandline.options import json_option
from localcloud.options import state_option
from localcloud.state import StateFolder


@click.command("status")
@state_option()
@json_option
def command(*, state: Path, as_json: bool) -> int:
    r"""Show whether the local cloud runs, and where. Exit code 1 if it does not.

    \b
    Example:
      scones local status --json
    """
    folder = StateFolder(state)
    running = folder.load()
    if as_json:
        shown: dict[str, Any] = {"running": running is not None, "state": str(folder.path)}
        if running:
            shown |= asdict(running) | {"env_file": str(folder.env_file), "logs": str(folder.logs)}
            del shown["access_key"]
        print(json.dumps(shown))
    elif running:
        from localcloud.lifecycle import print_next_steps  # noqa: PLC0415 - it takes AWS's SDK

        print_next_steps(folder, running)
    else:
        print(f"nothing runs with the state folder {folder.path}; start it with: make up")
    return 0 if running else FAILED
