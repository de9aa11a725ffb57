"""The program `scones`: the operations of a stack, `scones model …` and `scones local …`, from any folder."""

import importlib
import sys
from collections.abc import Sequence
from typing import Final

import click

from commandline.program import LazyCommand, LazyGroup, run

GROUPS: Final = {
    "model": LazyCommand("model_build.__main__:program", "Train, measure and deploy the model."),
    "local": LazyCommand("localcloud.__main__:program", "The whole application on this machine."),
}
WITHOUT_AWS: Final = frozenset(
    f"model {name}"
    for name in ("extract", "train", "cross-validate", "evaluate", "predict", "card", "samples", "package")
) | {"", "cost", "local", "model"}


# By name, as the commands: what stands higher is not imported here.
@click.group(cls=LazyGroup, lazy=importlib.import_module("operations.__main__").COMMANDS | GROUPS)
def program() -> None:
    r"""Classify vehicles: work with a deployed stack, on AWS or on this machine.

    Region and credentials are found as every AWS tool finds them: AWS_PROFILE, AWS_REGION, ~/.aws. Without
    any of these, the running local cloud of this checkout (`scones local up`) is used.

    \b
    Example:
      scones local demo
      scones send photo.jpg
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    name = " ".join(given[: 2 if given[:1] == ["model"] else 1])
    offline = name in WITHOUT_AWS or name.startswith("-") or {"-h", "--help"}.intersection(given)
    if not offline:
        importlib.import_module("localcloud.state").attach(given)
    return run(program, "scones", given)


if __name__ == "__main__":
    sys.exit(main())
