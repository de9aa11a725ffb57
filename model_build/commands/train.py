"""The command `train`."""

from pathlib import Path
from typing import Any

import click

from commandline.options import FOLDER, PATH, PROBABILITY
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


@click.command(context_settings=UNDERSCORES)
@data_option(
    "CIFAR archives, folders of them, or folders with a folder of images per class.  "
    "[default: CIFAR-100, downloaded if missing, and CIFAR-10 if present]"
)
@classes_option
@click.option(
    "--photos",
    type=FOLDER,
    metavar="DIR",
    help="Train on labelled photos too: DIR/<label>/*, and DIR/other/* as negatives.",
)
@click.option(
    "--hold-out",
    type=PROBABILITY,
    default=0.0,
    metavar="SHARE",
    help="Train on all but this share of the photos, so that `compare` has some that the model never saw. "
    "A photo's content decides: the same ones are held out every time.",
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
def command(  # noqa: PLR0913 - one parameter per option
    *,
    data: tuple[Path, ...],
    classes: tuple[str, ...],
    photos: Path | None,
    hold_out: float,
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
    from model_build.training.pipeline import Sources, train  # noqa: PLC0415

    sources = Sources(data or training_archives(), classes, photos, hold_out)
    manifest = train(sources, recipe, output, time_budget)
    for name, value in (manifest.metrics or {}).items():
        print(f"{name:20}{round(value, 4) if isinstance(value, float) else value}")
    negatives = len(manifest.trained_classes) - len(classes)
    print(f"{output}: {', '.join(classes)}, and {plural(negatives, 'output')} for negatives")
