"""The drawings: equal seeds give equal pictures, different seeds different ones."""

import pytest

from model_build.data import drawings


@pytest.mark.parametrize("kind", drawings.KINDS)
def test_equal_seeds_give_equal_pictures_and_different_ones_different(kind: str) -> None:
    once, again = (drawings.draw(kind, 7, (96, 64)) for _ in range(2))
    assert once.size == (96, 64)
    assert once.mode == "RGB"
    assert once.tobytes() == again.tobytes()
    pictures = [drawings.draw(kind, seed, (64, 64)).tobytes() for seed in range(5)]
    assert len(set(pictures)) == len(pictures)
