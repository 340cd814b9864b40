"""Brightness, against Pillow and its formula."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from tests.harness import agree, one, patch, run, to_levels

pytestmark = pytest.mark.usefixtures("each_executor")


@pytest.mark.parametrize("factor", [0, 0.5, 1.3, 4])
def test_a_factor_is_pillows_brightness(factor):
    image = patch("coffee", 40, 50)
    expected = np.asarray(ImageEnhance.Brightness(Image.fromarray(image)).enhance(factor))
    agree(one([{"op": "brightness", "factor": factor}], image), expected, most=1, mean=0.6)  # Pillow truncates


def test_whole_levels_are_added_exactly():
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    for levels in (-255, -40, 0, 51, 255):
        shown = one([{"op": "brightness", "factor": 1, "add": levels / 255}], image)
        np.testing.assert_array_equal(shown, np.clip(image.astype(int) + levels, 0, 255))


@pytest.mark.parametrize("channels", [1, 3])
def test_drawn_values_follow_the_formula(channels):
    image = patch("astronaut", 40, 50)[..., :channels]
    stream = run([{"op": "brightness", "factor": [0.5, 2], "add": [-0.3, 0.3]}], [image] * 6)
    for position, shown in enumerate(stream.images()):
        draws = stream.draws(position)
        agree(shown, to_levels(draws["factor"] * image / 255 + draws["add"]), most=1, mean=0.01)
