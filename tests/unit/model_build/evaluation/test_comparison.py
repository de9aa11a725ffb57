"""What a comparison of two models says, and how often it is wrong."""

import numpy as np
import numpy.typing as npt
import pytest

from model_build.evaluation.comparison import Comparison, Evaluated, Verdict, compare

Bools = npt.NDArray[np.bool_]
SIMULATIONS = 2000


def judged(right: str, accepted: str | None = None) -> Evaluated:
    """Return what a model made of photos, a letter each: x for yes."""
    letters = np.array(list(right)), np.array(list(accepted or "x" * len(right)))
    return Evaluated(letters[0] == "x", letters[1] == "x")


def compared(new: Evaluated, serving: Evaluated, coverage: float | None = None) -> Comparison:
    count = len(new.correct)
    digests = [f"{number * 7919 % 1000:04}" for number in range(count)]
    return compare(
        new, serving, of_a_class=np.ones(count, dtype=np.bool_), digests=digests, coverage=coverage
    )


@pytest.mark.parametrize(
    ("new", "serving", "verdict", "words"),
    [
        ("x" * 10, ".....xxxxx", Verdict.BETTER, "better: of 10 photos only the new model is right about 5"),
        ("x" * 10, "xxxxxxx...", Verdict.TOO_FEW, "too few photos to tell: about "),
        ("xxxxxxxxxx", "xxxxxxxxxx", Verdict.NO_BETTER, "no better: of 10 photos"),
        ("x.xxxxxxxx", ".xxxxxxxxx", Verdict.NO_BETTER, "no better"),
        (".....xxxxx", "xxxxxxxxxx", Verdict.WORSE, "worse: of 10 photos"),
    ],
)
def test_the_verdict_is_that_of_the_paired_test(new: str, serving: str, verdict: Verdict, words: str) -> None:
    found = compared(judged(new), judged(serving))
    assert found.verdict is verdict
    assert words in found.sentence()


def test_too_few_photos_say_about_how_many_more() -> None:
    found = compared(judged("x" * 50), judged("...." + "x" * 46))
    assert found.sentence().startswith(
        "too few photos to tell: about 26 more; of 50 photos only the new model"
    )
    assert found.as_json()["photos_missing"] == 26


def test_a_model_that_accepts_more_errors_is_not_better_however_often_it_is_right() -> None:
    # The new model is right about twelve more, but accepts the six that it gets wrong; the other does not.
    new = judged("x" * 12 + "." * 6 + "x" * 22)
    serving = judged("." * 12 + "." * 6 + "x" * 22, "." * 18 + "x" * 22)
    found = compared(new, serving)
    assert found.right.better
    assert found.verdict is Verdict.MORE_ERRORS_ACCEPTED
    assert "only the new model accepts a wrong prediction for 6 photos" in found.sentence()


def test_doubtful_photos_are_reduced_to_their_share_in_production() -> None:
    serving = judged("x" * 100, "x" * 40 + "." * 60)
    found = compared(judged("x" * 100), serving, coverage=0.8)
    assert (found.right.photos, found.thinned) == (50, 50)
    assert int((~found.serving.accepted).sum()) == 10
    # Which ones depends on their content only, not on their order.
    again = compared(judged("x" * 100), serving, coverage=0.8)
    assert np.array_equal(found.serving.accepted, again.serving.accepted)


def test_photos_that_were_chosen_by_doubt_are_not_compared() -> None:
    found = compared(judged("x" * 30), judged("." * 15 + "x" * 15, "." * 20 + "x" * 10))
    assert found.verdict is Verdict.NOT_VALID
    assert "doubtful about 67% of them" in found.sentence()
    assert "--coverage" in found.sentence()


def test_negatives_that_are_rejected_are_not_doubt() -> None:
    serving = judged("x" * 40, "." * 30 + "x" * 10)
    of_a_class = np.array([False] * 30 + [True] * 10)
    digests = [str(number) for number in range(40)]
    found = compare(judged("x" * 40), serving, of_a_class=of_a_class, digests=digests, coverage=None)
    assert found.verdict is Verdict.NO_BETTER


class Production:
    """Photos of every difficulty, and two models that are equally good, each with its own luck on a photo."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def photos(self, count: int) -> tuple[Evaluated, Evaluated]:
        """Return what the two models make of random photos."""
        difficulty = self.random.normal(2, 1.5, count)
        found = []
        for _ in range(2):
            certainty = difficulty + self.random.normal(0, 1, count)
            found.append(Evaluated(certainty > 0, np.abs(certainty) > 1.2))
        return found[0], found[1]

    def labelled(self, count: int, audited: float) -> tuple[Evaluated, Evaluated]:
        """Return the doubtful photos of the second model, and a share of those that it accepted."""
        new, serving = self.photos(count)
        rows = np.flatnonzero(~serving.accepted | (self.random.random(count) < audited))
        return new.part(rows), serving.part(rows)


def verdicts(seed: int, audited: float | None, coverage: float | None) -> list[Comparison]:
    production = Production(seed)
    found = []
    for _ in range(SIMULATIONS):
        photos = production.photos(300) if audited is None else production.labelled(1500, audited)
        found.append(compared(*photos, coverage=coverage))
    return found


def deployed(comparisons: list[Comparison]) -> float:
    """Return how often the new model would be deployed."""
    return float(np.mean([one.verdict is Verdict.BETTER for one in comparisons]))


def test_on_random_photos_a_model_that_is_no_better_is_deployed_in_at_most_one_of_twenty() -> None:
    assert deployed(verdicts(0, None, None)) <= 0.05


def test_on_reviewed_photos_alone_it_would_be_deployed_nearly_always_and_is_not() -> None:
    found = verdicts(1, 0.0, None)
    assert np.mean([one.right.better for one in found]) > 0.5
    assert deployed(found) == 0


def test_with_audited_photos_and_the_coverage_it_is_deployed_in_at_most_one_of_twenty() -> None:
    _, serving = Production(2).photos(200_000)
    coverage = float(serving.accepted.mean())
    found = verdicts(3, 0.1, coverage)
    assert min(one.right.photos for one in found) > 80
    assert deployed(found) <= 0.05


def test_a_better_model_is_deployed() -> None:
    production = Production(4)
    found = []
    for _ in range(100):
        new, serving = production.photos(300)
        improved = new.correct | (production.random.random(300) < 0.7)
        found.append(compared(Evaluated(improved, new.accepted), serving))
    assert deployed(found) > 0.95
