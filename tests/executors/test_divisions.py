"""The CPU's rows divide by floats, to the integers of the divisions that a GPU makes."""

import numpy as np

from augsvc.executors.fused.kernels import camera, hsv
from augsvc.executors.fused.kernels.compiled import entry

RANDOM = np.random.default_rng(0)


@entry
def reciprocals(depths, exact, by_float):
    for k in range(depths.size):
        exact[k], by_float[k] = camera.reciprocal(depths[k]), camera.reciprocal_by_float(depths[k])


@entry
def quotients(numerators, divisors, exact, by_float):
    for k in range(divisors.size):
        exact[k] = hsv.divide(numerators[k], divisors[k])
        by_float[k] = hsv.divide_by_float(numerators[k], divisors[k])


def test_reciprocals_of_depths():
    near = (1 << 58) // RANDOM.integers(1 << 25, 1 << 32, 1 << 18)  # whose reciprocals are nearly whole numbers
    anywhere = RANDOM.integers(-(1 << 34), 1 << 34, 1 << 18)
    depths = np.concatenate([near - 1, near, near + 1, anywhere, 1 << np.arange(20, 36)])
    exact, by_float = np.empty((2, depths.size), np.uint64)
    reciprocals(depths, exact, by_float)
    np.testing.assert_array_equal(by_float, exact)


def test_quotients_of_values():
    divisors = np.repeat(np.arange(1, 65281, dtype=np.uint32), 8)
    wholes = RANDOM.integers(0, 65537, divisors.size).astype(np.uint64) * divisors
    near = np.minimum(wholes + RANDOM.integers(-1, 2, divisors.size).astype(np.uint64), (1 << 32) - 1)
    numerators = np.where(wholes == 0, 0, near).astype(np.uint32)
    exact, by_float = np.empty((2, divisors.size), np.uint32)
    quotients(numerators, divisors, exact, by_float)
    np.testing.assert_array_equal(by_float, exact)
