"""The windowed sinc that changes the speed of clips."""

from functools import cache

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics import exact

SINC_ZEROS, SINC_PHASES = 16, 512  # zero crossings on either side, and entries for each
_BETA = 9.0  # of the Kaiser window: −90 dB beside the pass band
_BESSEL_TERMS = 40


@cache
def sinc_table() -> F64:
    """sin(πx) / πx times a Kaiser window, for x of 0, 1 / SINC_PHASES, …, SINC_ZEROS, and a 0 after it. Read-only."""
    x = np.arange(0.0, SINC_ZEROS * SINC_PHASES + 1) / SINC_PHASES
    sin, _ = exact.sincos(180.0 * x)
    sinc = np.where(x > 0.0, sin / np.where(x > 0.0, x * 3.141592653589793, 1.0), 1.0)
    inner = x / SINC_ZEROS
    window = _bessel(_BETA * np.sqrt(np.maximum(1.0 - inner * inner, 0.0))) / _bessel(np.array([_BETA]))
    table: F64 = np.append(sinc * window, 0.0)
    table.flags.writeable = False
    return table


def _bessel(x: F64) -> F64:
    """The modified Bessel function I0 by its series."""
    total, term = np.ones_like(x), np.ones_like(x)
    for k in range(1, _BESSEL_TERMS):
        term = term * (x / (2.0 * k)) * (x / (2.0 * k))
        total = total + term
    return total
