"""Tables of the discrete Fourier transform."""

from functools import lru_cache

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics import exact


@lru_cache(maxsize=8)
def twiddles(length: int) -> F64:
    """cos and −sin of 2πk / length for k below length / 2: (length / 2, 2), read-only."""
    sin, cos = exact.sincos(np.arange(length // 2, dtype=np.float64) * (360.0 / max(length, 1)))
    table: F64 = np.stack((cos, -sin), axis=-1)
    table.flags.writeable = False
    return table
