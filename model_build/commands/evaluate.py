"""The command `evaluate`."""

import json
from pathlib import Path

import click

from commandline.options import (
    EXISTING,
    FILE,
    FOLDER,
    PATH,
    PROBABILITY,
    VariadicOption,
    json_option,
    trust_code_option,
)
from commandline.terminal import say
from model_build.archive.loaded_model import open_model
from model_build.archive.package import DEFAULT_MODEL
from model_build.evaluation.predictions import OTHER, default_archives
from model_build.evaluation.report import Targets, evaluate, table, write


@click.command()
@click.option(
    "--model",
    type=EXISTING,
    default=DEFAULT_MODEL,
    show_default=False,
    metavar="PATH",
    help="Model folder or model.tar.gz.  [default: the shipped model]",
)
@click.option(
    "--data",
    cls=VariadicOption,
    type=FILE,
    metavar="ARCHIVE...",
    help="CIFAR-10 or CIFAR-100 archives, whose test images are used.  [default: those found in data/, "
    "unless --photos is given]",
)
@click.option(
    "--photos",
    cls=VariadicOption,
    type=FOLDER,
    metavar="DIR...",
    help=f"Photos in DIR/<label>/, and out-of-distribution ones in DIR/{OTHER}/; measured apart from the "
    "archives, several folders as one set.",
)
@click.option(
    "--threshold",
    type=PROBABILITY,
    metavar="T",
    help="Confidence from which a prediction is accepted.  [default: the model's own]",
)
@click.option(
    "--target",
    type=PROBABILITY,
    metavar="A",
    help="Report the threshold of highest coverage whose selective accuracy reaches A, such as 0.99. It is "
    "chosen on the images it is measured on, hence optimistic.",
)
@click.option(
    "--promise",
    type=PROBABILITY,
    metavar="E",
    help="Report the lowest threshold at which provably at most a share E of the accepted predictions for "
    "images of the labels is wrong, such as 0.01, with 95 % confidence; or how many labelled images a proof "
    "lacks. The images must be like those that the model will see, and must not have been used for a choice.",
)
@click.option("--output", type=PATH, metavar="DIR", help="Write evaluation.json and charts into this folder.")
@trust_code_option
@json_option
def command(  # noqa: PLR0913 - one parameter per option
    *,
    model: Path,
    data: tuple[Path, ...],
    photos: tuple[Path, ...],
    threshold: float | None,
    target: float | None,
    promise: float | None,
    output: Path | None,
    trust_code: bool,
    as_json: bool,
) -> int:
    r"""Measure accuracy, coverage, calibration and out-of-distribution rejection of a model.

    The model is run by the code in its archive, as an endpoint does. Test images of classes that the model
    does not know are out-of-distribution: accepting one is a false acceptance. Exits with 1 if a photo
    could not be read.

    \b
    Example:
      scones model evaluate --model build/model --photos my-photos --target 0.99
    """
    archives = data or ([] if photos else default_archives())
    with open_model(model, trust_code=trust_code) as loaded:
        evaluation = evaluate(loaded, archives, photos, threshold, Targets(target, promise))
    if output:
        write(evaluation, output)
    report = evaluation.report
    click.echo(json.dumps(report.to_json()) if as_json else table(report))
    unreadable = [message for one in report.sets().values() for message in one.unreadable]
    for message in unreadable:
        say(f"not measured: {message}")
    return 1 if unreadable else 0
