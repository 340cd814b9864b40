"""Sepia, against its matrix."""

import numpy as np
import pytest

from tests.harness import agree, grey, one, patch, run, to_levels

pytestmark = pytest.mark.usefixtures("each_executor")
MATRIX = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]])


def test_it_blends_with_the_matrix_product():
    image = patch("coffee", 40, 50)
    stream = run([{"op": "sepia", "strength": [0, 1]}], [image] * 4)
    for position, shown in enumerate(stream.images()):
        strength = stream.draws(position)["strength"]
        expected = (1 - strength) * image / 255 + strength * (image / 255 @ MATRIX.T)
        agree(shown, to_levels(expected), most=1, mean=0.01)


def test_red_is_above_green_and_green_above_blue():
    red, green, blue = np.moveaxis(one([{"op": "sepia"}], patch("astronaut", 20, 20)).astype(int), 2, 0)
    assert (red >= green).all() and (green >= blue).all() and red.mean() > blue.mean() + 20


def test_a_grey_canvas_stays_as_it_is():
    image = grey(patch("coffee", 30, 40))
    np.testing.assert_array_equal(one([{"op": "sepia"}], image), image)
