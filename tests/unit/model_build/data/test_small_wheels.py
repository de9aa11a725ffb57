"""Drawings of small things with wheels."""

import pytest

from model_build.data.small_wheels import KINDS, SIZE, draw


@pytest.mark.parametrize("kind", KINDS)
def test_equal_seeds_give_equal_drawings_and_others_differ(kind: str) -> None:
    first, again, other = draw(kind, 1), draw(kind, 1), draw(kind, 2)
    assert (first.mode, first.size) == ("RGB", SIZE)
    assert first.tobytes() == again.tobytes() != other.tobytes()
