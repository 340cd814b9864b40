"""One pixel through a colour matrix, one value through a curve."""

import numpy as np

from augsvc.executors.fused.kernels.args import U32, WHITE, Int
from augsvc.executors.fused.kernels.compiled import inlined


@inlined
def clamp(value: Int) -> Int:
    """Clamped to black and white."""
    return np.uint16(min(max(value, 0), WHITE))


@inlined
def multiply(gain: Int, value: Int) -> Int:
    """One term of a colour matrix: 32 × 32 → 64 bits, which vectors have."""
    return np.int64(gain) * np.int64(value)


@inlined
def mix(gains: tuple[Int, Int, Int], shift: Int, red: Int, green: Int, blue: Int) -> Int:
    """One row of a colour matrix."""
    return clamp((multiply(gains[0], red) + multiply(gains[1], green) + multiply(gains[2], blue) + shift) >> 16)


@inlined
def round_to_level(value: Int) -> Int:
    """A value rounded to 8 bits; the sum fits 16."""
    return np.uint8(np.uint16(value + np.uint16(128)) >> np.uint16(8))


@inlined
def curve_index(value: Int) -> Int:
    """The first of the two of a curve's 1025 entries between which a value lies."""
    return np.uint32(min(np.uint32(np.uint32(value) * np.uint32(4)) // np.uint32(255), np.uint32(1023)))


@inlined
def interpolate_curve(value: Int, index: Int, low: Int, high: Int) -> Int:
    """Between two entries: 4·v = 255·index + rest, exactly; then cut off."""
    rest = np.uint32(np.uint32(np.uint32(value) * np.uint32(4)) - np.uint32(index * np.uint32(255)))
    return np.uint16((np.uint32(low * (np.uint32(255) - rest)) + np.uint32(high * rest)) >> np.uint32(8))


@inlined
def apply_curve(curve: U32, value: Int) -> Int:
    """A value through a curve of 1025 entries."""
    index = curve_index(value)
    return interpolate_curve(value, index, curve[np.uint64(index)], curve[np.uint64(index) + np.uint64(1)])
