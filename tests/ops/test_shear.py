"""Shear, against SciPy and torchvision's sign."""

import numpy as np
import pytest

from tests.harness import agree, centred, one, patch, rounded, run, warp

pytestmark = pytest.mark.usefixtures("each_executor")


def sheared(tan_x, tan_y):
    return centred(np.array([[1, 0], [tan_y, 1]]) @ np.array([[1, tan_x], [0, 1]]), 40, 30)


def test_degrees_are_scipys_resample_of_the_matrix():
    image = patch("chelsea", 30, 40)
    stream = run([{"op": "shear", "border": "edge"}], [image] * 6)
    for position, shown in enumerate(stream.images()):
        draws = stream.draws(position)
        matrix = sheared(*(np.tan(np.deg2rad(draws[axis])) for axis in "xy"))
        agree(shown, rounded(warp(image, matrix, (30, 40), "nearest")), most=1, mean=0.02)


def test_a_tangent_is_that_of_the_angle():
    image = patch("chelsea", 30, 40)
    by_tangent = one([{"op": "shear", "unit": "tangent", "x": 0.3, "y": -0.2}], image)
    by_angle = one([{"op": "shear", "x": np.rad2deg(np.arctan(0.3)), "y": -np.rad2deg(np.arctan(0.2))}], image)
    np.testing.assert_array_equal(by_tangent, by_angle)


def test_the_sign_is_the_reverse_of_torchvisions():
    """A dot below the centre moves to the right by a positive x; torchvision's shear of the same angle moves it left."""
    image = np.zeros((41, 41, 1), np.uint8)
    image[34:37, 19:22] = 255
    rows, columns, _ = np.nonzero(one([{"op": "shear", "x": 20, "y": 0}], image) > 100)
    assert abs(columns.mean() - (20 + 15 * np.tan(np.deg2rad(20)))) < 0.5 and rows.mean() == 35
    rows, columns, _ = np.nonzero(one([{"op": "shear", "x": 0, "y": 20}], image.transpose(1, 0, 2)) > 100)
    assert abs(rows.mean() - (20 + 15 * np.tan(np.deg2rad(20)))) < 0.5 and columns.mean() == 35


def test_about_the_corner_is_pillows_transform():
    """AutoAugment's shear, Image.transform with (1, t, 0, 0, 1, 0): the first row stays, others move by t times their y."""
    image = patch("chelsea", 30, 40)
    shown = one([{"op": "shear", "unit": "tangent", "origin": "corner", "x": 0.3, "y": 0, "border": "edge"}], image)
    matrix = np.array([[1, 0.3, 0], [0, 1, 0], [0, 0, 1]])
    agree(shown, rounded(warp(image, matrix, (30, 40), "nearest")), most=1, mean=0.02)
