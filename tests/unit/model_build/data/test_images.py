"""The JPEG round trip, and photos kept out of training."""

import numpy as np

from model_build.data.images import is_held_out, jpeg_round_trip, photo_digest
from tests.support.tiny_model import picture


def test_a_photos_content_decides() -> None:
    digests = [photo_digest(f"photo {number}".encode()) for number in range(2000)]
    assert len(set(digests)) == 2000
    held = [is_held_out(digest, 0.25) for digest in digests]
    assert 0.22 < sum(held) / 2000 < 0.28
    # Whoever is held out of less is held out of more.
    assert all(is_held_out(digest, 0.5) for digest, was in zip(digests, held, strict=True) if was)
    assert not any(is_held_out(digest, 0.0) for digest in digests)
    assert all(is_held_out(digest, 1.0) for digest in digests)


def test_jpeg_round_trip_loses_detail_and_keeps_the_picture() -> None:
    images = np.stack([picture("red", 1), picture("white", 2)])
    compressed, rough = (jpeg_round_trip(images, quality) for quality in (75, 5))
    assert compressed.shape == images.shape
    assert not np.array_equal(compressed, images)
    assert abs(compressed.astype(float) - images).mean() < 10
    assert abs(rough.astype(float) - images).mean() > abs(compressed.astype(float) - images).mean()
    each = jpeg_round_trip(images, np.array([5, 75]))  # each image may have its own quality
    np.testing.assert_array_equal(each, np.stack([rough[0], compressed[1]]))
