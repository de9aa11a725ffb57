"""Statistics of a window, kept as the baseline that later windows are compared with."""

import json
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from commandline.errors import CommandError, UsageError
from operations.monitoring.window import Window

Floats = npt.NDArray[np.float64]

FORMAT: Final = 1
# Of larger windows a random sample is kept and compared. It shows every change of a tenth of the photos, and
# more values would only show smaller changes.
SAMPLE_SIZE: Final = 5_000
_SEED: Final = 0


@dataclass(frozen=True)
class Statistics:
    """Samples of the features of a window.

    Attributes:
        labels: the classes, in the order of the endpoint's answers.
        records: how many records the window had.
        first: time of the first record, seconds since 1970.
        last: time of the last record.
        features: up to SAMPLE_SIZE values of each feature by its name; features that are not known (the
            endpoint does not capture its input) are left out.
    """

    labels: tuple[str, ...]
    records: int
    first: float
    last: float
    features: dict[str, Floats]


def statistics_of(window: Window) -> Statistics:
    """Return the statistics of a window.

    Raises:
        CommandError: it has no records.
    """
    if not len(window):
        raise CommandError(f"{window.source.name}: no usable records to compare with")
    return Statistics(
        labels=window.labels,
        records=len(window),
        first=float(window.times[0]),
        last=float(window.times[-1]),
        features=sampled(window),
    )


def sampled(window: Window) -> dict[str, Floats]:
    """Return each known feature of a window, of large windows those of a random sample of its records."""
    rows = np.arange(len(window))
    if len(rows) > SAMPLE_SIZE:
        rows = np.random.default_rng(_SEED).choice(len(window), SAMPLE_SIZE, replace=False)
    chosen = {name: values[rows] for name, values in window.features().items()}
    known = {name: values[~np.isnan(values)] for name, values in chosen.items()}
    return {name: values for name, values in known.items() if len(values)}


def to_json(statistics: Statistics) -> str:
    """Return statistics as the text of a baseline file."""
    return json.dumps(
        {
            "format": FORMAT,
            "labels": list(statistics.labels),
            "records": statistics.records,
            "first": statistics.first,
            "last": statistics.last,
            "features": {name: np.sort(values).tolist() for name, values in statistics.features.items()},
        }
    )


def from_json(text: str, name: str) -> Statistics:
    """Return the statistics that a baseline file holds.

    Args:
        text: its content.
        name: what messages call it.

    Raises:
        UsageError: it is not one that `operations report --write-baseline` wrote.
    """
    try:
        return _statistics(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{name} is not a baseline file ({error}): give one that `operations report --write-baseline` "
            "wrote, a folder of captures, or s3://BUCKET/PREFIX"
        ) from error


def _statistics(content: Any) -> Statistics:
    if content["format"] != FORMAT:
        raise ValueError(f"format {content['format']}, this version reads {FORMAT}")
    return Statistics(
        labels=tuple(map(str, content["labels"])),
        records=int(content["records"]),
        first=float(content["first"]),
        last=float(content["last"]),
        features={str(name): _values(values) for name, values in content["features"].items()},
    )


def _values(values: Any) -> Floats:
    numbers = np.array(values, dtype=np.float64)
    if numbers.ndim != 1 or not len(numbers) or not np.isfinite(numbers).all():
        raise ValueError("a feature is not a list of numbers")
    return numbers
