"""Command-line options of the commands that train: the recipe's, generated from it, and those of the data."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from commandline.options import EXISTING, NameList, VariadicOption
from model_build.training.recipe import DEFAULT_CLASSES, recipe_fields

Command = TypeVar("Command", bound=Callable[..., Any])

# SageMaker's hyperparameters are named with underscores, options with hyphens: accept both.
UNDERSCORES: Final[dict[str, Any]] = {"token_normalize_func": lambda name: name.replace("_", "-")}

classes_option = click.option(
    "--classes",
    type=NameList(),
    default=",".join(DEFAULT_CLASSES),
    help="Classes to tell apart, in label order; images of all other classes are negatives.",
)


def data_option(description: str) -> Callable[[Command], Command]:
    """Return the option `--data` of a command."""
    return click.option("--data", cls=VariadicOption, type=EXISTING, metavar="PATH...", help=description)


def recipe_options(command: Command) -> Command:
    """Add one option for each field of the recipe."""
    for one in reversed(list(recipe_fields())):
        bounds = one.metadata["bounds"]
        description = one.metadata["description"]
        command = click.option(
            f"--{one.name.replace('_', '-')}",
            one.name,
            type=type(one.default),
            default=one.default,
            help=f"{description}  [{bounds}]" if bounds else description,
        )(command)
    return command
