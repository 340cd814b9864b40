"""Coarse dropout, against slicing."""

import numpy as np
import pytest
from scipy.stats import chisquare

from tests.harness import patch, run

pytestmark = pytest.mark.usefixtures("each_executor")
STEP = {"op": "coarse_dropout", "holes": [0, 16], "height": [0, 0.5], "width": [0.1, 0.3], "value": [0, 1]}


@pytest.mark.parametrize("channels", [1, 3])
def test_the_holes_are_those_of_the_receipt(channels):
    image = patch("coffee", 30, 41)[..., :channels]
    stream = run([STEP], [image] * 12)
    for position, shown in enumerate(stream.images()):
        draws, expected = stream.draws(position), image.copy()
        for hole in range(int(draws["holes"])):
            height, width = int(draws["height"][hole] * 30 + 0.5), int(draws["width"][hole] * 41 + 0.5)
            top, left = int((30 - height + 1) * draws["place_y"][hole]), int((41 - width + 1) * draws["place_x"][hole])
            level = np.floor(np.array(draws["value"])[:channels] * 255 + 0.5)
            expected[top : top + height, left : left + width] = level
        np.testing.assert_array_equal(shown, expected)


def test_every_position_of_a_hole_is_equally_probable():
    stream = run(
        [{"op": "coarse_dropout", "holes": 1, "height": 0.2, "width": 0.2}], [np.full((10, 10, 1), 9, np.uint8)] * 900
    )
    corners = [np.argwhere(image[..., 0] == 0)[0] for image in stream.images()]
    assert ((stream.images() == 0).sum(axis=(1, 2, 3)) == 4).all()
    for axis in (0, 1):
        assert chisquare(np.bincount([corner[axis] for corner in corners], minlength=9)).pvalue > 1e-3


def test_a_hole_of_the_whole_canvas_covers_it():
    shown = run(
        [{"op": "coarse_dropout", "holes": 1, "height": 1, "width": 1, "value": 1}], [patch("coffee", 9, 5)]
    ).images()
    assert (shown == 255).all()
