"""Cameras that are made once: of sources that have the size of the canvas, and of samples that all move the same way."""

import numpy as np
import pytest

from augsvc.numerics.geometry import Camera, Canvas, identity


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
def test_a_camera_that_moves_nothing_is_that_of_identity_matrices(interpolation):
    made = Camera.unmoved(3, interpolation)
    computed = Camera.of(identity(3), Canvas(40, 50, 3), [(40, 50)] * 3, interpolation)
    for field in ("forward", "backward", "depth", "taps", "identical"):
        value, expected = getattr(made, field), getattr(computed, field)
        assert value.dtype == expected.dtype
        np.testing.assert_array_equal(value, expected)
    assert made.interpolation == computed.interpolation


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("row", [[-1.0, 0.0, 50.0], [0.5, 0.0, -0.0], [0.7, 0.2, 3.25]])
def test_a_camera_that_samples_share_is_that_of_each(interpolation, row):
    canvas, size = Canvas(40, 50, 3), (80, 70)
    matrix = identity(1)
    matrix[:, 0] = row
    alone = Camera.of(matrix, canvas, [size], interpolation)
    for n in (2, 5, 2):
        shared = Camera.of(np.repeat(matrix, n, axis=0), canvas, [size] * n, interpolation)
        for field in ("forward", "backward", "depth", "taps", "identical"):
            assert getattr(shared, field).tobytes() == getattr(alone, field).tobytes() * n
        assert shared.interpolation == interpolation
    other = Camera.of(np.repeat(matrix, 2, axis=0), canvas, [size, (81, 70)], interpolation)
    assert other.backward.tobytes() == alone.backward.tobytes() * 2


def test_a_zero_keeps_its_sign_beside_others():
    """Labels of a batch are those of its samples to the bit."""
    matrices = identity(2)
    matrices[1, 0, 1] = -0.0
    camera = Camera.of(matrices, Canvas(40, 50, 3), [(40, 50)] * 2)
    assert np.signbit(camera.forward[:, 0, 1]).tolist() == [False, True]
