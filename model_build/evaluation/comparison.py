"""Compare a new model with the one that serves, on the same labelled photos.

A model is right about a photo of a class if its prediction is that class, and right about a photo of none of
them (`other/`) if it accepts no prediction. Two things would make a model look better than it is, and are
dealt with:

- Photos that one of the two was trained on are left out.
- Photos that were labelled because the serving model was doubtful favour any other model, a worse one too:
  on them the serving model is at its worst. Their number is reduced to the share that doubtful photos have
  in production, or the comparison is not valid.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from model_build.evaluation.paired_test import SIGNIFICANCE, PairedResult

Bools = npt.NDArray[np.bool_]

# Of photos of the classes, drawn at random, every usable model accepts more.
MOST_DOUBTFUL: Final = 0.5


class Verdict(StrEnum):
    """What a comparison says of the new model."""

    BETTER = "better"
    TOO_FEW = "too few photos"
    NO_BETTER = "no better"
    WORSE = "worse"
    MORE_ERRORS_ACCEPTED = "more errors accepted"
    NOT_VALID = "photos chosen by doubt"


@dataclass(frozen=True)
class Judged:
    """What one model makes of N photos.

    Attributes:
        right: whether it is right, [N].
        accepted: whether it accepts its own prediction, [N].
    """

    right: Bools
    accepted: Bools

    def part(self, rows: npt.NDArray[np.int64]) -> "Judged":
        """Return some of the photos."""
        return Judged(self.right[rows], self.accepted[rows])

    @property
    def wrongly_accepted(self) -> Bools:
        """Whether it accepts a wrong prediction: nobody will look at that photo."""
        return self.accepted & ~self.right


@dataclass(frozen=True)
class Comparison:
    """How a new model compares with the serving one.

    Attributes:
        doubtful: share of the photos of a class that the serving model does not accept, before any were left
            out for that.
    """

    new: Judged
    serving: Judged
    doubtful: float
    thinned: int
    valid: bool

    @property
    def right(self) -> PairedResult:
        """Photos on which only one of them is right."""
        return _paired(self.new.right, self.serving.right)

    @property
    def safe(self) -> PairedResult:
        """Photos on which only one accepts a wrong prediction; gained: those where the serving one does."""
        return _paired(~self.new.wrongly_accepted, ~self.serving.wrongly_accepted)

    @property
    def verdict(self) -> Verdict:
        """What the comparison says of the new model."""
        if not self.valid:
            return Verdict.NOT_VALID
        if self.right.worse:
            return Verdict.WORSE
        if self.safe.worse:
            return Verdict.MORE_ERRORS_ACCEPTED
        if self.right.better:
            return Verdict.BETTER
        return Verdict.TOO_FEW if self.right.gained > self.right.lost else Verdict.NO_BETTER

    def sentence(self) -> str:
        """Return the verdict in words, with its figures."""
        right, safe = self.right, self.safe
        differ = (
            f"of {right.photos:,} photos only the new model is right about {right.gained:,} and only the "
            f"serving one about {right.lost:,} (p = {right.p_value:.2g})"
        )
        match self.verdict:
            case Verdict.BETTER:
                return f"better: {differ}"
            case Verdict.TOO_FEW:
                return f"too few photos to tell: about {right.photos_missing():,} more; {differ}"
            case Verdict.NO_BETTER:
                return f"no better: {differ}"
            case Verdict.WORSE:
                return f"worse: {differ}"
            case Verdict.MORE_ERRORS_ACCEPTED:
                return (
                    f"more errors accepted: only the new model accepts a wrong prediction for {safe.lost:,} "
                    f"photos, only the serving one for {safe.gained:,} (p = {safe.p_value_worse:.2g}); "
                    f"{differ}"
                )
            case Verdict.NOT_VALID:
                return (
                    "the photos do not allow a comparison: the serving model is doubtful about "
                    f"{self.doubtful:.0%} of them, and photos that were chosen for that favour any other "
                    "model. Add audited photos that it accepted, and give --coverage (the share that it "
                    "accepts in production, see `python -m operations report`)"
                )

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
            "new": _figures(self.new),
            "serving": _figures(self.serving),
        }


def compare(
    new: Judged, serving: Judged, *, of_a_class: Bools, digests: Sequence[str], coverage: float | None
) -> Comparison:
    """Compare two models on the photos that both have judged.

    Args:
        of_a_class: whether each photo shows one of the classes, [N].
        coverage: share of the photos that the serving model accepts in production, above 0 and up to 1; None
            if the photos were drawn at random.
    """
    classes = serving.accepted[of_a_class]
    doubtful = float((~classes).mean()) if len(classes) else 0.0
    rows = np.arange(len(serving.accepted))
    if coverage is not None:
        rows = _thinned(serving.accepted, digests, coverage)
    return Comparison(
        new=new.part(rows),
        serving=serving.part(rows),
        doubtful=doubtful,
        thinned=len(serving.accepted) - len(rows),
        valid=coverage is not None or doubtful <= MOST_DOUBTFUL,
    )


def _thinned(accepted: Bools, digests: Sequence[str], coverage: float) -> npt.NDArray[np.int64]:
    """Return the photos that are kept so that doubtful ones have the share 1 - coverage at most."""
    doubtful = sorted(np.flatnonzero(~accepted).tolist(), key=lambda row: digests[row])
    certain = np.flatnonzero(accepted).tolist()
    most = round(len(certain) * (1 - coverage) / coverage)
    return np.array(sorted([*certain, *doubtful[:most]]), dtype=np.int64)


def _paired(new: Bools, serving: Bools) -> PairedResult:
    return PairedResult(len(new), int((new & ~serving).sum()), int((serving & ~new).sum()))


def _figures(judged: Judged) -> dict[str, float | None]:
    count = len(judged.right)
    accepted = int(judged.accepted.sum())
    return {
        "right": float(judged.right.mean()) if count else None,
        "accepted": float(judged.accepted.mean()) if count else None,
        "right_of_accepted": 1 - float(judged.wrongly_accepted.sum()) / accepted if accepted else None,
    }
