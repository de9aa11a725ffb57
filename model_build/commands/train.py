"""The command `train`."""

from pathlib import Path
from typing import Any

import click

from commandline.errors import UsageError
from commandline.options import PATH
from commandline.terminal import plural
from model_build.data.download import training_archives
from model_build.training.recipe import (
    TIME_BUDGET,
    UNDERSCORES,
    Recipe,
    classes_option,
    data_option,
    recipe_options,
)


def _refuse_photos(given: str | None) -> None:
    if given is not None:
        raise UsageError(
            f"--photos {given}: training is for thumbnails; scones model learn {given} learns photos"
        )


@click.command(context_settings=UNDERSCORES)
@data_option(
    "CIFAR archives, folders of them, or folders with a folder of images per class.  "
    "[default: CIFAR-100, downloaded if missing, and CIFAR-10 if present]"
)
@classes_option
@click.option(
    "--photos",
    hidden=True,
    expose_value=False,
    callback=lambda _context, _option, given: _refuse_photos(given),
)
@click.option(
    "--output", type=PATH, default=Path("build/model"), metavar="DIR", help="Model folder to write."
)
@click.option(
    "--time-budget",
    type=float,
    metavar="SECONDS",
    help=f"Shorten the training to end in time, at the cost of reproducibility.  [{TIME_BUDGET}]",
)
@recipe_options
def command(
    *,
    data: tuple[Path, ...],
    classes: tuple[str, ...],
    output: Path,
    time_budget: float | None,
    **hyperparameters: Any,
) -> None:
    r"""Train a model on this machine and write what serves it.

    Writes model.onnx, manifest.json, the serving code and charts of the training to a folder, measures the
    model on the archives' test images and adds the figures to the manifest. The defaults reproduce the
    shipped model in about ten CPU-minutes. Needs PyTorch (.venv/train).

    \b
    Example:
      scones model train --output build/model
      scones model train --data cifar-100-python.tar.gz --classes bicycle,motorcycle,bus
    """
    recipe = Recipe(**hyperparameters)
    if time_budget is not None:
        TIME_BUDGET.require("time-budget", time_budget)
    # PyTorch takes seconds to import and is not in every environment: first check the options.
    from model_build.training.pipeline import train  # noqa: PLC0415

    manifest = train(data or training_archives(), classes, recipe, output, time_budget)
    for name, value in (manifest.metrics or {}).items():
        print(f"{name:20}{round(value, 4) if isinstance(value, float) else value}")
    negatives = len(manifest.trained_classes) - len(classes)
    print(f"{output}: {', '.join(classes)}, and {plural(negatives, 'output')} for negatives")
