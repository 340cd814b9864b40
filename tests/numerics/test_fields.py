"""Fractal fields: their range, their spectrum, and their expansion against SciPy; blends against arithmetic."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from augsvc.numerics.fields import FIELD_BITS, PLASMA_NUMBERS, PLASMA_SIDE, blend, blend_where, expand, plasma

N = 32


def fields(roughness):
    numbers = np.random.default_rng(1).random((N, PLASMA_NUMBERS))
    return plasma(numbers, np.full(N, roughness)) / (1 << FIELD_BITS)


def test_a_field_spans_zero_to_one():
    for roughness in (0.1, 0.5, 0.9):
        field = fields(roughness)
        assert field.shape == (N, PLASMA_SIDE, PLASMA_SIDE)
        assert (field.min(axis=(1, 2)) == 0).all()
        assert (field.max(axis=(1, 2)) == 1).all()


@pytest.mark.parametrize("roughness", [0.5, 0.7])
def test_octaves_shrink_by_the_roughness(roughness):
    """Displacements at half the distance are smaller by the roughness: so is the spread of second differences."""

    def spread(step):
        field = fields(roughness)[:, ::step, ::step]
        return np.std(field[:, 2:] - 2 * field[:, 1:-1] + field[:, :-2])

    assert spread(1) / spread(2) == pytest.approx(roughness, abs=0.12)


@pytest.mark.parametrize("size", [(224, 130), (7, 65), (1, 1)])
def test_an_expanded_lattice_is_bilinear(size):
    lattice = fields(0.6)[0]
    axes = [(np.arange(side) + 0.5) * (PLASMA_SIDE - 1) / side for side in size]
    expected = map_coordinates(lattice, np.meshgrid(*axes, indexing="ij"), order=1)
    expanded = expand((lattice * (1 << FIELD_BITS)).astype(np.int64), *size) / (1 << FIELD_BITS)
    np.testing.assert_allclose(expanded, expected, atol=1e-3)


def test_a_blend_is_rounded_and_whole_at_its_ends():
    values = np.random.default_rng(0).integers(0, 65281, (3, 5, 4)).astype(np.uint16)
    other = np.random.default_rng(1).integers(0, 65281, (5, 4)).astype(np.uint32)
    for weight in (0, 1, 30000, 65535, 65536):
        expected = np.floor((values.astype(float) * (65536 - weight) + other * float(weight)) / 65536 + 0.5)
        np.testing.assert_array_equal(blend(values, other, np.uint32(weight)), expected)
    where = other > 30000
    whole = blend(values, 65280, np.full((5, 4), 20000, np.uint32))
    np.testing.assert_array_equal(blend_where(values, 65280, 20000, where), np.where(where, whole, values))
