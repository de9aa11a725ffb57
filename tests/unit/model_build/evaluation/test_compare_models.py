"""Two models on a folder of photos."""

import json
from pathlib import Path

import pytest

from model_build.archive.loaded_model import open_model
from model_build.data.images import photo_digest
from model_build.errors import UsageError
from model_build.evaluation.comparison import PhotoComparison, Verdict, compare_models
from tests.support.tiny_model import write_model, write_photo

LABELS = ("red", "blue")


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


def run(new: Path, serving: Path, photos: Path, **options: float) -> PhotoComparison:
    with open_model(new) as one, open_model(serving) as other:
        return compare_models(one, other, photos, **options)


def test_the_better_model_is_found(good: Path, confused: Path, photos: Path) -> None:
    found = run(good, confused, photos)
    assert found.comparison.verdict is Verdict.BETTER
    assert found.comparison.right.photos == 28
    assert run(confused, good, photos).comparison.verdict is Verdict.WORSE


def test_a_negative_is_right_if_it_is_not_accepted(good: Path, photos: Path) -> None:
    one = run(good, good, photos)
    assert one.comparison.new.correct.all()
    assert int(one.comparison.new.accepted.sum()) == 24
    everything = run(good, good, photos, threshold=0.0)
    assert int((~everything.comparison.new.correct).sum()) == 4


def test_models_of_other_labels_cannot_be_compared(good: Path, photos: Path, tmp_path: Path) -> None:
    other = write_model(tmp_path / "other", ["red", "green"])
    with pytest.raises(UsageError, match="only models of the same labels can be compared"):
        run(good, other, photos)


def trained_on(model: Path, photos: list[Path]) -> Path:
    manifest = json.loads((model / "manifest.json").read_text())
    digests = [photo_digest(path.read_bytes()) for path in photos]
    manifest["training_data"] = {"sha256": {}, "images": {}, "photos": digests}
    (model / "manifest.json").write_text(json.dumps(manifest))
    return model


def test_photos_that_a_model_was_trained_on_are_left_out(good: Path, confused: Path, photos: Path) -> None:
    files = sorted(photos.glob("*/*"))
    trained_on(good, files[:5])
    trained_on(confused, files[3:9])
    found = run(good, confused, photos)
    assert found.trained_on == 9
    assert found.comparison.right.photos == 19


def test_without_any_other_photo_there_is_no_comparison(good: Path, confused: Path, photos: Path) -> None:
    trained_on(good, list(photos.glob("*/*")))
    with pytest.raises(UsageError, match=r"all 28 photos were trained on; learn with --hold-out 0\.3"):
        run(good, confused, photos)


def test_files_that_are_no_photos_are_named(good: Path, confused: Path, photos: Path) -> None:
    (photos / "red" / "broken.png").write_bytes(b"not a photo")
    found = run(good, confused, photos)
    assert found.comparison.right.photos == 28
    (message,) = found.unreadable
    assert "broken.png: the body is not a readable image" in message


def test_a_folder_without_a_readable_photo_is_refused(good: Path, tmp_path: Path) -> None:
    (tmp_path / "photos" / "red").mkdir(parents=True)
    (tmp_path / "photos" / "red" / "a.png").write_bytes(b"x")
    with pytest.raises(UsageError, match="no photo could be read"):
        run(good, good, tmp_path / "photos")
