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
) | {"cost"}


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
    if calls_aws(given):
        importlib.import_module("localcloud.attach").attach(given)
    return run(program, "scones", given)


def calls_aws(arguments: Sequence[str]) -> bool:
    """Return whether a command line is one that may call AWS."""
    if not arguments or arguments[0].startswith("-") or arguments[0] == "local":
        return False
    name = " ".join(arguments[: 2 if arguments[0] == "model" else 1])
    return name not in WITHOUT_AWS | {"model"} and not {"-h", "--help"}.intersection(arguments)


if __name__ == "__main__":
    sys.exit(main())
