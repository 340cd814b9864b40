"""Posterize, against Pillow: exact bytes."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.harness import one, patch, run

pytestmark = pytest.mark.usefixtures("each_executor")


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("channels", [1, 3])
def test_the_bytes_are_pillows(bits, channels):
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(channels, axis=2)
    for image in (levels, patch("coffee", 9, 14)[..., :channels]):
        expected = np.asarray(ImageOps.posterize(Image.fromarray(image.squeeze()), bits)).reshape(image.shape)
        np.testing.assert_array_equal(one([{"op": "posterize", "bits": bits}], image), expected)


def test_drawn_bits_are_whole_and_no_bit_is_black():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    stream = run([{"op": "posterize", "bits": [0, 8]}], [levels] * 40)
    for position, shown in enumerate(stream.images()):
        bits = stream.draws(position)["bits"]
        assert len(np.unique(shown)) == 2**bits
        assert bits or not shown.any()
