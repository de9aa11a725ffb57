"""Two models on the same photos: what is compared, what the comparison says, and how often it is wrong."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from model_build.archive.loaded_model import open_model
from model_build.data.images import photo_digest
from model_build.errors import UsageError
from model_build.evaluation.comparison import (
    SIGNIFICANCE,
    Comparison,
    Evaluated,
    PairedResult,
    Verdict,
    compare,
    compare_models,
)
from tests.support.tiny_model import write_model, write_photo

LABELS = ("red", "blue")
SIMULATIONS = 2000


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (1, 0), (5, 0), (13, 2), (8, 8), (3, 11), (210, 160)])
def test_it_is_the_exact_binomial_test_of_the_photos_that_differ(gained: int, lost: int) -> None:
    result = PairedResult(1000, gained, lost)
    differ = gained + lost
    better = stats.binomtest(gained, differ, alternative="greater").pvalue if differ else 1.0
    worse = stats.binomtest(lost, differ, alternative="greater").pvalue if differ else 1.0
    assert result.p_value == pytest.approx(better, rel=1e-9)
    assert result.p_value_worse == pytest.approx(worse, rel=1e-9)


@pytest.mark.parametrize(
    ("result", "missing"),
    [((100, 3, 3), None), ((100, 2, 3), None), ((50, 4, 0), 26), ((1000, 29, 18), 1400), ((60, 30, 20), 130)],
)
def test_photos_missing(result: tuple[int, int, int], missing: int | None) -> None:
    assert PairedResult(*result).photos_missing() == missing


def judged(right: str, accepted: str | None = None) -> Evaluated:
    """Return what a model made of photos, a letter each: x for yes."""
    letters = np.array(list(right)), np.array(list(accepted or "x" * len(right)))
    return Evaluated(letters[0] == "x", letters[1] == "x")


def compared(
    new: Evaluated, serving: Evaluated, coverage: float | None = None, negatives: int = 0
) -> Comparison:
    """Compare on photos of which the first are negatives."""
    count = len(new.correct)
    digests = [f"{number * 7919 % 1000:04}" for number in range(count)]
    return compare(new, serving, of_a_class=np.arange(count) >= negatives, digests=digests, coverage=coverage)


@pytest.mark.parametrize(
    ("new", "serving", "verdict", "words"),
    [
        ("x" * 10, ".....xxxxx", Verdict.BETTER, "better: of 10 photos only the new model is right about 5"),
        ("x" * 50, "...." + "x" * 46, Verdict.TOO_FEW, "too few photos to tell: about 26 more; of 50 photos"),
        ("xxxxxxxxxx", "xxxxxxxxxx", Verdict.NO_BETTER, "no better: of 10 photos"),
        ("x.xxxxxxxx", ".xxxxxxxxx", Verdict.NO_BETTER, "no better"),
        ("....xxxxxx", "xxxxxxxxxx", Verdict.NO_BETTER, "no better"),
        (".....xxxxx", "xxxxxxxxxx", Verdict.WORSE, "worse: of 10 photos"),
    ],
)
def test_the_verdict_is_that_of_the_paired_test(new: str, serving: str, verdict: Verdict, words: str) -> None:
    found = compared(judged(new), judged(serving))
    assert found.verdict is verdict
    assert found.sentence().startswith(words)
    assert found.as_json()["photos_missing"] == (26 if verdict is Verdict.TOO_FEW else None)


def test_a_model_that_accepts_more_errors_is_not_better_however_often_it_is_right() -> None:
    # The new model is right about twelve more, but accepts the six that it gets wrong; the other does not.
    new = judged("x" * 12 + "." * 6 + "x" * 22)
    serving = judged("." * 12 + "." * 6 + "x" * 22, "." * 18 + "x" * 22)
    found = compared(new, serving)
    assert found.right.p_value <= SIGNIFICANCE
    assert found.verdict is Verdict.MORE_ERRORS_ACCEPTED
    assert "only the new model accepts a wrong prediction for 6 photos" in found.sentence()


def test_doubtful_photos_are_reduced_to_their_share_in_production() -> None:
    serving = judged("x" * 100, "x" * 40 + "." * 60)
    found = compared(judged("x" * 100), serving, coverage=0.8)
    assert (found.right.photos, found.thinned) == (50, 50)
    assert int((~found.serving.accepted).sum()) == 10
    again = compared(judged("x" * 100), serving, coverage=0.8)
    assert np.array_equal(found.serving.accepted, again.serving.accepted), "their content decides which"


def test_photos_that_were_chosen_by_doubt_are_not_compared() -> None:
    found = compared(judged("x" * 30), judged("." * 15 + "x" * 15, "." * 20 + "x" * 10))
    assert found.verdict is Verdict.NOT_VALID
    assert "doubtful about 67% of them" in found.sentence()
    assert "--coverage" in found.sentence()
    rejected = compared(judged("x" * 40), judged("x" * 40, "." * 30 + "x" * 10), negatives=30)
    assert rejected.verdict is Verdict.NO_BETTER, "negatives that are rejected are no doubt"


class Production:
    """Photos of every difficulty, and two models that are equally good, each with its own luck on a photo."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def photos(self, count: int) -> tuple[Evaluated, Evaluated]:
        """Return what the two models make of random photos."""
        difficulty = self.random.normal(2, 1.5, count)
        certainty = [difficulty + self.random.normal(0, 1, count) for _ in range(2)]
        new, serving = (Evaluated(one > 0, np.abs(one) > 1.2) for one in certainty)
        return new, serving

    def labelled(self, count: int, audited: float) -> tuple[Evaluated, Evaluated]:
        """Return the doubtful photos of the second model, and a share of those that it accepted."""
        new, serving = self.photos(count)
        rows = np.flatnonzero(~serving.accepted | (self.random.random(count) < audited))
        return new.part(rows), serving.part(rows)


