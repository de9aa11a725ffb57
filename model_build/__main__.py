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
_OURS: Final = "model_build.commands."
COMMANDS: Final = {
    name: LazyCommand(f"{'' if '.' in module else _OURS}{module}:{name.replace('-', '_')}_command", purpose)
    for name, module, purpose in (
        ("extract", "images", "Write an archive as PNG files with lists for SageMaker's built-in algorithm."),
        ("learn", "learn", "Learn classes from folders of photos, in a minute."),
        ("train", "train", "Train a model on this machine (needs PyTorch)."),
        ("train-cloud", "train", "Train a model in a SageMaker training job (needs its SDK)."),
        ("cross-validate", "train", "Measure a recipe without using the test images (needs PyTorch)."),
        ("evaluate", "measure", "Measure accuracy, coverage, calibration and out-of-distribution rejection."),
        ("compare", "compare", "Compare a new model with the serving one, and deploy it if it is better."),
        ("predict", "measure", "Classify image files."),
        ("card", "measure", "Write the model card from a fresh evaluation."),
        ("samples", "images", "Draw the sample photos of the demo and of events/."),
        ("package", "package", "Write the model.tar.gz that an endpoint serves."),
        ("image", "package", "Build or push the project's serving image (needs Docker)."),
        ("deploy", "endpoint", "Create or update the SageMaker endpoint of a model."),
        ("list", "operations.commands.models", "List the models that an endpoint has had, and how they did."),
        ("use", "endpoint", "Let a model answer that the endpoint has had before."),
        ("rollback", "endpoint", "Let the model before the present one answer again."),
        ("status", "endpoint", "Show what an endpoint serves and its state."),
        ("delete", "endpoint", "Delete an endpoint and everything that belongs to it."),
    )
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
    """Run a command, the process's own by default, and return its exit code."""
    return run(program, NAME, arguments)


if __name__ == "__main__":
    sys.exit(main())
