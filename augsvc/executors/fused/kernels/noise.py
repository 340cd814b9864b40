"""The laws of noise, each once for a pixel (a GPU's thread) and once for a row (a CPU's loop). A new law is a case here."""

import numpy as np

from augsvc.executors.fused.kernels.args import ADDITIVE, I16, ROOT, U16, WHITE, Int, NoiseArgs
from augsvc.executors.fused.kernels.compiled import compiled, inlined
from augsvc.executors.fused.kernels.tone import clamp


@inlined
def random_planes(noise: NoiseArgs, k: Int, channels: Int) -> Int:
    """How many 16-bit numbers a pixel needs: one per channel, or one for all."""
    return channels if noise.per_channel[k] else 1


@inlined
def is_idle(noise: NoiseArgs, n: Int, k: Int) -> bool:
    """Whether noise k leaves sample n as it is."""
    return bool((noise.strengths[n, k, 0] | noise.strengths[n, k, 1] | noise.strengths[n, k, 2]) == 0)


@compiled
def is_free_of_noise(noise: NoiseArgs, n: Int) -> bool:
    """Whether no noise changes sample n."""
    active = 0
    for k in range(noise.laws.size):
        active += not is_idle(noise, n, k)
    return bool(active == 0)


@inlined
def add_noise(noise: NoiseArgs, n: Int, k: Int, value: Int, bits: Int) -> Int:
    """A value of sample n after noise k, by its 16-bit number."""
    first, second, third = noise.strengths[n, k, 0], noise.strengths[n, k, 1], noise.strengths[n, k, 2]
    if noise.laws[k] == ADDITIVE:
        strength = first
        if second | third:
            root = np.int64(noise.tables[ROOT + np.int64(value)])
            strength = strength_at(value, (first, second, third), root)
        return add_deviate(value, strength, noise.tables[noise.deviates[k] + np.int64(bits)])
    values = np.uint16(noise.values[n, k, 0]), np.uint16(noise.values[n, k, 1])
    return replace_below(np.uint16(value), bits, (np.uint32(first), np.uint32(second)), values)


@inlined
def add_noise_row(noise: NoiseArgs, n: Int, k: Int, row: U16, bits: U16, deviates: I16) -> None:
    """A channel's row of sample n after noise k, by its 16-bit numbers; `deviates` is scratch memory.

    The loops take plain numbers: with loads from the arguments in them a dropout took 5.4 ns a pixel, not 1.3.
    """
    first, second, third = noise.strengths[n, k, 0], noise.strengths[n, k, 1], noise.strengths[n, k, 2]
    if noise.laws[k] == ADDITIVE:
        begin = np.uint64(noise.deviates[k])
        for x in range(row.size):  # looked up first, added after: the look-up is loads alone, the sum becomes vectors
            deviates[x] = noise.tables[begin + np.uint64(bits[x])]
        if second | third:
            _add_varying_deviates(row, (first, second, third), noise.tables, deviates)
        else:
            _add_deviates(row, np.int32(first), deviates)
    else:
        values = np.uint16(noise.values[n, k, 0]), np.uint16(noise.values[n, k, 1])
        for x in range(row.size):
            row[x] = replace_below(row[x], bits[x], (np.uint32(first), np.uint32(second)), values)


@compiled
def _add_deviates(row: U16, strength: Int, deviates: I16) -> None:
    if 0 <= strength < 1 << 27:
        high, low = np.int32(strength >> 12), np.int32(strength & 4095)
        for x in range(row.size):
            row[x] = _add_deviate_32(row[x], high, low, deviates[x])
    else:
        for x in range(row.size):
            row[x] = add_deviate(row[x], strength, deviates[x])


@compiled
def _add_varying_deviates(row: U16, strengths: tuple[Int, Int, Int], tables: I16, deviates: I16) -> None:
    for x in range(row.size):
        strength = strength_at(row[x], strengths, np.int64(tables[np.uint64(ROOT) + np.uint64(row[x])]))
        row[x] = add_deviate(row[x], strength, deviates[x])


@inlined
def strength_at(value: Int, strengths: tuple[Int, Int, Int], root: Int) -> Int:
    """constant + linear·v + root·√v, 8 + 8 fraction bits; `root` is √v · 2^7."""
    return strengths[0] + ((strengths[1] * np.int64(value)) >> 8) + ((strengths[2] * root) >> 7)


@inlined
def add_deviate(value: Int, strength: Int, deviate: Int) -> Int:
    """v + strength · deviate, cut off to 8 fraction bits; the strength has 8 more than values, the deviate 12."""
    return clamp(np.int64(value) + ((np.int64(strength) * np.int64(deviate)) >> 20))


@inlined
def _add_deviate_32(value: Int, strength_high: Int, strength_low: Int, deviate: Int) -> Int:
    """The same in 32 bits, for a strength below 2^27 in parts of 15 and 12 bits: (4096·h + l)·d / 2^20 in two steps."""
    low = np.int32(np.int32(strength_low * deviate) >> np.int32(12))
    change = np.int32(np.int32(np.int32(strength_high * deviate) + low) >> np.int32(8))
    return np.uint16(min(max(np.int32(np.int32(value) + change), np.int32(0)), np.int32(WHITE)))


@inlined
def replace_below(value: Int, bits: Int, thresholds: tuple[Int, Int], values: tuple[Int, Int]) -> Int:
    """The first replacement where a number lies below the first threshold, the second below the second, else the value."""
    number = np.uint32(bits)
    if number < thresholds[0]:
        return values[0]
    return values[1] if number < thresholds[1] else value