def deployed(comparisons: list[Comparison]) -> float:
    """Return how often the new model would be deployed."""
    return float(np.mean([one.better for one in comparisons]))


def test_on_random_photos_a_model_that_is_no_better_is_deployed_in_at_most_one_of_twenty() -> None:
    production = Production(0)
    assert deployed([compared(*production.photos(300)) for _ in range(SIMULATIONS)]) <= 0.05


def test_on_reviewed_photos_alone_it_would_be_deployed_nearly_always_and_is_not() -> None:
    production = Production(1)
    found = [compared(*production.labelled(1500, 0.0)) for _ in range(SIMULATIONS)]
    assert np.mean([one.right.p_value <= SIGNIFICANCE for one in found]) > 0.5
    assert deployed(found) == 0


def test_with_audited_photos_and_the_coverage_it_is_deployed_in_at_most_one_of_twenty() -> None:
    _, serving = Production(2).photos(200_000)
    production, coverage = Production(3), float(serving.accepted.mean())
    found = [compared(*production.labelled(1500, 0.1), coverage) for _ in range(SIMULATIONS)]
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


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Write twelve red photos, twelve blue ones and four of neither, each another one."""
    for colour, folder, count in (("red", "red", 12), ("blue", "blue", 12), ("white", "other", 4)):
        for number in range(count):
            write_photo(tmp_path / "photos" / folder / f"{number}.png", colour, seed=number)
    return tmp_path / "photos"


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return write_model(tmp_path / "good", LABELS, ["white"])


@pytest.fixture
def confused(tmp_path: Path) -> Path:
    """Write a model that takes blue for red and red for blue."""
    return write_model(tmp_path / "confused", ["blue", "red"], ["white"], names=LABELS)


def run(new: Path, serving: Path, photos: Path, **options: float) -> Comparison:
    with open_model(new) as one, open_model(serving) as other:
        return compare_models(one, other, photos, **options)


def test_the_better_model_is_found_and_what_is_no_photo_is_named(
    good: Path, confused: Path, photos: Path
) -> None:
    (photos / "red" / "broken.png").write_bytes(b"not a photo")
    found = run(good, confused, photos)
    assert (found.verdict, found.right.photos) == (Verdict.BETTER, 28)
    (message,) = found.unreadable
    assert "broken.png: the body is not a readable image" in message
    assert run(confused, good, photos).verdict is Verdict.WORSE


def test_a_negative_is_right_if_it_is_not_accepted(good: Path, photos: Path) -> None:
    one = run(good, good, photos)
    assert one.new.correct.all()
    assert int(one.new.accepted.sum()) == 24
    assert int((~run(good, good, photos, threshold=0.0).new.correct).sum()) == 4


def trained_on(model: Path, photos: list[Path]) -> None:
    manifest = json.loads((model / "manifest.json").read_text())
    digests = [photo_digest(path.read_bytes()) for path in photos]
    manifest["training_data"] = {"sha256": {}, "images": {}, "photos": digests}
    (model / "manifest.json").write_text(json.dumps(manifest))


def test_photos_that_a_model_was_trained_on_are_left_out(good: Path, confused: Path, photos: Path) -> None:
    files = sorted(photos.glob("*/*"))
    trained_on(good, files[:5])
    trained_on(confused, files[3:9])
    found = run(good, confused, photos)
    assert (found.trained_on, found.right.photos) == (9, 19)
    trained_on(good, files)
    with pytest.raises(UsageError, match=r"all 28 photos were trained on; learn with --hold-out 0\.3"):
        run(good, confused, photos)


def test_what_cannot_be_compared_is_refused(good: Path, photos: Path, tmp_path: Path) -> None:
    other = write_model(tmp_path / "other", ["red", "green"])
    with pytest.raises(UsageError, match="only models of the same labels can be compared"):
        run(good, other, photos)
    (tmp_path / "unreadable" / "red").mkdir(parents=True)
    (tmp_path / "unreadable" / "red" / "a.png").write_bytes(b"x")
    with pytest.raises(UsageError, match="no photo could be read"):
        run(good, good, tmp_path / "unreadable")
