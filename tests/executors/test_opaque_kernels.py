"""Opaque operations that have kernels, against their arithmetic in NumPy or torch."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given, settings

from augsvc.executors.fused.opaque import apply_to_levels, apply_to_values
from augsvc.ops.image.color.clahe import Clahe
from augsvc.ops.image.compression.downsample import Downsample
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


@st.composite
def downsampled(draw):
    """Values (N, C, H, W), the first ones plain, and sides of small images: the whole, one pixel, and any between."""
    shape = draw(st.sampled_from([1, 3])), draw(st.integers(1, 70)), draw(st.integers(1, 70))
    values = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 65281, (5, *shape), dtype=np.uint16)
    values[0] = draw(st.integers(0, 65280))
    sides = [[draw(st.integers(1, side)) for side in shape[1:]] for _ in range(3)]
    return values, np.array([*sides, list(shape[1:]), [1, 1]])


@settings(max_examples=30)
@given(downsampled())
def test_downsample(case):
    """As areas and lines in float64, but for four steps rounded to values and two to weights. And to the bit as in torch."""
    values, sides = case
    found = values.copy()
    apply_to_values(Downsample(), found, np.arange(5), sides)
    for before, after, (small_height, small_width) in zip(values, found, sides, strict=True):
        height, width = before.shape[1:]
        vertical = enlarging(small_height, height) @ averaging(height, small_height)
        horizontal = enlarging(small_width, width) @ averaging(width, small_width)
        np.testing.assert_allclose(after, vertical @ before @ horizontal.T, rtol=0, atol=4 * 0.5 + 2 * 0.5)
    np.testing.assert_array_equal(found[0], values[0])
    np.testing.assert_array_equal(found[3], values[3])
    in_torch = Downsample().apply(torch.from_numpy(values.astype(np.float32)) / 65280, sides) * 65280
    np.testing.assert_array_equal(found, in_torch.round().numpy())
    alone = values[2:3].copy()
    apply_to_values(Downsample(), alone, np.arange(1), sides[2:3])
    np.testing.assert_array_equal(found[2:3], alone)


def averaging(length, small):
    """Shares of pixels in `small` equal windows: (small, length)."""
    ends, pixels = np.linspace(0, length, small + 1), np.arange(length)
    covered = np.minimum(ends[1:, None], pixels + 1) - np.maximum(ends[:-1, None], pixels)
    return covered.clip(0) * small / length


def enlarging(small, length):
    """Hats around the centres of `small` pixels, the outer ones continued: (length, small)."""
    centres = ((np.arange(length) + 0.5) * small / length - 0.5).clip(0, small - 1)
    return (1 - np.abs(centres[:, None] - np.arange(small))).clip(0)


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
