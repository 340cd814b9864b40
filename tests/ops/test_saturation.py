"""Saturation, against Pillow."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from tests.harness import agree, grey, one, patch, run, to_levels

pytestmark = pytest.mark.usefixtures("each_executor")


@pytest.mark.parametrize("factor", [0, 0.4, 1.7, 4])
def test_it_is_pillows_color_enhancement(factor):
    image = patch("coffee", 40, 50)
    expected = np.asarray(ImageEnhance.Color(Image.fromarray(image)).enhance(factor))
    agree(
        one([{"op": "saturation", "factor": factor}], image), expected, most=2, mean=0.7
    )  # Pillow truncates, luma first


def test_it_scales_the_distance_from_the_luma():
    image = patch("astronaut", 40, 50)
    stream = run([{"op": "saturation", "factor": [0, 3]}], [image] * 6)
    luma = ((image / 255) @ [0.299, 0.587, 0.114])[..., None]
    for position, shown in enumerate(stream.images()):
        expected = luma + stream.draws(position)["factor"] * (image / 255 - luma)
        agree(shown, to_levels(expected), most=1, mean=0.01)


def test_a_grey_canvas_stays_as_it_is():
    image = grey(patch("coffee", 30, 40))
    np.testing.assert_array_equal(one([{"op": "saturation", "factor": 3}], image), image)
