"""The drawings: a seed names one picture, other seeds others, and the samples are what they claim."""

from pathlib import Path

import pytest
from PIL import Image, ImageOps

from model_build.__main__ import main
from model_build.data import drawings


@pytest.mark.parametrize("kind", drawings.KINDS)
def test_a_seed_names_one_picture(kind: str) -> None:
    once, again = (drawings.draw(kind, 7, (96, 64)) for _ in range(2))
    assert once.size == (96, 64)
    assert once.mode == "RGB"
    assert once.tobytes() == again.tobytes()


@pytest.mark.parametrize("kind", drawings.KINDS)
def test_seeds_differ(kind: str) -> None:
    pictures = [drawings.draw(kind, seed, (64, 64)).tobytes() for seed in range(5)]
    assert len(set(pictures)) == len(pictures)


def test_an_unknown_kind_is_named_with_the_choices() -> None:
    with pytest.raises(ValueError, match=r"'boat'.*bicycle, motorcycle"):
        drawings.draw("boat", 0)


def test_samples_are_what_they_claim(tmp_path: Path) -> None:
    paths = {path.name: path for path in drawings.write_samples(tmp_path)}
    assert tuple(paths) == drawings.SAMPLES
    with Image.open(paths["bicycle_phone_photo.jpg"]) as photo:
        assert photo.size == (4000, 3000)
        upright = ImageOps.exif_transpose(photo)
    assert upright.size == (3000, 4000)
    assert paths["empty.jpg"].stat().st_size == 0
    assert b"JFIF" in paths["truncated.jpg"].read_bytes()
    with pytest.raises(OSError, match="truncated"), Image.open(paths["truncated.jpg"]) as broken:
        broken.load()


def test_samples_are_the_same_every_time(tmp_path: Path) -> None:
    # Only the seeds may decide: the demo, the events and the tests speak of the same photos.
    first = drawings.write_samples(tmp_path / "a")
    second = drawings.write_samples(tmp_path / "b")
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_the_phone_photo_stands_upright_after_its_exif_turn(tmp_path: Path) -> None:
    drawings.write_samples(tmp_path)
    with Image.open(tmp_path / "bicycle_phone_photo.jpg") as photo:
        upright = ImageOps.exif_transpose(photo).resize((30, 40))
    expected = drawings.draw("bicycle", drawings.FIRST_TEST_SEED + 1, (3000, 4000)).resize((30, 40))
    pairs = zip(upright.tobytes(), expected.tobytes(), strict=True)
    assert max(abs(a - b) for a, b in pairs) < 40


def test_the_samples_command_writes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["samples", "--output", str(tmp_path / "samples")]) == 0
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == sorted(drawings.SAMPLES)
    assert f"11 sample photos in {tmp_path / 'samples'}" in capsys.readouterr().out


def test_the_samples_command_names_a_folder_that_cannot_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["samples", "--output", str(tmp_path / "file" / "samples")]) == 2
    assert f"cannot write to {tmp_path / 'file' / 'samples'}" in capsys.readouterr().err
