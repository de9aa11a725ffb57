"""Write the model card from an evaluation, from the manifest, and from what other runs measured."""

import json
import re
import statistics
from collections.abc import Mapping, Sequence
from math import sqrt
from pathlib import Path
from typing import Any, Final

import jinja2

from model_build.archive.manifest import Manifest
from model_build.errors import ModelBuildError, UsageError
from model_build.evaluation.metrics import wilson_interval
from model_build.evaluation.report import TITLES, Report, SetReport, cell, write

FILE_NAME: Final = "MODEL_CARD.md"
SEEDS: Final = "seeds.json"
CROSS_VALIDATION: Final = "cross_validation.json"
NOTES: Final = "notes.md"
TEMPLATE: Final = Path(__file__).with_name("card.md.j2")
SEED_METRICS: Final = ("accuracy", "coverage", "selective_accuracy", "ece", "other_accepted")
# Student's t for a two-sided 95 % interval by degrees of freedom; a handful of seeds is not normal.
T_95: Final = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)


def write_card(model: Path, report: Report, output: Path) -> Path:
    """Write figures and charts into the model folder, and the card, which links them, beside or above it."""
    above = output.resolve().parent
    if not model.resolve().is_relative_to(above):
        raise UsageError(f"--output {output}: the card links charts in {model}; put it beside or above")
    notes, cross_validation = model / NOTES, _read_json(model / CROSS_VALIDATION) or {}
    seeds = _read_json(model / SEEDS) or []
    charts = [path.resolve() for path in write(report, model) if path.suffix == ".png"]
    # Markdown is not HTML, and everything on the page is the maintainer's own.
    environment = jinja2.Environment(
        autoescape=False,  # noqa: S701
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["cell"] = lambda value: cell(value).replace("|", "\\|")
    environment.filters["chart_title"] = lambda name: Path(name).stem.replace("_", " ")
    page = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        _context(Manifest.read(model), report, seeds),
        charts=[path.relative_to(above).as_posix() for path in charts],
        cross_validation=list(_flat(cross_validation).items()),
        notes=notes.read_text(encoding="utf-8").strip() if notes.is_file() else "",
    )
    output.write_text(re.sub(r"\n{3,}", "\n\n", page).strip() + "\n", encoding="utf-8")
    return output


def write_seeds(model: Path, others: Sequence[Path]) -> None:
    """Keep the metrics of models of one recipe in the first one's folder, for its card."""
    runs = []
    for folder in (model, *others):
        manifest = Manifest.read(folder)
        if not manifest.recipe or "seed" not in manifest.recipe or not manifest.metrics:
            raise ModelBuildError(f"{folder}: manifest.json has no recipe with a seed, or no metrics")
        runs.append({"seed": manifest.recipe["seed"], **manifest.metrics})
    (model / SEEDS).write_text(json.dumps(runs, indent=2) + "\n", encoding="utf-8")


def _read_json(path: Path) -> Any:
    """Return the content of a JSON file, None if there is no such file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelBuildError(f"{path} cannot be read: {error}") from error


def _context(manifest: Manifest, report: Report, seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the template's variables; `seeds` are the metrics of models with other seeds."""
    data, sets, document = manifest.training_data, report.sets(), manifest.to_json()
    images = data.images if data else {}
    titles = {**TITLES, "coverage": f"coverage at threshold {report.threshold:g}"}
    measured = [name for name in SEED_METRICS if any(run.get(name) is not None for run in seeds)]
    settings: dict[str, Any] = {
        **(manifest.recipe or {}),
        "temperature": manifest.temperature,
        "threshold": manifest.default_threshold,
        **{key: document[key] for key in ("normalisation", "views", "starts_from") if key in document},
        **(manifest.model_extra or {}),
    }
    size = "x".join(map(str, manifest.input_size or ("any",)))
    seed_rows = [[str(run["seed"]), *(cell(run.get(name)) for name in measured)] for run in seeds]
    if seeds:
        seed_rows.append(["mean", *(_mean([run.get(name) for run in seeds]) for name in measured)])
    return {
        "report": report,
        "manifest": manifest,
        "sha256": data.sha256 if data else {},
        "images": images,
        "synthetic": [name for name in manifest.trained_classes if name not in images] if images else [],
        "settings": [("input", size), ("PyTorch", manifest.torch or "-"), *_flat(settings).items()],
        "sets": sets,
        "metric_rows": [
            [title, *(_metric(one, name) for one in sets.values())] for name, title in titles.items()
        ],
        "seed_head": ["seed", *(titles[name] for name in measured)],
        "seed_rows": seed_rows,
    }


def _metric(one: SetReport, name: str) -> str:
    """Return a figure, with its 95 % interval if it is an accuracy."""
    value, images = getattr(one.metrics, name), one.metrics.images
    if value is None or name not in {"accuracy", "selective_accuracy"}:
        return cell(value)
    trials = images if name == "accuracy" else round((one.metrics.coverage or 0.0) * images)
    low, high = wilson_interval(round(value * trials), trials)
    return f"{value:.3f} ({low:.3f} to {high:.3f})"


def _mean(values: Sequence[float | None]) -> str:
    """Return the mean and, of two values or more, its 95 % interval by Student's t."""
    known = [value for value in values if value is not None]
    mean = statistics.fmean(known)
    if len(known) == 1:
        return f"{mean:.3f}"
    t = T_95[min(len(known) - 2, len(T_95) - 1)]
    return f"{mean:.3f} ± {t * statistics.stdev(known) / sqrt(len(known)):.3f}"


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested settings on one level, `a.b`, as text."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
            flat |= _flat({str(number): one for number, one in enumerate(value, 1)}, f"{prefix}{key}.")
        else:
            items = value if isinstance(value, list) else [value]
            flat[f"{prefix}{key}"] = ", ".join(
                f"{one:.4g}" if isinstance(one, float) else cell(one) for one in items
            )
    return flat
