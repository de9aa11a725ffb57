"""The commands `train`, `train-cloud` and `cross-validate`."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import click

from commandline.options import PATH, SECONDS, json_option
from commandline.terminal import plural, say
from model_build.data.download import training_archives
from model_build.errors import UsageError
from model_build.training.recipe import (
    RECIPE_FIELDS,
    UNDERSCORES,
    Recipe,
    classes_option,
    data_option,
    recipe_options,
)

SECONDS_AN_EPOCH = 48  # of both archives on one thread: 12 epochs take eight to ten minutes
_data_option = data_option(
    "CIFAR archives, folders of them, or folders with a folder of images per class.  "
    "[default: CIFAR-100, downloaded if missing, and CIFAR-10 if present]"
)


def _refuse_photos(_: click.Context, __: click.Parameter, given: str | None) -> None:
    if given is not None:
        raise UsageError(
            f"--photos {given}: training is for thumbnails; scones model learn {given} learns photos"
        )


@click.command("train", context_settings=UNDERSCORES)
@_data_option
@classes_option
@click.option("--photos", hidden=True, expose_value=False, callback=_refuse_photos)
@click.option(
    "--output", type=PATH, default=Path("build/model"), metavar="DIR", help="Model folder to write."
)
@click.option(
    "--time-budget",
    type=SECONDS,
    help="Shorten the training to end in time, at the cost of reproducibility.",
)
@recipe_options
def train_command(
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
    minutes = plural(round(recipe.epochs * SECONDS_AN_EPOCH / 60) or 1, "minute")
    ends = f"within {time_budget:g} s" if time_budget else f"about {minutes} with CIFAR-100 and CIFAR-10"
    say(f"training {', '.join(classes)} for {plural(recipe.epochs, 'epoch')}: {ends}")
    # PyTorch takes seconds to import and is not in every environment: first check the options.
    from model_build.training.pipeline import train  # noqa: PLC0415

    manifest = train(data or training_archives(), classes, recipe, output, time_budget)
    for name, value in (manifest.metrics or {}).items():
        print(f"{name:20}{round(value, 4) if isinstance(value, float) else value}")
    negatives = len(manifest.trained_classes) - len(classes)
    print(f"{output}: {', '.join(classes)}, and {plural(negatives, 'output')} for negatives")


@click.command(context_settings=UNDERSCORES)
@data_option("CIFAR archives.  [default: CIFAR-100, downloaded if missing, and CIFAR-10 if present]")
@classes_option
@click.option(
    "--role-arn", required=True, metavar="ARN", help="Role of the job; model_build/role.yaml creates one."
)
@click.option("--bucket", required=True, metavar="NAME", help="Bucket for data, code and the trained model.")
@click.option("--instance-type", default="ml.c5.xlarge", metavar="TYPE", help="What the job runs on.")
@click.option(
    "--spot",
    is_flag=True,
    help="Use spare capacity, at about a third of the price; new accounts have no quota for it.",
)
@click.option(
    "--max-runtime",
    "max_runtime_seconds",
    type=click.IntRange(60, 28 * 86_400),  # SageMaker's own limit is 28 days
    default=3600,
    metavar="SECONDS",
    help="Stop the job after this time.",
)
@click.option("--image", metavar="URI", help="Training image.  [default: AWS's current PyTorch image]")
@click.option("--output", type=PATH, default="build/sagemaker-model", metavar="DIR", help="Folder to write.")
@recipe_options
@json_option
def train_cloud_command(*, data: tuple[Path, ...], as_json: bool, **settings: Any) -> None:
    r"""Train a model in a SageMaker training job.

    Uploads the training images by class, runs the job on AWS's PyTorch image, downloads the model and
    measures it on the test images, which the job never sees. Needs the SageMaker SDK (.venv/sagemaker), and a
    role and a bucket as model_build/role.yaml creates them. AWS charges for the job.

    \b
    Example:
      scones model train-cloud --role-arn arn:aws:iam::123456789012:role/scones-model \
        --bucket scones-models
    """
    from model_build.cloud_training import TrainRequest, train  # noqa: PLC0415 - it takes AWS's SDK

    recipe = Recipe(**{one.name: settings.pop(one.name) for one in RECIPE_FIELDS})
    result = train(TrainRequest(data=data or training_archives(), recipe=recipe, **settings))
    if as_json:
        print(json.dumps(dataclasses.asdict(result)))
        return
    print(f"training job {result.job_name} completed")
    print(f"model     {result.model_data_url}")
    print(f"accuracy  {result.metrics['accuracy']:.4f} on {result.metrics['images']} test images")
    print(f"deploy    scones model deploy --model {result.model_data_url} …")


@click.command("cross-validate", context_settings=UNDERSCORES)
@_data_option
@classes_option
@click.option(
    "--folds", type=click.IntRange(2, 100), default=5, help="Parts to split the training images into."
)
@click.option("--only", type=int, metavar="N", help="Train and measure only the first N folds.")
@recipe_options
@json_option
def cross_validate_command(
    *,
    data: tuple[Path, ...],
    classes: tuple[str, ...],
    folds: int,
    only: int | None,
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
    print(json.dumps(report, indent=None if as_json else 2))
