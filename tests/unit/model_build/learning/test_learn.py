"""Learning from folders, with networks that see an image's mean colour."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from commandline.errors import UsageError
from model_build.archive.loaded_model import open_model
from model_build.archive.manifest import Manifest
from model_build.archive.package import DEFAULT_MODEL, package_model
from model_build.learning import learn as learning
from model_build.learning.learn import COCO, IMAGENET, WHEELED, meanings
from model_build.learning.photos import read_labelled
from tests.support.tiny_model import folder_of, write_experts, write_model

RIPE = {"ripe": ("red", 12), "unripe": ("green", 12)}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_experts(write_model(tmp_path / "base", ["red", "blue"], ["green"]), ["red", "blue"])


def answers(model: Path, photos: Path) -> npt.NDArray[np.float64]:
    with open_model(model) as loaded:
        return np.array([loaded.classify(path.read_bytes()) for path in sorted(photos.rglob("*.png"))])


def test_classes_of_ones_own_are_learned_and_served(tmp_path: Path, base: Path) -> None:
    photos, unreadable = read_labelled(
        [folder_of(tmp_path / "set", {"ripe": ("red", 15), "unripe": ("green", 15), "other": ("white", 12)})]
    )
    learned = learning.learn(photos, base, tmp_path / "model", seed=0)
    assert not unreadable
    assert learned.forecast.accuracy.count == 30
    manifest = Manifest.read(tmp_path / "model")
    assert (manifest.labels, manifest.experts) == (("ripe", "unripe"), ())
    assert manifest.metrics is not None
    assert {name: manifest.metrics["photos"][name] for name in ("images", "accuracy")} == {
        "images": 30,
        "accuracy": 1.0,
    }
    fresh = folder_of(tmp_path / "fresh", {"a": ("red", 4), "b": ("green", 4), "c": ("white", 4)})
    found = answers(tmp_path / "model", fresh)
    assert found[:4, 0].min() > 0.8
    assert found[4:8, 1].min() > 0.8
    assert np.abs(found[8:] - 0.5).max() < 0.3, "neither: even odds"
    archive = package_model(tmp_path / "model", tmp_path / "model.tar.gz")
    assert answers(archive, fresh) == pytest.approx(found)


def test_known_labels_correct_what_the_experts_say(tmp_path: Path, base: Path) -> None:
    """Planted weakness: yellow things are called red; photos of them in other/ teach otherwise."""
    yellow = folder_of(tmp_path / "yellow", {"y": ("yellow", 6)})
    before = answers(base, yellow)
    content = {"red": ("red", 12), "blue": ("blue", 12), "other": ("yellow", 14)}
    photos, _ = read_labelled([folder_of(tmp_path / "set", content)], ["red", "blue"])
    learning.learn(photos, base, tmp_path / "model", seed=0)
    manifest = Manifest.read(tmp_path / "model")
    assert manifest.views[-1].experts == Manifest.read(base).views[-1].experts
    assert manifest.views[0].up_to == 64, "thumbnails are classified as before"
    assert answers(tmp_path / "model", yellow).max(axis=1).mean() < before.max(axis=1).mean() + 0.05
    red = folder_of(tmp_path / "red", {"r": ("red", 6)})
    assert answers(tmp_path / "model", red)[:, manifest.labels.index("red")].min() > 0.8


def test_the_same_photos_and_seed_give_the_same_model_which_names_them(tmp_path: Path, base: Path) -> None:
    photos, _ = read_labelled([folder_of(tmp_path / "set", RIPE)])
    found = []
    for name in ("one", "two"):
        json.dumps(learning.learn(photos, base, tmp_path / name, seed=3).as_json())
        found.append((tmp_path / name / learning.HEAD).read_bytes())
        data = Manifest.read(tmp_path / name).training_data
        assert data is not None
        assert set(data.photos or ()) == set(photos.digests), "so that `compare` leaves them out"
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"ripe": ("red", 12)}, r"two classes or more are needed.*only ripe"),
        ({**RIPE, "unripe": ("green", 9)}, r"10 different readable photos or more: unripe has 9"),
        ({**RIPE, "Ripe fruit": ("red", 12)}, r"'Ripe fruit' cannot be a label"),
    ],
)
def test_a_folder_that_cannot_be_learned_from_is_refused(
    tmp_path: Path, content: dict[str, tuple[str, int]], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        read_labelled([folder_of(tmp_path / "set", content)])


def test_a_photo_in_two_classes_is_refused_and_what_is_no_image_left_out(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "set", RIPE)
    (folder / "ripe" / "notes.txt").write_text("not a photo")
    (folder / "ripe" / ".hidden").write_text("nor this")
    photos, unreadable = read_labelled([folder])
    assert len(photos.names) == 24
    assert [message.split(":")[0] for message in unreadable] == [str(folder / "ripe" / "notes.txt")]
    (folder / "unripe" / "again.png").write_bytes((folder / "ripe" / "003.png").read_bytes())
    with pytest.raises(UsageError, match=r"1 photo in two classes, which one is right\? unripe/again\.png"):
        read_labelled([folder])


def test_near_duplicates_and_subfolders_are_one_group(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "set", RIPE)
    with Image.open(folder / "ripe" / "000.png") as image:
        image.resize((100, 100)).save(folder / "ripe" / "saved_again.jpg", quality=80)
    for number in (0, 1, 2):
        (folder / "unripe" / "one_apple").mkdir(exist_ok=True)
        (folder / "unripe" / f"00{number}.png").rename(folder / "unripe" / "one_apple" / f"{number}.png")
    photos, _ = read_labelled([folder])
    group = {name: int(number) for name, number in zip(photos.names, photos.groups, strict=True)}
    assert group["ripe/000.png"] == group["ripe/saved_again.jpg"]
    assert group["unripe/0.png"] == group["unripe/1.png"] == group["unripe/2.png"]
    assert len(set(group.values())) == 12 + 10


def test_meanings_of_the_shipped_labels_and_of_others() -> None:
    assert meanings(["motorcycle", "bicycle"], IMAGENET) == {"motorcycle": (665, 670), "bicycle": (444, 671)}
    assert meanings(["bicycle", "truck"], COCO) == {"bicycle": (2,), "truck": (8,)}
    assert meanings(["bicycle", "lizard"], COCO) is None
    assert meanings(["bicycle", "cargo drone"], IMAGENET) is None


def test_other_wheeled_things_are_confusable_with_cycles() -> None:
    shipped = Manifest.read(DEFAULT_MODEL)
    for labels, confusable in ((("lizard", "bicycle"), WHEELED), (("lizard", "truck"), None)):
        experts = learning.photo_view(shipped, labels).experts
        assert experts is not None
        assert experts.confusable == confusable
    named = meanings(["bicycle", "motorcycle"], IMAGENET) or {}
    assert not {number for outputs in named.values() for number in outputs} & {*WHEELED}
