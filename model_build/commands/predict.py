"""Classify image files through the very code that serves the model."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from model_build.artifact.loaded_model import LoadedModel, UnreadableImageError, open_model
from model_build.artifact.package import DEFAULT_MODEL
from model_build.evaluation.report import probability


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `predict`."""
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="image files")
    parser.add_argument(
        "--model", type=Path, default=DEFAULT_MODEL, metavar="PATH", help="model folder or model.tar.gz"
    )
    parser.add_argument(
        "--threshold",
        type=probability,
        metavar="T",
        help="confidence below which the table marks an answer as uncertain; the model's own by default",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")


def run(args: argparse.Namespace) -> int:
    """The command `predict`; exit status 1 if a file could not be classified."""
    with open_model(args.model) as model:
        threshold = model.manifest.default_threshold if args.threshold is None else args.threshold
        width = max(len(str(file)) for file in args.files)
        failed = False
        for answer in predict(model, args.files):
            failed |= "error" in answer
            if "error" in answer:
                print(f"{answer['file']}: {answer['error']}", file=sys.stderr)
            if args.json:
                print(json.dumps(answer))
            elif "error" not in answer:
                mark = "" if answer["confidence"] >= threshold else "  uncertain"
                print(f"{answer['file']:<{width}}  {answer['label']:<16}  {answer['confidence']:.3f}{mark}")
    return 1 if failed else 0


def predict(model: LoadedModel, files: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Classify files one by one.

    Args:
        model: the model.
        files: paths of image files.

    Yields:
        `file`, `label`, `confidence` and `probabilities` (in label order) of each; where a file
        cannot be read or is no image, these are None but for `file`, and `error` says why.
    """
    for file in files:
        try:
            shares = model.classify(file.read_bytes())
        except (OSError, UnreadableImageError) as exc:
            reason = exc.strerror or str(exc) if isinstance(exc, OSError) else str(exc)
            yield {
                "file": str(file),
                "label": None,
                "confidence": None,
                "probabilities": None,
                "error": reason,
            }
            continue
        best = int(shares.argmax())
        yield {
            "file": str(file),
            "label": model.labels[best],
            "confidence": float(shares[best]),
            "probabilities": [float(share) for share in shares],
        }
