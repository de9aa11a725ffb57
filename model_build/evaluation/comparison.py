"""Compare a new model with the one that serves, on the same labelled photos.

A model is right about a photo of a class if its prediction is that class, and right about a photo of none of
them (`other/`) if it accepts no prediction. The test is McNemar's, exact and one-sided: photos on which both
models are right, or both wrong, show nothing; of the others, a model that is no better wins each with a
probability of one half at most. Two things would make a model look better than it is, and are dealt with:

- Photos that one of the two was trained on are left out.
- Photos that were labelled because the serving model was doubtful favour any other model, a worse one too:
  on them the serving model is at its worst. Their number is reduced to the share that doubtful photos have
  in production, or the comparison is not valid.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from statistics import NormalDist
from typing import Any, Final

import numpy as np

from commandline.terminal import progress
from model_build.archive.loaded_model import LoadedModel, UnreadableImageError
from model_build.data.images import photo_digest
from model_build.errors import UsageError
from model_build.evaluation.metrics import Bools, Ints
from model_build.evaluation.predictions import find_photos
from model_build.evaluation.promise import binomial_cdf

SIGNIFICANCE: Final = 0.05
POWER: Final = 0.8
MOST_DOUBTFUL: Final = 0.5  # every usable model accepts more of photos of the classes, drawn at random


@dataclass(frozen=True)
class PairedResult:
    """The photos on which two models differ."""

    photos: int
    gained: int
    lost: int

    @property
    def p_value(self) -> float:
        """Probability that a model that is no better gains so many of the photos that differ, or more."""
        return binomial_cdf(self.lost, self.gained + self.lost, 0.5)  # of losing so few

    @property
    def p_value_worse(self) -> float:
        """Probability that a model that is no worse loses so many of them, or more."""
        return binomial_cdf(self.gained, self.gained + self.lost, 0.5)

    def photos_missing(self) -> int | None:
        """Return about how many more photos would show the difference, if it is as large as it looks.

        Connor 1987, Sample size for testing differences in proportions for the paired-sample design, for a
        power of 80 %; rounded up at two digits. None if the new model does not look better.
        """
        if self.gained <= self.lost:
            return None
        gained, lost = self.gained / self.photos, self.lost / self.photos
        spread, difference = gained + lost, gained - lost
        quantile = NormalDist().inv_cdf
        significant, powerful = quantile(1 - SIGNIFICANCE), quantile(POWER)
        root = significant * math.sqrt(spread) + powerful * math.sqrt(spread - difference**2)
        # So near to it that the formula sees nothing missing: one photo that differs more may do.
        missing = max((root / difference) ** 2 - self.photos, 1 / spread)
        unit = int(10 ** max(0, math.floor(math.log10(missing)) - 1))
        return math.ceil(missing / unit) * unit


class Verdict(StrEnum):
    """What a comparison says of the new model."""

    BETTER = "better"
    TOO_FEW = "too few photos"
    NO_BETTER = "no better"
    WORSE = "worse"
    MORE_ERRORS_ACCEPTED = "more errors accepted"
    NOT_VALID = "photos chosen by doubt"


@dataclass(frozen=True)
class Evaluated:
    """What one model makes of N photos."""

    correct: Bools  # whether it is right, [N]
    accepted: Bools  # whether it accepts its own prediction, [N]

    def part(self, rows: Ints) -> "Evaluated":
        """Return some of the photos."""
        return Evaluated(self.correct[rows], self.accepted[rows])

    @property
    def wrongly_accepted(self) -> Bools:
        """Whether it accepts a wrong prediction: nobody will look at that photo."""
        return self.accepted & ~self.correct

    def as_json(self) -> dict[str, float | None]:
        """Return the figures that `compare --json` prints."""
        count, accepted = len(self.correct), int(self.accepted.sum())
        return {
            "right": float(self.correct.mean()) if count else None,
            "accepted": float(self.accepted.mean()) if count else None,
            "right_of_accepted": 1 - float(self.wrongly_accepted.sum()) / accepted if accepted else None,
        }


@dataclass(frozen=True)
class Comparison:
    """How a new model compares with the serving one, and what was not compared."""

    new: Evaluated
    serving: Evaluated
    right: PairedResult  # on which only one of them is right
    safe: (
        PairedResult  # on which only one accepts a wrong prediction; gained: those where the serving one does
    )
    doubtful: float  # share of all photos of a class that the serving model does not accept
    thinned: int  # doubtful photos that were left out
    valid: bool
    trained_on: int = 0  # photos that were left out because a model was trained on them
    unreadable: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """What the comparison says of the new model."""
        if not self.valid:
            return Verdict.NOT_VALID
        if self.right.p_value_worse <= SIGNIFICANCE:
            return Verdict.WORSE
        if self.safe.p_value_worse <= SIGNIFICANCE:
            return Verdict.MORE_ERRORS_ACCEPTED
        if self.right.p_value <= SIGNIFICANCE:
            return Verdict.BETTER
        return Verdict.TOO_FEW if self.right.gained > self.right.lost else Verdict.NO_BETTER

    @property
    def better(self) -> bool:
        """Whether the new model is better."""
        return self.verdict is Verdict.BETTER

    def sentence(self) -> str:
        """Return the verdict in words, with its figures."""
        right, safe = self.right, self.safe
        differ = (
            f"of {right.photos:,} photos only the new model is right about {right.gained:,} and only the "
            f"serving one about {right.lost:,} (p = {right.p_value:.2g})"
        )
        match self.verdict:
            case Verdict.TOO_FEW:
                return f"too few photos to tell: about {right.photos_missing():,} more; {differ}"
            case Verdict.MORE_ERRORS_ACCEPTED:
                return (
                    f"more errors accepted: only the new model accepts a wrong prediction for {safe.lost:,} "
                    f"photos, only the serving one for {safe.gained:,} (p = {safe.p_value_worse:.2g}); "
                    + differ
                )
            case Verdict.NOT_VALID:
                return (
                    f"the photos do not allow a comparison: the serving model is doubtful about "
                    f"{self.doubtful:.0%} of them, and photos that were chosen for that favour any other "
                    "model. Add audited photos that it accepted, and give --coverage (the share that it "
                    "accepts in production, see `scones report`)"
                )
        return f"{self.verdict}: {differ}"

    def as_json(self) -> dict[str, Any]:
        """Return the object that `compare --json` prints."""
        return {
            "verdict": str(self.verdict),
            "photos": self.right.photos,
            "gained": self.right.gained,
            "lost": self.right.lost,
            "p_value": self.right.p_value,
            "significance": SIGNIFICANCE,
            "photos_missing": self.right.photos_missing() if self.verdict is Verdict.TOO_FEW else None,
            "doubtful_photos_left_out": self.thinned,
            "new": self.new.as_json(),
            "serving": self.serving.as_json(),
            "sentence": self.sentence(),
            "trained_on": self.trained_on,
            "unreadable": list(self.unreadable),
        }


def _paired(new: Bools, serving: Bools) -> PairedResult:
    return PairedResult(len(new), int((new & ~serving).sum()), int((serving & ~new).sum()))


def compare(
    new: Evaluated, serving: Evaluated, *, of_a_class: Bools, digests: Sequence[str], coverage: float | None
) -> Comparison:
    """Compare two models on N photos that both have evaluated; `of_a_class` says which show a class, [N].

    `coverage` is the share of the photos that the serving model accepts in production, above 0: doubtful
    photos, chosen by their digests, are kept to the rest of it. None if the photos were drawn at random.
    """
    doubtful = float((~serving.accepted[of_a_class]).mean()) if of_a_class.any() else 0.0
    rows = np.arange(len(serving.accepted))
    if coverage is not None:
        certain = rows[serving.accepted].tolist()
        rest = sorted(rows[~serving.accepted].tolist(), key=lambda row: digests[row])
        most = round(len(certain) * (1 - coverage) / coverage)
        rows = np.array(sorted([*certain, *rest[:most]]), dtype=np.int64)
    thinned = len(serving.accepted) - len(rows)
    new, serving = new.part(rows), serving.part(rows)
    return Comparison(
        new=new,
        serving=serving,
        right=_paired(new.correct, serving.correct),
        safe=_paired(~new.wrongly_accepted, ~serving.wrongly_accepted),
        doubtful=doubtful,
        thinned=thinned,
        valid=coverage is not None or doubtful <= MOST_DOUBTFUL,
    )


def compare_models(
    new: LoadedModel,
    serving: LoadedModel,
    folder: Path,
    *,
    coverage: float | None = None,
    threshold: float | None = None,
) -> Comparison:
    """Compare two models on the photos in `folder/<label>/` and `folder/other/`, which are read one by one.

    Both accept a prediction from `threshold` on, each model's own by default; for `coverage` see `compare`.
    A UsageError: the models have different labels, or there are no photos that neither was trained on.
    """
    if set(new.labels) != set(serving.labels):
        raise UsageError(
            f"{new.name} tells {', '.join(new.labels)} apart, {serving.name} {', '.join(serving.labels)}: "
            "only models of the same labels can be compared"
        )
    data = (new.manifest.training_data, serving.manifest.training_data)
    trained = {digest for one in data if one for digest in one.photos or ()}
    files = find_photos(new.labels, folder)
    rows: list[tuple[bool, ...]] = []  # new correct and accepted, serving correct and accepted, of a class
    digests, unreadable, left_out = list[str](), list[str](), 0
    for path, label in progress(files, total=len(files), title="photos", unit="photo"):
        body = path.read_bytes()
        digest = photo_digest(body)
        if digest in trained:
            left_out += 1
            continue
        try:
            one, other = (_verdict(model, body, label, threshold) for model in (new, serving))
        except UnreadableImageError as error:
            unreadable.append(f"{path}: {error}")
            continue
        rows.append((*one, *other, label is not None))
        digests.append(digest)
    if not rows:
        raise UsageError(
            f"--photos {folder}: all {left_out:,} photos were trained on; learn with --hold-out 0.3, or give "
            "photos that neither model has seen"
            if left_out
            else f"--photos {folder}: no photo could be read"
        )
    table = np.array(rows, dtype=np.bool_).T
    found = compare(
        Evaluated(*table[:2]), Evaluated(*table[2:4]), of_a_class=table[4], digests=digests, coverage=coverage
    )
    return replace(found, trained_on=left_out, unreadable=tuple(unreadable))


def _verdict(
    model: LoadedModel, body: bytes, label: str | None, threshold: float | None
) -> tuple[bool, bool]:
    """Return whether the model is right about a photo, and whether it accepts its prediction."""
    probabilities = model.classify(body)
    least = model.manifest.default_threshold if threshold is None else threshold
    accepted = bool(probabilities.max() >= least)
    if label is None:
        return not accepted, accepted
    return model.labels[int(probabilities.argmax())] == label, accepted
