"""The camera of sources that have the size of the canvas, made without its matrices."""

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
