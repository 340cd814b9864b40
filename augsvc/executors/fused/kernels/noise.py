"""The laws of noise, each once for a pixel (a GPU's thread) and once for a row (a CPU's loop). A new law is a case here."""

import numpy as np

from augsvc.executors.fused.kernels.args import DROPOUT, GAUSSIAN, I16, U16, WHITE, Int, NoiseArgs
from augsvc.executors.fused.kernels.compiled import compiled, inlined
from augsvc.executors.fused.kernels.tone import clamp


@inlined
def random_planes(law: Int, channels: Int) -> Int:
    """How many 16-bit numbers a pixel needs: GAUSSIAN one per channel, DROPOUT one for all."""
    return channels if law == GAUSSIAN else 1


@inlined
def add_noise(noise: NoiseArgs, n: Int, k: Int, value: Int, bits: Int) -> Int:
    """A value of sample n after noise k, by its 16-bit number."""
    law, strength = noise.laws[k], noise.strengths[n, k]
    if law == GAUSSIAN:
        return add_deviate(value, strength, noise.quantiles[bits])
    if law == DROPOUT:
        return replace_below(np.uint16(value), bits, strength, np.uint16(noise.values[n, k]))
    return np.uint16(value)


@inlined
def add_noise_row(
    law: Int, strength: Int, replacement: Int, row: U16, bits: U16, quantiles: I16, deviates: I16
) -> None:
    """A channel's row after a noise, by its 16-bit numbers; `deviates` is scratch memory."""
    if law == GAUSSIAN:
        _add_deviates(row, bits, np.int32(strength), quantiles, deviates)
    elif law == DROPOUT:
        for x in range(row.size):
            row[x] = replace_below(row[x], bits[x], strength, replacement)


@compiled
def _add_deviates(row: U16, bits: U16, strength: Int, quantiles: I16, deviates: I16) -> None:
    """Looked up first, added after: the look-up is loads alone, the sum becomes vectors."""
    for x in range(row.size):
        deviates[x] = quantiles[np.uint64(bits[x])]
    if 0 <= strength < 1 << 27:
        high, low = np.int32(strength >> 12), np.int32(strength & 4095)
        for x in range(row.size):
            row[x] = _add_deviate_32(row[x], high, low, deviates[x])
    else:
        for x in range(row.size):
            row[x] = add_deviate(row[x], strength, deviates[x])


@inlined
def add_deviate(value: Int, strength: Int, deviate: Int) -> Int:
    """v + std · normal, cut off to 8 fraction bits; the standard deviation has 8 more than values, the deviate 12."""
    return clamp(np.int64(value) + ((np.int64(strength) * np.int64(deviate)) >> 20))


@inlined
def _add_deviate_32(value: Int, strength_high: Int, strength_low: Int, deviate: Int) -> Int:
    """The same in 32 bits, for a strength below 2^27 in parts of 15 and 12 bits: (4096·h + l)·d / 2^20 in two steps."""
    low = np.int32(np.int32(strength_low * deviate) >> np.int32(12))
    change = np.int32(np.int32(np.int32(strength_high * deviate) + low) >> np.int32(8))
    return np.uint16(min(max(np.int32(np.int32(value) + change), np.int32(0)), np.int32(WHITE)))


@inlined
def replace_below(value: Int, bits: Int, threshold: Int, replacement: Int) -> Int:
    """The replacement where a number lies below the threshold, else the value."""
    return replacement if np.int64(bits) < threshold else value
