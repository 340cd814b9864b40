"""One element with noise on it."""

import numpy as np

from augsvc.executors.kernels.compiled import inlined
from augsvc.executors.kernels.sheets import Int
from augsvc.executors.kernels.tone import held


@inlined
def grained(value: Int, strength: Int, quantile: Int) -> Int:
    """v + deviation · normal, cut off to 8 fraction bits; the deviation has 8 more than values, the deviate 12."""
    return held(np.int64(value) + ((np.int64(strength) * np.int64(quantile)) >> 20))


@inlined
def dropped(value: Int, number: Int, threshold: Int, lost: Int) -> Int:
    """What a pixel becomes that is lost below a threshold."""
    return lost if np.int64(number) < threshold else value
