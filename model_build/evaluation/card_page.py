"""The text of a model card: Markdown from a manifest, an evaluation, and what other runs measured."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any, Final

from model_build.evaluation.metrics import wilson_interval

# Student's t for a two-sided 95 % interval by degrees of freedom; a handful of seeds is not normal.
T_95: Final = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)

TOLD_ELSEWHERE: Final = {
    "format", "labels", "outputs", "input_size", "training_data", "metrics", "recipe", "torch", "temperature",
    "default_threshold",
}  # fmt: skip

PAGE: Final = """\
# Model card: {labels}

Written by `python -m model_build card` from a fresh evaluation: change the model or the evaluation, not this
page.

## What it is for

It tells which of these a photo shows, with a probability for each: {labels}. An answer below the threshold
means that a person must look; what is none of these is meant to end there too.

## What it must not be used for

- Anything that identifies, counts or judges people.
- Decisions that harm somebody when they are wrong and that no person can put right.
- Photos of just anything with nobody to look at what is declined: some of what is neither is accepted (see
  the figures on images of something else).
- Finding where in a photo something is, or several things in one photo: the answer is one label for the
  whole.
- Kinds of photos unlike those measured below, before they have been measured with
  `python -m model_build evaluate --photos DIR`.

## Data

{data}

## Recipe

`python -m model_build train` with these settings:

{recipe}

## What was measured

{results}

## Worst mistakes

The wrong answers it was surest of, by the images' own names.

{mistakes}

{notes}
"""

MEASURED: Final = """\
{figures}

