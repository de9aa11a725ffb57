"""The sample photos."""

from pathlib import Path

import pytest
from PIL import Image, ImageOps

from model_build.data.drawings import FIRST_TEST_SEED, draw
from model_build.data.samples import SAMPLES, write_samples


def test_samples_are_what_they_claim(tmp_path: Path) -> None:
    paths = {path.name: path for path in write_samples(tmp_path)}
    assert tuple(paths) == SAMPLES
    assert paths["empty.jpg"].stat().st_size == 0
    assert b"JFIF" in paths["truncated.jpg"].read_bytes()
    with pytest.raises(OSError, match="truncated"), Image.open(paths["truncated.jpg"]) as broken:
        broken.load()


def test_samples_are_the_same_every_time(tmp_path: Path) -> None:
    # The demo, the events and the tests refer to the same photos.
    first = write_samples(tmp_path / "a")
    second = write_samples(tmp_path / "b")
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_the_phone_photo_is_upright_after_its_exif_rotation(tmp_path: Path) -> None:
    write_samples(tmp_path)
    with Image.open(tmp_path / "bicycle_phone_photo.jpg") as photo:
        assert photo.size == (4000, 3000)
        upright = ImageOps.exif_transpose(photo)
    assert upright.size == (3000, 4000)
    upright = upright.resize((30, 40))
    expected = draw("bicycle", FIRST_TEST_SEED + 1, (3000, 4000)).resize((30, 40))
    pairs = zip(upright.tobytes(), expected.tobytes(), strict=True)
    assert max(abs(a - b) for a, b in pairs) < 40
