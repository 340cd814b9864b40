"""Inverses of affine matrices: computed without the terms that are 0 or 1, and beside a perspective with them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from augsvc.numerics.geometry import Camera, Canvas, determinant, identity, inverse

NUMBERS = st.floats(-1e4, 1e4, allow_subnormal=False)


def affine_and_perspective(values):
    both = identity(2)
    both[0, :2] = np.reshape(values, (2, 3))
    both[1, 2] = [1e-3, 2e-3, 1.0]
    return both


@given(st.lists(NUMBERS, min_size=6, max_size=6))
def test_an_affine_inverse_does_not_depend_on_its_neighbours(values):
    both = affine_and_perspective(values)
    if determinant(both)[0] == 0.0:  # infinities of either sign: the camera refuses them
        return
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(inverse(both[:1])[0], inverse(both)[0])


@given(st.lists(st.floats(-3, 3), min_size=4, max_size=4), st.floats(-50, 50), st.floats(-50, 50))
def test_a_camera_does_not_depend_on_its_neighbours(linear, x, y):
    a, b, d, e = linear
    if abs(a * e - b * d) < 1e-3:
        return
    both, sizes = affine_and_perspective([a, b, x, d, e, y]), [(40, 50), (40, 50)]
    alone, beside = Camera.of(both[:1], Canvas(40, 50, 3), sizes[:1]), Camera.of(both, Canvas(40, 50, 3), sizes)
    for field in ("forward", "backward", "depth", "taps", "identical"):
        np.testing.assert_array_equal(getattr(alone, field), getattr(beside, field)[:1])
