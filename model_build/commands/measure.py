"""The commands `evaluate`, `card` and `predict`: what a model answers, by the code that serves it."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import click

from commandline.options import (
    EXISTING,
    FILE,
    FOLDER,
    PATH,
    PROBABILITY,
    Command,
    VariadicOption,
    json_option,
    trust_code_option,
)
from commandline.terminal import say, visible
from model_build.archive.loaded_model import LoadedModel, UnreadableImageError, open_model
from model_build.archive.package import DEFAULT_MODEL
from model_build.data.download import find_if_present
from model_build.evaluation.card import FILE_NAME, write_card, write_seeds
from model_build.evaluation.predictions import OTHER, default_archives
from model_build.evaluation.report import Targets, evaluate, table, write

PHOTOS: Final = "photos"
HEAD: Final = ("file", "prediction")


def _model_option(kind: click.ParamType, what: str) -> Callable[[Command], Command]:
    shown: Any = {"show_default": False, "metavar": "PATH", "help": f"{what}  [default: the shipped model]"}
    return click.option("--model", type=kind, default=DEFAULT_MODEL, **shown)


def _data_option(what: str) -> Callable[[Command], Command]:
    text = f"CIFAR-10 or CIFAR-100 archives: their test images.  [default: those found in data/{what}]"
    return click.option("--data", cls=VariadicOption, type=FILE, metavar="ARCHIVE...", help=text)


def _folders_option(name: str, what: str) -> Callable[[Command], Command]:
    return click.option(name, cls=VariadicOption, type=FOLDER, metavar="DIR...", help=what)


def _threshold_option(what: str) -> Callable[[Command], Command]:
    text = f"{what}  [default: the model's own]"
    return click.option("--threshold", type=PROBABILITY, metavar="T", help=text)


@click.command("evaluate")
@_model_option(EXISTING, "Model folder or model.tar.gz.")
@_data_option(", unless --photos is given")
@_folders_option(
    "--photos",
    f"Photos in DIR/<label>/, and out-of-distribution ones in DIR/{OTHER}/; measured apart from the "
    "archives, several folders as one set.",
)
@_threshold_option("Confidence from which a prediction is accepted.")
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
def evaluate_command(  # noqa: PLR0913 - one parameter per option
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
        report = evaluate(loaded, archives, photos, threshold, Targets(target, promise))
    if output:
        write(report, output)
    click.echo(json.dumps(report.to_json()) if as_json else table(report))
    unreadable = [message for one in report.sets().values() for message in one.unreadable]
    for message in unreadable:
        say(f"not measured: {message}")
    return 1 if unreadable else 0


@click.command("card")
@_model_option(FOLDER, "Model folder; gets evaluation.json and charts.")
@_data_option("")
@_folders_option("--photos", "Photos, several folders as one set.  [default: data/photos, if present]")
@_folders_option("--seeds", "Models of the recipe with other seeds; their metrics are kept as seeds.json.")
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
def card_command(  # noqa: PLR0913 - one parameter per option
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
        report = evaluate(loaded, data or default_archives(), shown, targets=Targets(target))
    click.echo(write_card(model, report, output or model.resolve().parent / FILE_NAME))


@click.command("predict")
@click.argument("files", nargs=-1, required=True, type=FILE, metavar="FILE...")
@_model_option(EXISTING, "Model folder or model.tar.gz.")
@_threshold_option("Confidence below which the table marks a prediction.")
@trust_code_option
@json_option
def predict_command(
    files: tuple[Path, ...], model: Path, threshold: float | None, *, trust_code: bool, as_json: bool
) -> int:
    r"""Classify image files with the code that serves the model.

    Prints a line per file: the predicted label and the probability of each class. With --json, one object
    per line, with probabilities in the order of the model's labels. Exits with 1 if a file is not a
    readable image: the model reads JPEG, PNG, WebP, GIF and BMP.

    The confidence differs from the one that the workflow records for the same photo, by 0.0004 in the median
    of 197 photos and 0.33 at most: its SerializeImage first reduces the photo to 256 pixels and re-encodes it
    (and reads more formats), this command passes the file on as it is.

    \b
    Example:
      scones model predict --model build/model photo.jpg another.png
    """
    failed = False
    with open_model(model, trust_code=trust_code) as loaded:
        accepted = loaded.manifest.default_threshold if threshold is None else threshold
        width = max(len(HEAD[0]), *(len(visible(str(file))) for file in files))
        if not as_json:
            click.echo(_row(*HEAD, loaded.labels, loaded.labels, width))
        for file in files:
            found = _predict(loaded, file)
            if error := found.get("error"):
                failed = True
                say(f"{file}: {error}")
            if as_json:
                click.echo(json.dumps(found))
            elif not error:
                cells = [f"{probability:.3f}" for probability in found["probabilities"]]
                mark = f"  below the threshold {accepted:g}" if found["confidence"] < accepted else ""
                click.echo(_row(visible(found["file"]), found["label"], cells, loaded.labels, width) + mark)
    return 1 if failed else 0


def _predict(model: LoadedModel, file: Path) -> dict[str, Any]:
    """Return the object that `predict --json` prints; `error` if the file is not a readable image."""
    nothing = {"file": str(file), "label": None, "confidence": None, "probabilities": None}
    try:
        shares = model.classify(file.read_bytes()).tolist()
    except OSError as error:
        return {**nothing, "error": error.strerror or str(error)}
    except UnreadableImageError as error:
        return {**nothing, "error": str(error)}
    label, confidence = max(zip(model.labels, shares, strict=True), key=lambda one: one[1])
    return {"file": str(file), "label": label, "confidence": confidence, "probabilities": shares}


def _row(file: str, prediction: str, cells: Sequence[str], labels: Sequence[str], width: int) -> str:
    """Return a row of the table, with one column per label."""
    widest = max(len(HEAD[1]), *map(len, labels))
    columns = "".join(f"  {cell:>{max(5, len(label))}}" for cell, label in zip(cells, labels, strict=True))
    return f"{file:{width}}  {prediction:{widest}}{columns}"
