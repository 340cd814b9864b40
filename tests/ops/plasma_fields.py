"""The fractal field of a sample, from its numbers: for the tests of operations that use one."""

import numpy as np
from scipy.ndimage import map_coordinates

from augsvc.numerics.fields import FIELD_BITS, PLASMA_NUMBERS, PLASMA_SIDE, plasma
from augsvc.numerics.rng import Address, operation_key, pixel_numbers


def field_of(operation_id, index, roughness, size, aug_seed=0):
    """The field (H, W) on [0, 1] of one sample of the first epoch."""
    numbers = pixel_numbers(aug_seed, operation_key(operation_id), PLASMA_NUMBERS, Address(np.array([index]), 0, 0))
    lattice = plasma((numbers + 0.5) / 65536, np.array([roughness]))[0] / (1 << FIELD_BITS)
    axes = [(np.arange(side) + 0.5) * (PLASMA_SIDE - 1) / side for side in size]
    return map_coordinates(lattice, np.meshgrid(*axes, indexing="ij"), order=1)
