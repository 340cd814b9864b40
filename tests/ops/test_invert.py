"""Inversion, against Pillow: exact bytes."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.harness import one, patch, plain

pytestmark = pytest.mark.usefixtures("each_executor")


@pytest.mark.parametrize("channels", [1, 3])
def test_the_bytes_are_pillows(channels):
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(channels, axis=2)
    for image in (levels, patch("coffee", 9, 14)[..., :channels]):
        expected = np.asarray(ImageOps.invert(Image.fromarray(image.squeeze()))).reshape(image.shape)
        np.testing.assert_array_equal(one([{"op": "invert", "p": 1}], image), expected)


def test_twice_is_the_identity():
    image = patch("chelsea", 9, 14)
    np.testing.assert_array_equal(one([{"op": "invert", "p": 1}] * 2, image), image)
    assert (one([{"op": "invert", "p": 1}], plain(255, 4, 4)) == 0).all()
