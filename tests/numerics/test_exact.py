import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augsvc.numerics import exact

mpmath.mp.dps = 40  # digits of the reference; nothing else uses the library


def relative(value, truth):
    return abs((mpmath.mpf(float(value)) - truth) / truth) if truth else abs(float(value))


@given(st.floats(-1000, 1000))
def test_sine_and_cosine(degrees):
    sin, cos = exact.sincos(np.array([degrees]))
    angle = mpmath.mpf(degrees) * mpmath.pi / 180
    assert abs(float(sin[0]) - mpmath.sin(angle)) < 4e-16
    assert abs(float(cos[0]) - mpmath.cos(angle)) < 4e-16


@pytest.mark.parametrize("turns", range(-8, 9))
def test_quarter_turns_are_exact(turns):
    sin, cos = exact.sincos(np.array([90.0 * turns]))
    assert (sin[0], cos[0]) == [(0, 1), (1, 0), (0, -1), (-1, 0)][turns % 4]


@given(st.floats(-700, 700))
def test_exponential(x):
    assert relative(exact.exp(np.array([x]))[0], mpmath.exp(mpmath.mpf(x))) < 1e-15


@given(st.floats(1e-300, 1e300))
def test_logarithm(x):
    truth = mpmath.log(mpmath.mpf(x))
    assert abs(float(exact.log(np.array([x]))[0]) - truth) <= max(4e-16, 4e-16 * abs(truth))


@given(st.floats(1e-9, 1), st.floats(0.1, 10))
def test_power(base, exponent):
    truth = mpmath.mpf(base) ** mpmath.mpf(exponent)
    assert relative(exact.power(np.array([base]), np.array([exponent]))[0], truth) < 1e-13


def test_power_at_the_ends():
    assert exact.power(np.array([0.0, 1.0, 0.0]), np.array([0.1, 3.7, 10.0])).tolist() == [0.0, 1.0, 0.0]


@given(st.floats(1e-9, 1 - 1e-9))
def test_normal_quantile_inverts_the_distribution(p):
    quantile = float(exact.normal_quantile(np.array([p]))[0])
    assert abs(mpmath.ncdf(quantile) - p) < 1e-14


def symmetric(n):
    return st.lists(st.floats(-4, 4), min_size=n * n, max_size=n * n).map(
        lambda values: np.add(half := np.array(values).reshape(n, n), half.T)
    )


@given(st.one_of(symmetric(1), symmetric(2), symmetric(3), symmetric(5)))
def test_eigenvalues_and_vectors(matrix):
    values, vectors = exact.eigen(matrix.tolist())
    vectors = np.array(vectors)
    scale = max(1.0, np.abs(matrix).max())
    np.testing.assert_allclose(sorted(values), np.linalg.eigvalsh(matrix), atol=2e-14 * scale, rtol=0)
    np.testing.assert_allclose(vectors @ np.diag(values) @ vectors.T, matrix, atol=2e-14 * scale, rtol=0)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(len(matrix)), atol=2e-14)


@pytest.mark.parametrize("off", [0.0, 5e-324, 1e-310, 1e-160, 1e-17])
def test_eigenvalues_of_what_is_all_but_diagonal(off):
    values, vectors = exact.eigen([[1.0, off, 0.0], [off, 2.0, off], [0.0, off, 1.0]])
    np.testing.assert_allclose(sorted(values), [1, 1, 2], atol=1e-15)
    np.testing.assert_allclose(np.array(vectors).T @ np.array(vectors), np.eye(3), atol=1e-15)


@given(st.floats(-1000, 1000), st.integers(0, 40))
def test_fixed_point_rounds_to_nearest(value, bits):
    fixed = exact.to_fixed(np.array([value]), bits)
    assert fixed[0] == math.floor(mpmath.mpf(value) * 2**bits + mpmath.mpf("0.5"))
    assert abs(exact.from_fixed(fixed, bits)[0] - value) <= 0.5 / 2**bits