The test images are the test splits of the archives. The intervals are Wilson's, for other images of the same
sort. Images of something else are those of all other classes in the archives' test splits, and the photos in
the folder `other`. Photos that also served to choose between recipes make their figures look better than they
are."""

COMPRESSED: Final = """\
One archive's images had been through JPEG: all others were compressed too (quality 75) before the model's
confidence on the ones was compared with that on the others."""


@dataclass(frozen=True)
class Sources:
    """What a card is made of.

    Attributes:
        manifest: the model's.
        figures: of a fresh evaluation, as `evaluate --json` prints them.
        seeds: figures of models from other seeds, each with its `seed`; [] if there are none.
        cross_validation: what cross-validation measured; {} if nothing.
        drawings: file names of the drawings, relative to the card.
        notes: what the person who made the model has to add, as Markdown; empty if nothing.
    """

    manifest: dict[str, Any]
    figures: dict[str, Any]
    seeds: list[dict[str, Any]]
    cross_validation: dict[str, Any]
    drawings: list[str]
    notes: str = ""


def page(sources: Sources) -> str:
    """The page as Markdown."""
    text = PAGE.format(
        labels=", ".join(sources.figures["labels"]),
        data=_data(sources.manifest),
        recipe=_recipe(sources.manifest),
        results=_results(sources),
        mistakes=_mistakes(sources.figures),
        notes=sources.notes.strip(),
    )
    return text.rstrip() + "\n"


# ------------------------------------------------------------------ sections


def _data(manifest: dict[str, Any]) -> str:
    data = manifest.get("training_data", {})
    counts = data.get("images", {})
    digests = "\n".join(f"- `{name}`: SHA-256 `{digest}`" for name, digest in data.get("sha256", {}).items())
    rows = [
        (name, counts[name], "label" if name in manifest["labels"] else "something else") for name in counts
    ]
    programs = [name for name in manifest.get("outputs", []) if name not in counts]
    return _join(
        digests,
        _table(("class", "training images", "taught as"), rows) if rows else "",
        f"Outputs trained on pictures made by programs: {', '.join(programs)}." if programs else "",
    )


def _recipe(manifest: dict[str, Any]) -> str:
    settings = _flat(manifest.get("recipe", {}))
    settings |= {"temperature": _number(manifest["temperature"])}
    settings |= {"threshold": _number(manifest["default_threshold"])}
    size = "x".join(map(str, manifest["input_size"]))
    # Whatever else training wrote down, such as what the network started from, belongs here too.
    settings |= _flat({key: value for key, value in manifest.items() if key not in TOLD_ELSEWHERE})
    rows = [("input", size), ("PyTorch", manifest.get("torch", "-")), *settings.items()]
    return _table(("setting", "value"), rows)


def _results(sources: Sources) -> str:
    figures = sources.figures
    parts = [
        MEASURED.format(figures=_figures_table(figures)),
        COMPRESSED if figures["jpeg_accuracy"] is not None else "",
        _others(figures, sources.manifest.get("outputs", [])),
    ]
    for title, part in (("test images", figures), ("photos", figures["photos"])):
        if part and part["images"]:
            parts.append(_target(title, part["target"]))
    if sources.seeds:
        parts += ["### Over seeds", _seeds_table(sources.seeds)]
    if sources.cross_validation:
        rows = list(_flat(sources.cross_validation).items())
        parts += ["### Cross-validation", _table(("figure", "value"), rows)]
    parts += [
        "### Drawings",
        *(f"![{Path(name).stem.replace('_', ' ')}]({name})" for name in sources.drawings),
    ]
    return _join(*parts)


def _others(figures: dict[str, Any], outputs: Sequence[str]) -> str:
    unseen = figures["other_unseen"]
    if not figures["other_images"]:
        return ""
    text = "Other training images of all these kinds were outputs of their own in training."
    if unseen["kinds"]:
        text = (
            f"Of the kinds that training never saw ({', '.join(unseen['kinds'])}; {unseen['images']} images) "
            f"{_share(unseen['accepted'])} were accepted, AUROC {_share(unseen['auroc'])}."
        )
    return _join(_kinds_table(figures, outputs), text)


def _target(title: str, target: dict[str, Any]) -> str:
    choice = target["choice"]
    if choice is None:
        return f"On the {title} no threshold makes {target['wanted']:g} of the accepted right."
    return (
        f"On the {title} the threshold {choice['threshold']:.4f} would accept {choice['coverage']:.3f} with "
        f"{choice['selective_accuracy']:.3f} of them right (wanted: {target['wanted']:g}); picked on the "
        "images it is measured on, that is optimistic."
    )


def _mistakes(figures: dict[str, Any]) -> str:
    parts = []
    for title, part in (("test images", figures), ("photos", figures["photos"])):
        if part and part["images"]:
            rows = [(one["image"], one["answer"], f"{one['confidence']:.3f}") for one in part["mistakes"]]
            head = (f"image ({title})", "answer", "confidence")
            parts.append(_table(head, rows) if rows else f"None on the {title}.")
    return _join(*parts)


# ------------------------------------------------------------------ tables


def _join(*parts: str) -> str:
    """Paragraphs one below the other, empty ones left out."""
    return "\n\n".join(part for part in parts if part)


def _figures_table(figures: dict[str, Any]) -> str:
    photos = figures["photos"]
    head = ("figure", "test images", *(["photos"] if photos else []))
    parts = [figures, *([photos] if photos else [])]
    names = {
        "images": "labelled images",
        "accuracy": "right of all (95 % interval)",
        "coverage": f"accepted at threshold {figures['threshold']:g}",
        "selective_accuracy": "right of the accepted (95 % interval)",
        "ece": "calibration error (ECE, 15 bins)",
        "other_images": "images of something else",
        "other_accepted": "accepted of those",
        "other_auroc": "AUROC, labelled against something else",
        "jpeg_accuracy": "right of all after JPEG compression",
    }
    return _table(head, [(text, *(_cell(part, key) for part in parts)) for key, text in names.items()])


def _cell(part: dict[str, Any], key: str) -> str:
    value = part[key]
    if key == "accuracy" and value is not None:
        return _with_interval(value, part["images"])
    if key == "selective_accuracy" and value is not None:
        return _with_interval(value, round(part["coverage"] * part["images"]))
    return _share(value)


def _with_interval(share: float, trials: int) -> str:
    low, high = wilson_interval(round(share * trials), trials)
    return f"{share:.3f} ({low:.3f} to {high:.3f})"


def _kinds_table(figures: dict[str, Any], outputs: Sequence[str]) -> str:
    rows = [
        (kind, found["images"], _share(found["accepted"]), "yes" if kind in outputs else "no")
        for kind, found in figures["other_kinds"].items()
    ]
    return _table(("kind", "images", "accepted", "trained on"), rows)


def _seeds_table(seeds: Sequence[dict[str, Any]]) -> str:
    keys = [
        key
        for key in ("accuracy", "coverage", "selective_accuracy", "ece", "other_accepted")
        if key in seeds[0]
    ]
    rows: list[tuple[Any, ...]] = [(run["seed"], *(_share(run[key]) for key in keys)) for run in seeds]
    rows.append(("mean", *(_mean_with_interval([run[key] for run in seeds]) for key in keys)))
    return _table(("seed", *(key.replace("_", " ") for key in keys)), rows)


def _mean_with_interval(values: Sequence[float | None]) -> str:
    """Mean and, from two values on, its 95 % interval by Student's t."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    mean = statistics.fmean(known)
    if len(known) == 1:
        return f"{mean:.3f}"
    t = T_95[min(len(known) - 2, len(T_95) - 1)]
    return f"{mean:.3f} ± {t * statistics.stdev(known) / sqrt(len(known)):.3f}"


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as one level, `a.b`, ready to print."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
            flat |= _flat({str(number): one for number, one in enumerate(value, 1)}, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = (
                ", ".join(map(_number, value)) if isinstance(value, list) else _number(value)
            )
    return flat


def _share(value: float | None) -> str:
    """A measured share with three digits, a count as it is."""
    return f"{value:.3f}" if isinstance(value, float) else _number(value)


def _number(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines
    )
