"""Solarization, against Pillow, Kornia's order and AutoAugment's SolarizeAdd: exact bytes."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.harness import one, patch, run

pytestmark = pytest.mark.usefixtures("each_executor")
LEVELS = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)


@pytest.mark.parametrize("threshold", [0, 1, 127, 128, 200, 255])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_bytes_are_pillows(threshold, channels):
    for image in (LEVELS.repeat(channels, axis=2), patch("coffee", 9, 14)[..., :channels]):
        expected = np.asarray(ImageOps.solarize(Image.fromarray(image.squeeze()), threshold)).reshape(image.shape)
        np.testing.assert_array_equal(one([{"op": "solarize", "threshold": threshold / 255}], image), expected)


def test_the_default_threshold_is_pillows():
    expected = np.asarray(ImageOps.solarize(Image.fromarray(LEVELS[..., 0])))[..., None]
    np.testing.assert_array_equal(one([{"op": "solarize"}], LEVELS), expected)


@pytest.mark.parametrize("above", ["invert", "keep"])
def test_an_addition_comes_before_the_inversion_or_below_the_threshold_alone(above):
    step = {"op": "solarize", "threshold": [0.2, 0.8], "addition": [-0.5, 0.5], "above": above}
    stream = run([step], [LEVELS] * 12)
    for position, shown in enumerate(stream.images()):
        threshold, addition = (np.floor(stream.draws(position)[name] * 255 + 0.5) for name in ("threshold", "addition"))
        added = np.clip(LEVELS + addition, 0, 255)
        if above == "invert":  # kornia.enhance.solarize
            expected = np.where(added < threshold, added, 255 - added)
        else:  # TensorFlow's AutoAugment, timm
            expected = np.where(threshold > LEVELS, added, LEVELS)
        np.testing.assert_array_equal(shown, expected)


def test_after_another_table_its_jump_stays_a_jump():
    """Read through the interpolated table of the first operation, the jump would become a ramp over a quarter of a level."""
    np.testing.assert_array_equal(
        one([{"op": "gamma", "gamma": 1}, {"op": "solarize"}], LEVELS), one([{"op": "solarize"}], LEVELS)
    )
