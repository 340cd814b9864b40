"""Tone curve, against de Casteljau's construction and the formula of Albumentations."""

from itertools import pairwise

import numpy as np
import pytest

from tests.harness import agree, one, patch, run, to_levels

pytestmark = pytest.mark.usefixtures("each_executor")


def bezier(t, low, high):
    """The value at t of the curve of the control values 0, low, high, 1: repeated linear interpolation."""
    values = [np.zeros_like(t), np.full_like(t, low), np.full_like(t, high), np.ones_like(t)]
    while len(values) > 1:
        values = [(1 - t) * left + t * right for left, right in pairwise(values)]
    return values[0]


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_de_casteljaus_curve(channels):
    image = patch("coffee", 30, 40)[..., :channels]
    stream = run([{"op": "tone_curve", "shadows": [-0.3, 0.3], "highlights": [-0.3, 0.3]}], [image] * 8)
    for position, shown in enumerate(stream.images()):
        draws = stream.draws(position)
        expected = bezier(image / 255, 1 / 3 + draws["shadows"], 2 / 3 + draws["highlights"])
        agree(shown, to_levels(expected), most=1, mean=0.02)


def test_albumentations_points_are_a_twelfth_away():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    t = levels / 255
    expected = 3 * (1 - t) ** 2 * t * 0.25 + 3 * (1 - t) * t**2 * 0.75 + t**3
    shown = one([{"op": "tone_curve", "shadows": -1 / 12, "highlights": 1 / 12}], levels)
    agree(shown, to_levels(expected), most=1, mean=0.02)


def test_the_curve_rises_even_at_its_limits():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 256, 1)
    for shadows in (-0.3, 0.3):
        for highlights in (-0.3, 0.3):
            shown = one([{"op": "tone_curve", "shadows": shadows, "highlights": highlights}], levels)[0, :, 0].astype(
                int
            )
            assert (np.diff(shown) >= 0).all() and (shown[0], shown[-1]) == (0, 255)
