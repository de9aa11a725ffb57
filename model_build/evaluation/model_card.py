"""Write the model card: a page that says what a model is, what was measured of it and what it is not for.

The model is evaluated anew, drawings and figures go into its folder, and the page is made of them and of what
training wrote into the manifest. `--seeds` takes models that were trained by the same command with other
seeds; their figures are kept in the model's folder as seeds.json for the next time.
"""

import argparse
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from model_build.artifact.package import DEFAULT_MODEL
from model_build.data.download import CIFAR_10, CIFAR_100, find_archive
from model_build.errors import ArchiveError, ModelBuildError, UsageError
from model_build.evaluation.card_page import Sources, page
from model_build.evaluation.report import Evaluation, evaluate, probability, write

CARD: Final = "MODEL_CARD.md"
PHOTOS: Final = "photos"
SEEDS: Final = "seeds.json"
CROSS_VALIDATION: Final = "cross_validation.json"
NOTES: Final = "notes.md"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `card`."""
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL, metavar="DIR", help="model folder")
    parser.add_argument(
        "--data",
        type=Path,
        nargs="+",
        action="extend",
        metavar="ARCHIVE",
        help=f"archives to evaluate on; {CIFAR_100} and, if it is there, {CIFAR_10} by default",
    )
    parser.add_argument(
        "--photos", type=Path, metavar="DIR", help=f"photos to evaluate on; data/{PHOTOS} by default, if any"
    )
    parser.add_argument(
        "--seeds",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="models of the same recipe with other seeds",
    )
    parser.add_argument(
        "--target", type=probability, default=0.99, metavar="A", help="tell the threshold for this many right"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="the card to write; MODEL_CARD.md beside the model folder by default",
    )


def run(args: argparse.Namespace) -> int:
    """The command `card`."""
    if not args.model.is_dir():
        raise UsageError(f"--model {args.model}: the card needs a model folder, it keeps its drawings there")
    data = args.data or [find_archive(CIFAR_100), *_present(CIFAR_10)]
    photos = args.photos or next(_present(PHOTOS), None)
    if args.seeds:
        runs = [_seed_run(folder) for folder in (args.model, *args.seeds)]
        (args.model / SEEDS).write_text(json.dumps(runs, indent=2) + "\n", encoding="utf-8")
    evaluation = evaluate(args.model, data, photos, target=args.target)
    print(write_card(args.model, evaluation, args.output or args.model.resolve().parent / CARD))
    return 0


def _present(name: str) -> Iterator[Path]:
    with contextlib.suppress(ArchiveError):
        yield find_archive(name)


def write_card(model: Path, evaluation: Evaluation, output: Path) -> Path:
    """Write figures and drawings into the model's folder and the card beside or above it.

    Args:
        model: model folder; gets evaluation.json and drawings, may have seeds.json, cross_validation.json
            and notes.md.
        evaluation: a fresh evaluation of it.
        output: the Markdown file.

    Returns:
        `output`.

    Raises:
        ModelBuildError: something cannot be read or written.
    """
    drawings = [path for path in write(evaluation, model) if path.suffix == ".png"]
    try:
        links = [path.resolve().relative_to(output.resolve().parent).as_posix() for path in drawings]
    except ValueError as exc:
        raise UsageError(
            f"--output {output}: put it beside or above {model}: it links drawings there"
        ) from exc
    sources = Sources(
        manifest=_read_json(model / "manifest.json"),
        figures=evaluation.figures,
        seeds=_read_json(model / SEEDS) if (model / SEEDS).is_file() else [],
        cross_validation=_read_json(model / CROSS_VALIDATION) if (model / CROSS_VALIDATION).is_file() else {},
        drawings=links,
        notes=(model / NOTES).read_text(encoding="utf-8") if (model / NOTES).is_file() else "",
    )
    try:
        output.write_text(page(sources), encoding="utf-8")
    except OSError as exc:
        raise ModelBuildError(f"{output} cannot be written: {exc}") from exc
    return output


def _seed_run(folder: Path) -> dict[str, Any]:
    manifest = _read_json(folder / "manifest.json")
    try:
        return {"seed": manifest["recipe"]["seed"], **manifest["metrics"]}
    except (KeyError, TypeError) as exc:
        raise ModelBuildError(f"{folder}/manifest.json has no recipe with a seed, or no metrics") from exc


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise ModelBuildError(f"{path} cannot be read: {exc}") from exc
