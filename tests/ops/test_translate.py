"""Translation, against slicing and SciPy."""

import numpy as np
import pytest
from scipy import ndimage

from tests.harness import agree, one, patch, run

pytestmark = pytest.mark.usefixtures("each_executor")


def moved(image, right, down):
    expected = np.zeros_like(image)
    height, width = image.shape[:2]
    source = image[max(-down, 0) : height - max(down, 0), max(-right, 0) : width - max(right, 0)]
    expected[max(down, 0) :, max(right, 0) :][: source.shape[0], : source.shape[1]] = source
    return expected


@pytest.mark.parametrize(("right", "down"), [(0, 0), (7, -3), (-12, 5), (40, 0)])
def test_whole_pixels_are_slices(right, down):
    image = patch("coffee", 30, 40)
    shown = one([{"op": "translate", "x": right / 40, "y": down / 30}], image)
    np.testing.assert_array_equal(shown, moved(image, right, down))


def test_whole_truncates_towards_zero():
    image = patch("coffee", 30, 40)
    shown = one([{"op": "translate", "x": 7.9 / 40, "y": -3.9 / 30, "whole": True}], image)
    np.testing.assert_array_equal(shown, moved(image, 7, -3))
    stream = run([{"op": "translate", "whole": True}], [image] * 8)
    for position, shown in enumerate(stream.images()):
        draws = stream.draws(position)
        np.testing.assert_array_equal(shown, moved(image, int(draws["x"] * 40), int(draws["y"] * 30)))


def test_fractions_of_a_pixel_are_interpolated():
    image = patch("chelsea", 30, 40)
    shown = one([{"op": "translate", "x": 3.4 / 40, "y": -2.7 / 30, "border": "edge"}], image)
    expected = ndimage.shift(image.astype(float), (-2.7, 3.4, 0), order=1, mode="nearest")
    agree(shown, np.floor(expected + 0.5), most=1, mean=0.02)


def test_pixels_add_to_fractions_and_are_left_out_at_zero():
    image = patch("coffee", 30, 40)
    step = {"op": "translate", "x": 4 / 40, "y": 0, "x_pixels": -9, "y_pixels": 5}
    np.testing.assert_array_equal(one([step], image), moved(image, -5, 5))
    stream = run([{"op": "translate", "x": 0, "y": 0, "x_pixels": [-7, 7], "whole": True}], [image] * 8)
    for position, shown in enumerate(stream.images()):
        np.testing.assert_array_equal(shown, moved(image, int(stream.draws(position)["x_pixels"]), 0))
    assert "x_pixels" not in run([{"op": "translate"}], [image]).draws(0)


@pytest.mark.parametrize("width", [224, 331, 662, 300])
def test_whole_pixels_of_a_fraction_are_those_of_exact_arithmetic(width):
    """AutoAugment's 150 / 331 of the side at level 11 of 30 is 55 pixels of 331: rounding left 54."""
    image = np.zeros((1, width, 1), np.uint8)
    image[0, width // 2] = 255
    for level in range(31):
        step = {"op": "translate", "x": 150 / 331 * level / 30, "y": 0, "whole": True}
        shown = one([step], image, size=[1, width])
        assert shown[0, :, 0].argmax() == width // 2 + 150 * level * width // (331 * 30)
