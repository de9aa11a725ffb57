"""The page itself: what it contains for sources that are known beforehand."""

from typing import Any

import numpy as np

from model_build.archive.manifest import Manifest
from model_build.evaluation.card import render
from model_build.evaluation.predictions import Predictions
from model_build.evaluation.report import Report, UnseenClasses, set_report

LABELS = ("red", "blue")


def manifest(**more: Any) -> Manifest:
    document: dict[str, Any] = {
        "format": 1,
        "labels": list(LABELS),
        "outputs": [*LABELS, "green", "drawn"],
        "input_size": [96, 128],
        "normalisation": {"mean": 0.5, "std": [0.25, 0.25, 0.25]},
        "temperature": 0.7,
        "views": [{"side": 32, "mirror": False}, {"side": 64, "mirror": True, "margin": 0.1}],
        "default_threshold": 0.8,
    }
    return Manifest.from_json({**document, **more})


def report(*, photos: bool = False) -> Report:
    def of(name: str) -> Any:
        predictions = Predictions(
            names=(f"red/{name}|1.png", f"blue/{name}.png"),
            probabilities=np.array([[0.1, 0.9], [0.3, 0.7]]),
            labels=np.array([0, 1]),
            negatives=np.zeros((0, 2)),
            negative_names=(),
        )
        return set_report(predictions, LABELS, 0.8)

    unseen = UnseenClasses((), 0, None, None)
    return Report(0.8, LABELS, of("test"), {}, unseen, of("photo") if photos else None)


def rows(page: str) -> dict[str, list[str]]:
    cells = [line.strip("|").split(" | ") for line in page.splitlines() if line.startswith("|")]
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in cells}


def test_the_smallest_card_has_no_empty_section() -> None:
    page = render(manifest(), report())
    assert page.startswith("# Model card: red, blue\n\n")
    assert "\n\n\n" not in page
    assert page.endswith("|\n")
    headings = [line for line in page.splitlines() if line.startswith("#")]
    assert headings[1:] == [
        "## Intended use",
        "## Out of scope",
        "## Training data",
        "## Recipe",
        "## Evaluation",
        "### Error bounds",
        "## Most confident errors",
    ]


def test_settings_are_flat_and_complete() -> None:
    recipe = {"seed": 3, "augmentation": {"flip": 0.123456}}
    found = rows(render(manifest(recipe=recipe, torch="2.13", added=[1, 2.5]), report()))
    assert found["input"] == ["96x128"]
    assert found["PyTorch"] == ["2.13"]
    assert found["seed"] == ["3"]
    assert found["augmentation.flip"] == ["0.1235"]
    assert found["threshold"] == ["0.8"]
    assert found["normalisation.std"] == ["0.25, 0.25, 0.25"]
    assert found["views.2.margin"] == ["0.1"]
    assert found["added"] == ["1, 2.5"]


def test_errors_by_name_and_escaped() -> None:
    page = render(manifest(), report(photos=True))
    assert "| red/test\\|1.png | blue | 0.900 |" in page
    assert "| red/photo\\|1.png | blue | 0.900 |" in page
