"""The JPEG round trip."""

import numpy as np

from model_build.data.images import jpeg_round_trip
from tests.support.tiny_model import picture


def test_jpeg_round_trip_loses_detail_and_keeps_the_picture() -> None:
    images = np.stack([picture("red", 1), picture("white", 2)])
    compressed = jpeg_round_trip(images, 75)
    assert compressed.shape == images.shape
    assert not np.array_equal(compressed, images)
    assert abs(compressed.astype(float) - images).mean() < 10
    rough = jpeg_round_trip(images, 5)
    assert abs(rough.astype(float) - images).mean() > abs(compressed.astype(float) - images).mean()


def test_each_image_may_have_its_own_quality() -> None:
    images = np.stack([picture("red", 1), picture("red", 1)])
    compressed = jpeg_round_trip(images, np.array([5, 95]))
    np.testing.assert_array_equal(compressed[:1], jpeg_round_trip(images[:1], 5))
    np.testing.assert_array_equal(compressed[1:], jpeg_round_trip(images[1:], 95))
