"""The command `card`."""

from pathlib import Path

import click

from commandline.options import FILE, FOLDER, PATH, PROBABILITY, VariadicOption, trust_code_option
from model_build.archive.loaded_model import open_model
from model_build.archive.package import DEFAULT_MODEL
from model_build.data.download import find_if_present
from model_build.evaluation.card import FILE_NAME, write_card, write_seeds
from model_build.evaluation.predictions import default_archives
from model_build.evaluation.report import Targets, evaluate

PHOTOS = "photos"


@click.command()
@click.option(
    "--model",
    type=FOLDER,
    default=DEFAULT_MODEL,
    show_default=False,
    metavar="DIR",
    help="Model folder; gets evaluation.json and charts.  [default: the shipped model]",
)
@click.option(
    "--data",
    cls=VariadicOption,
    type=FILE,
    metavar="ARCHIVE...",
    help="CIFAR-10 or CIFAR-100 archives to evaluate on.  [default: those found in data/]",
)
@click.option(
    "--photos",
    cls=VariadicOption,
    type=FOLDER,
    metavar="DIR...",
    help="Photos to evaluate on, several folders as one set.  [default: data/photos, if present]",
)
@click.option(
    "--seeds",
    cls=VariadicOption,
    type=FOLDER,
    metavar="DIR...",
    help="Models of the same recipe with other seeds; their metrics are kept as seeds.json.",
)
@click.option(
    "--target",
    type=PROBABILITY,
    default=0.99,
    metavar="A",
    help="Selective accuracy to report a threshold for.",
)
@click.option(
    "--output",
    type=PATH,
    metavar="FILE",
    help="The card, beside or above the model folder.  [default: MODEL_CARD.md beside it]",
)
@trust_code_option
def command(  # noqa: PLR0913 - one parameter per option
    *,
    model: Path,
    data: tuple[Path, ...],
    photos: tuple[Path, ...],
    seeds: tuple[Path, ...],
    target: float,
    output: Path | None,
    trust_code: bool,
) -> None:
    r"""Write the model card from a fresh evaluation.

    The card describes the model, its training data and recipe, and what was measured. It is made of the
    model's manifest, the evaluation, and of seeds.json, cross_validation.json and notes.md, if the model
    folder has them.

    \b
    Example:
      scones model card --model build/model --photos my-photos
    """
    if seeds:
        write_seeds(model, seeds)
    shown = photos or find_if_present(PHOTOS)
    with open_model(model, trust_code=trust_code) as loaded:
        evaluation = evaluate(loaded, data or default_archives(), shown, targets=Targets(target))
    click.echo(write_card(model, evaluation, output or model.resolve().parent / FILE_NAME))
