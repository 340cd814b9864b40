"""Opaque operations that have kernels, against their arithmetic in NumPy."""

import numpy as np
import pytest

from augsvc.executors.fused.opaque import apply_to_levels, apply_to_values
from augsvc.ops.image.color.clahe import Clahe
from augsvc.ops.image.weather.snow import Snow

ALL = np.arange(3)


@pytest.mark.parametrize("channels", [1, 3])
def test_snow(channels):
    """Black, white, greys and the extremes of both parameters included; blocks of 1024 pixels end within a row."""
    rng = np.random.default_rng(channels)
    values = rng.integers(0, 65281, (3, channels, 41, 57), dtype=np.uint16)
    values[1] //= 4
    values[2], values[2, :, :3], values[2, :, 3:6] = values[2, :1], 0, 65280
    lowered = np.array([[90000, 20000], [130560, 32768], [50000, 8192]])
    expected = np.stack([Snow().change(image, integers) for image, integers in zip(values, lowered, strict=True)])
    apply_to_values(Snow(), values, ALL, lowered)
    np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize("space", ["luma", "rgb"])
@pytest.mark.parametrize("tiles", [1, 3, 8, 32])
@pytest.mark.parametrize("shape", [(41, 57, 3), (40, 64, 1), (1, 9, 3), (7, 1, 1), (33, 16, 3)])
def test_clahe(space, tiles, shape):
    """Sides that tiles divide, one of two, and none."""
    rng = np.random.default_rng(tiles)
    levels = (rng.integers(0, 256, (3, *shape)) // np.array([1, 2, 8]).reshape(3, 1, 1, 1)).astype(np.uint8)
    operation, lowered = Clahe(space=space, tiles=tiles), np.array([[1 << 16], [2 << 16], [(40 << 16) + 77]])
    expected = operation.apply_levels(levels, lowered)
    apply_to_levels(operation, levels, ALL, lowered)
    np.testing.assert_array_equal(levels, expected)


def test_other_samples_stay_as_they_are():
    levels = np.random.default_rng(0).integers(0, 256, (3, 20, 30, 3), dtype=np.uint8)
    before, rows, lowered = levels.copy(), np.array([0, 2]), np.full((2, 1), 2 << 16)
    apply_to_levels(Clahe(), levels, rows, lowered)
    np.testing.assert_array_equal(levels[1], before[1])
    np.testing.assert_array_equal(levels[rows], Clahe().apply_levels(before[rows], lowered))
