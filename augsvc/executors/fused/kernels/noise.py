"""One element with noise on it."""

import numpy as np

from augsvc.executors.fused.kernels.args import WHITE, Int
from augsvc.executors.fused.kernels.compiled import inlined
from augsvc.executors.fused.kernels.tone import held


@inlined
def grained(value: Int, strength: Int, quantile: Int) -> Int:
    """v + deviation · normal, cut off to 8 fraction bits; the deviation has 8 more than values, the deviate 12."""
    return held(np.int64(value) + ((np.int64(strength) * np.int64(quantile)) >> 20))


@inlined
def grained_lightly(value: Int, strength_high: Int, strength_low: Int, quantile: Int) -> Int:
    """The same in 32 bits, for a strength below 2^27 in parts of 15 and 12 bits: (4096·h + l)·q / 2^20 in two steps."""
    low = np.int32(np.int32(strength_low * quantile) >> np.int32(12))
    grain = np.int32(np.int32(np.int32(strength_high * quantile) + low) >> np.int32(8))
    return np.uint16(min(max(np.int32(np.int32(value) + grain), np.int32(0)), np.int32(WHITE)))


@inlined
def dropped(value: Int, number: Int, threshold: Int, lost: Int) -> Int:
    """What a pixel becomes that is lost below a threshold."""
    return lost if np.int64(number) < threshold else value
