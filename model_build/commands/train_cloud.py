"""The command `train-cloud`."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import click

from commandline.options import PATH, json_option
from model_build.cloud_training import DEFAULT_INSTANCE_TYPE, TrainRequest, train
from model_build.data.download import training_archives
from model_build.training.recipe import (
    RECIPE_FIELDS,
    UNDERSCORES,
    Recipe,
    classes_option,
    data_option,
    recipe_options,
)


@click.command(context_settings=UNDERSCORES)
@data_option("CIFAR archives.  [default: CIFAR-100, downloaded if missing, and CIFAR-10 if present]")
@classes_option
@click.option(
    "--role-arn", required=True, metavar="ARN", help="Role of the job; model_build/role.yaml creates one."
)
@click.option("--bucket", required=True, metavar="NAME", help="Bucket for data, code and the trained model.")
@click.option(
    "--instance-type",
    default=DEFAULT_INSTANCE_TYPE,
    metavar="TYPE",
    help="Instance type that the job runs on.",
)
@click.option(
    "--spot",
    is_flag=True,
    help="Use spare capacity, at about a third of the price; new accounts have no quota for it.",
)
@click.option(
    "--max-runtime",
    type=click.IntRange(60, 28 * 86_400),  # SageMaker's own limit is 28 days
    default=TrainRequest.max_runtime_seconds,
    metavar="SECONDS",
    help="Stop the job after this time.",
)
@click.option("--image", metavar="URI", help="Training image.  [default: AWS's current PyTorch image]")
@click.option(
    "--output",
    type=PATH,
    default=TrainRequest.output,
    metavar="DIR",
    help="Folder to download the model into.",
)
@recipe_options
@json_option
def train_cloud_command(
    *,
    data: tuple[Path, ...],
    max_runtime: int,
    as_json: bool,
    **settings: Any,
) -> None:
    r"""Train a model in a SageMaker training job.

    Uploads the training images by class, runs the job on AWS's PyTorch image, downloads the model and
    measures it on the test images, which the job never sees. Needs the SageMaker SDK (.venv/sagemaker), and a
    role and a bucket as model_build/role.yaml creates them. AWS charges for the job.

    \b
    Example:
      scones model train-cloud --role-arn arn:aws:iam::123456789012:role/scones-model \
        --bucket scones-models
    """
    recipe = Recipe(**{name: settings.pop(name) for name in [one.name for one in RECIPE_FIELDS]})
    request = TrainRequest(
        data=data or training_archives(), max_runtime_seconds=max_runtime, recipe=recipe, **settings
    )
    result = train(request)
    if as_json:
        print(json.dumps(dataclasses.asdict(result)))
        return
    print(f"training job {result.job_name} completed")
    print(f"model     {result.model_data_url}")
    print(f"accuracy  {result.metrics['accuracy']:.4f} on {result.metrics['images']} test images")
    print(f"deploy    scones model deploy --model {result.model_data_url} …")
