"""Conversion to grey, against Pillow: exact bytes."""

import numpy as np
import pytest
from PIL import Image

from tests.harness import agree, grey, one, patch, photo, run, to_levels

pytestmark = pytest.mark.usefixtures("each_executor")


def test_the_bytes_are_pillows_mode_l_in_all_three_channels():
    image = photo("astronaut")[:128, 100:300]
    expected = np.asarray(Image.fromarray(image).convert("L"))[..., None].repeat(3, axis=2)
    np.testing.assert_array_equal(one([{"op": "grayscale", "p": 1}], image), expected)


def test_the_mean_weights_channels_equally():
    image = patch("coffee", 30, 40)
    expected = (image / 255).mean(axis=2, keepdims=True).repeat(3, axis=2)
    agree(one([{"op": "grayscale", "p": 1, "weights": "mean"}], image), to_levels(expected), most=1, mean=0.01)


def test_strength_blends_with_the_image():
    image = patch("coffee", 30, 40)
    stream = run([{"op": "grayscale", "p": 1, "strength": [0, 1]}], [image] * 6)
    luma = (image / 255) @ [0.299, 0.587, 0.114]
    for position, shown in enumerate(stream.images()):
        strength = stream.draws(position)["strength"]
        expected = (1 - strength) * image / 255 + strength * luma[..., None]
        agree(shown, to_levels(expected), most=1, mean=0.01)


@pytest.mark.parametrize("weights", ["luma", "mean"])
def test_a_grey_canvas_stays_as_it_is(weights):
    image = grey(patch("coffee", 30, 40))
    np.testing.assert_array_equal(one([{"op": "grayscale", "p": 1, "weights": weights}], image), image)
