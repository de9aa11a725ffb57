"""The command `cross-validate`."""

import json
from pathlib import Path
from typing import Any

import click

from commandline.options import PATH, json_option
from model_build.data.download import training_archives
from model_build.errors import UsageError
from model_build.training.recipe import (
    FOLDS,
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
@click.option("--folds", type=int, default=5, help=f"Parts to split the training images into.  [{FOLDS}]")
@click.option("--only", type=int, metavar="N", help="Train and measure only the first N folds.")
@click.option("--output", type=PATH, metavar="FILE", help="Write the figures to this file too.")
@recipe_options
@json_option
def command(  # noqa: PLR0913 - one parameter per option
    *,
    data: tuple[Path, ...],
    classes: tuple[str, ...],
    folds: int,
    only: int | None,
    output: Path | None,
    as_json: bool,
    **hyperparameters: Any,
) -> None:
    r"""Measure a recipe without using the test images.

    Splits the training images into folds; each is once held out and measured, together with classes of
    negatives that the network was not trained on. Prints the figures, and the temperature that fits best.
    Takes as long as one training per fold. Needs PyTorch (.venv/train).

    \b
    Example:
      scones model cross-validate --folds 5 --dropout 0.3
    """
    recipe = Recipe(**hyperparameters)
    FOLDS.require("folds", folds)
    if only is not None and not 1 <= only <= folds:
        raise UsageError(f"--only {only}: must be from 1 to --folds {folds}")
    # PyTorch takes seconds to import and is not in every environment: first check the options.
    from model_build.training.cross_validation import cross_validate, figures  # noqa: PLC0415
    from model_build.training.dataset import assemble  # noqa: PLC0415
    from model_build.training.images import read_images  # noqa: PLC0415

    measured = cross_validate(
        assemble(read_images(data or training_archives()), classes), recipe, folds, only
    )
    report = {"folds": only or folds, **figures(measured, recipe)}
    text = json.dumps(report, indent=None if as_json else 2)
    if output:
        output.write_text(text + "\n", encoding="utf-8")
    print(text)
