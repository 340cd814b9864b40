"""Tables of noise by 16 random bits, or by a value of 16 bits: integers, so that every device looks up the same numbers."""

from math import fsum, sqrt

import numpy as np

from augsvc.arrays import F64, I64
from augsvc.numerics import exact
from augsvc.numerics.rng import QUANTILE_BITS, quantile_table

ROOT_BITS = 7  # fraction bits of a root: the root of the largest value, 255.5, just fits int16
TABLE_SIZE = 1 << 16
_WHITE = 65280  # the largest value, with 8 fraction bits


def noise_tables() -> I64:
    """Normal, uniform and Laplace deviates, QUANTILE_BITS fraction bits, and √v of values v: int64 (4, 65536), within int16.

    Normal and Laplace deviates have variance 1, uniform ones lie on [−1, 1]. All are odd-symmetric.
    """
    return np.stack((quantile_table(), _uniform(), _laplace(), _roots()))


def _uniform() -> I64:
    return exact.to_fixed((2.0 * np.arange(65536.0) + 1.0) / 65536.0 - 1.0, QUANTILE_BITS)


def _laplace() -> I64:
    """−ln(2 − 2p) at the upper half of the probabilities p, rescaled to variance 1; ends at ±7.84."""
    half: F64 = -exact.log(2.0 - (2.0 * np.arange(32768.0, 65536.0) + 1.0) / 65536.0)
    deviation = sqrt(fsum((half * half).tolist()) / 32768.0)  # fsum rounds once, so the order does not matter
    upper = exact.to_fixed(half / deviation, QUANTILE_BITS)
    return np.concatenate((-upper[::-1], upper))


def _roots() -> I64:
    return exact.to_fixed(np.sqrt(np.minimum(np.arange(65536.0), _WHITE)), ROOT_BITS)
