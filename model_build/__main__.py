"""`python -m model_build COMMAND`; a command is imported only when it is used."""

from commandline.interrupts import end_silently

if __name__ == "__main__":
    end_silently()

import sys
from collections.abc import Sequence
from typing import Final

import click

from commandline.program import LazyCommand, LazyGroup, run

NAME: Final = "python -m model_build"
COMMANDS: Final = {
    "extract": LazyCommand(
        "model_build.commands.extract:command",
        "Write an archive as PNG files with the lists that SageMaker's built-in algorithm reads.",
    ),
    "learn": LazyCommand(
        "model_build.commands.learn:command", "Learn classes from folders of photos, in a minute."
    ),
    "train": LazyCommand(
        "model_build.commands.train:command", "Train a model on this machine (needs PyTorch)."
    ),
    "train-cloud": LazyCommand(
        "model_build.commands.train_cloud:command",
        "Train a model in a SageMaker training job (needs the SageMaker SDK).",
    ),
    "cross-validate": LazyCommand(
        "model_build.commands.cross_validate:command",
        "Measure a recipe without using the test images (needs PyTorch).",
    ),
    "evaluate": LazyCommand(
        "model_build.commands.evaluate:command",
        "Measure accuracy, coverage, calibration and out-of-distribution rejection.",
    ),
    "compare": LazyCommand(
        "model_build.commands.compare:command",
        "Compare a new model with the one that serves, and deploy it if it is better.",
    ),
    "predict": LazyCommand("model_build.commands.predict:command", "Classify image files."),
    "card": LazyCommand("model_build.commands.card:command", "Write the model card from a fresh evaluation."),
    "samples": LazyCommand(
        "model_build.commands.samples:command", "Draw the sample photos of the demo and of events/."
    ),
    "package": LazyCommand(
        "model_build.commands.package:command", "Write the model.tar.gz that an endpoint serves."
    ),
    "image": LazyCommand(
        "model_build.commands.image:command", "Build or push the project's serving image (needs Docker)."
    ),
    "deploy": LazyCommand(
        "model_build.commands.deploy:command", "Create or update the SageMaker endpoint of a model."
    ),
    "list": LazyCommand(
        "operations.commands.models:command", "List the models that an endpoint has had, and how they did."
    ),
    "use": LazyCommand(
        "model_build.commands.deploy:use_command", "Let a model answer that the endpoint has had before."
    ),
    "rollback": LazyCommand(
        "model_build.commands.deploy:rollback_command", "Let the model before the present one answer again."
    ),
    "status": LazyCommand(
        "model_build.commands.status:command", "Show what an endpoint serves and its state."
    ),
    "delete": LazyCommand(
        "model_build.commands.delete:command", "Delete an endpoint and everything that belongs to it."
    ),
}


class Commands(LazyGroup):
    """The commands, with `train --sagemaker` as another name for `train-cloud`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments name."""
        if args[0] == "train" and "--sagemaker" in args:
            args = ["train-cloud", *(word for word in args[1:] if word != "--sagemaker")]
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, lazy=COMMANDS)
def program() -> None:
    r"""Build the model: read data, train, evaluate, package and deploy.

    \b
    Example:
      scones model train --output build/model
      scones model evaluate --model build/model
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Args:
        arguments: the command and its options; the process's own by default.
    """
    return run(program, NAME, arguments)


if __name__ == "__main__":
    sys.exit(main())
