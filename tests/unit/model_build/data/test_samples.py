"""The drawings, and the sample photos made of them."""

from pathlib import Path

import pytest
from PIL import Image, ImageOps

from model_build.__main__ import main
from model_build.data.drawings import FIRST_TEST_SEED, KINDS, draw
from model_build.data.samples import SAMPLES, write_samples


def test_samples_are_what_they_claim_every_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The demo, the events and the tests refer to the same photos."""
    assert main(["samples", "--output", str(tmp_path / "a")]) == 0
    assert f"11 sample photos in {tmp_path / 'a'}" in capsys.readouterr().out
    again = write_samples(tmp_path)
    assert tuple(path.name for path in again) == SAMPLES
    assert all((tmp_path / "a" / path.name).read_bytes() == path.read_bytes() for path in again)
    assert (tmp_path / "empty.jpg").stat().st_size == 0
    assert b"JFIF" in (tmp_path / "truncated.jpg").read_bytes()
    with pytest.raises(OSError, match="truncated"), Image.open(tmp_path / "truncated.jpg") as broken:
        broken.load()
    # The phone photo is upright after its EXIF rotation.
    with Image.open(tmp_path / "bicycle_phone_photo.jpg") as photo:
        assert photo.size == (4000, 3000)
        upright = ImageOps.exif_transpose(photo)
    assert upright.size == (3000, 4000)
    upright = upright.resize((30, 40))
    expected = draw("bicycle", FIRST_TEST_SEED + 1, (3000, 4000)).resize((30, 40))
    pairs = zip(upright.tobytes(), expected.tobytes(), strict=True)
    assert max(abs(a - b) for a, b in pairs) < 40


@pytest.mark.parametrize("kind", KINDS)
def test_equal_seeds_give_equal_pictures_and_different_ones_different(kind: str) -> None:
    once, again = (draw(kind, 7, (96, 64)) for _ in range(2))
    assert (once.size, once.mode) == ((96, 64), "RGB")
    assert once.tobytes() == again.tobytes()
    assert len({draw(kind, seed, (64, 64)).tobytes() for seed in range(5)}) == 5
