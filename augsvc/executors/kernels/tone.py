"""One pixel through a colour matrix, one value through a curve."""

import numpy as np

from augsvc.executors.kernels.compiled import inlined
from augsvc.executors.kernels.sheets import U32, WHITE, Int


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
def halves(value: Int) -> tuple[Int, Int]:
    """A value's whole levels and its fraction."""
    return np.int32(value >> np.uint16(8)), np.int32(value & np.uint16(255))


@inlined
def term(gain: Int, part: Int) -> Int:
    """A gain times half a value, in 32 bits."""
    return np.int32(np.int32(gain) * np.int32(part))


@inlined
def joined(high: Int, low: Int, shift_high: Int, shift_low: Int) -> Int:
    """`held((256·high + low + 256·shift_high + shift_low) >> 16)` in 32 bits: ⌊(256·h + l) / 2^16⌋ = ⌊(h + ⌊l / 2^8⌋) / 2^8⌋."""
    carried = np.int32(np.int32(low + shift_low) >> np.int32(8))
    value = np.int32(np.int32(np.int32(high + shift_high) + carried) >> np.int32(8))
    return np.uint16(min(max(value, np.int32(0)), np.int32(WHITE)))


@inlined
def curved(curve: U32, value: Int) -> Int:
    """A value through a curve of 1025 entries, interpolated: 4·v = 255·left + rest, exactly; then cut off."""
    place = np.uint32(value) * np.uint32(4)
    left = np.uint32(place // np.uint32(255))
    left = np.uint32(min(left, np.uint32(1023)))
    rest = np.uint32(place - left * np.uint32(255))
    low, high = curve[np.uint64(left)], curve[np.uint64(left) + np.uint64(1)]
    return np.uint16((np.uint32(low * (np.uint32(255) - rest)) + np.uint32(high * rest)) >> np.uint32(8))
