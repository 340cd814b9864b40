"""One pixel through a colour matrix, one value through a curve."""

import numpy as np

from augsvc.executors.fused.kernels.args import U32, WHITE, Int
from augsvc.executors.fused.kernels.compiled import inlined


@inlined
def held(value: Int) -> Int:
    """Clamped to black and white."""
    return np.uint16(min(max(value, 0), WHITE))


@inlined
def mixed(gain: Int, value: Int) -> Int:
    """One term of a colour matrix: 32 × 32 → 64 bits, which vectors have."""
    return np.int64(gain) * np.int64(value)


@inlined
def mixed3(red_gain: Int, green_gain: Int, blue_gain: Int, shift: Int, red: Int, green: Int, blue: Int) -> Int:
    """One row of a colour matrix."""
    return held((mixed(red_gain, red) + mixed(green_gain, green) + mixed(blue_gain, blue) + shift) >> 16)


@inlined
def level(value: Int) -> Int:
    """A value rounded to 8 bits; the sum fits 16."""
    return np.uint8(np.uint16(value + np.uint16(128)) >> np.uint16(8))


@inlined
def curve_place(value: Int) -> Int:
    """Which two of a curve's 1025 entries a value lies between: the first one's number."""
    return np.uint32(min(np.uint32(np.uint32(value) * np.uint32(4)) // np.uint32(255), np.uint32(1023)))


@inlined
def between_entries(value: Int, left: Int, low: Int, high: Int) -> Int:
    """Interpolated: 4·v = 255·left + rest, exactly; then cut off."""
    rest = np.uint32(np.uint32(np.uint32(value) * np.uint32(4)) - np.uint32(left * np.uint32(255)))
    return np.uint16((np.uint32(low * (np.uint32(255) - rest)) + np.uint32(high * rest)) >> np.uint32(8))


@inlined
def curved(curve: U32, value: Int) -> Int:
    """A value through a curve of 1025 entries."""
    left = curve_place(value)
    return between_entries(value, left, curve[np.uint64(left)], curve[np.uint64(left) + np.uint64(1)])
