"""One pixel through HSV: its hue turned, its saturation and value scaled and shifted.

Both directions are Smith's ("Color gamut transform pairs", SIGGRAPH 1978); the colour n of red, green and blue is
V − V·S·max(0, min(k, 4 − k, 1)) with k = (5 − 2n + H) mod 6 for a hue H in sectors. A sector has 2^15 units, so that the
quotient of two values fits 32 bits; saturations have 16 fraction bits.
A change is five integers: turns in units, and with 16 fraction bits the gain and shift of the saturation and of the value.
"""

import numpy as np

from augsvc.executors.fused.kernels.args import I32, ONE, WHITE, Int
from augsvc.executors.fused.kernels.compiled import inlined
from augsvc.executors.fused.kernels.tone import multiply

SECTOR = 1 << 15
TURN = 6 * SECTOR


@inlined
def divide(numerator: Int, divisor: Int) -> Int:
    """A quotient of two values' differences."""
    return numerator // np.uint32(divisor)


@inlined
def divide_by_float(numerator: Int, divisor: Int) -> Int:
    """The same on a CPU, whose vectors divide floats alone: exact, as a divisor of 16 bits keeps quotients of 17 at least 2^-16
    below the next integer, and a float of 64 bits rounds to 2^-36.
    """
    return np.uint32(np.float64(numerator) / np.float64(divisor))


@inlined
def hue_fraction(red: Int, green: Int, blue: Int, high: Int, chroma: Int) -> tuple[Int, Int, Int]:
    """The hue plus a sector, which keeps it from being negative: below 7 sectors. Where it begins, and what is added to that:
    numerator and divisor. Grey has hue 0.
    """
    divisor = max(np.int32(chroma), np.int32(1))
    if red == high:
        begin, difference = 0, np.int32(green) - np.int32(blue)
    elif green == high:
        begin, difference = 2 * SECTOR, np.int32(blue) - np.int32(red)
    else:
        begin, difference = 4 * SECTOR, np.int32(red) - np.int32(green)
    return np.uint32(begin), np.uint32(np.uint32(difference + divisor) << np.uint32(15)), np.uint32(divisor)


@inlined
def saturation_fraction(high: Int, chroma: Int) -> tuple[Int, Int]:
    """Numerator and divisor of the saturation."""
    return np.uint32(np.uint32(chroma) << np.uint32(16)), np.uint32(max(high, 1))


@inlined
def change_saturation(change: I32, saturation: Int) -> Int:
    """The saturation, scaled and shifted."""
    return np.uint32(min(max((multiply(change[1], saturation) >> 16) + change[2], 0), ONE))


@inlined
def change_value(change: I32, high: Int) -> Int:
    """The value, scaled and shifted."""
    return np.uint32(min(max((multiply(change[3], high) + multiply(change[4], WHITE)) >> 16, 0), WHITE))


@inlined
def color_at(hue: Int, value: Int, chroma: Int) -> Int:
    """The colour whose k is `hue`, up to full turns."""
    k = np.int32(np.uint32(hue) % np.uint32(TURN))
    depth = np.uint32(max(min(min(k, np.int32(4 * SECTOR) - k), np.int32(SECTOR)), np.int32(0)))
    return np.uint16(value - np.uint32(np.uint32(chroma * depth) >> np.uint32(15)))


@inlined
def change_hsv(change: I32, red: Int, green: Int, blue: Int) -> tuple[Int, Int, Int]:
    """A pixel through a change."""
    high = max(red, green, blue)
    chroma = np.uint16(high - min(red, green, blue))
    begin, of_hue, hue_divisor = hue_fraction(red, green, blue, high, chroma)
    of_saturation, divisor = saturation_fraction(high, chroma)
    return to_rgb(change, high, begin + divide(of_hue, hue_divisor), divide(of_saturation, divisor))


@inlined
def change_hsv_by_float(change: I32, red: Int, green: Int, blue: Int) -> tuple[Int, Int, Int]:
    """The same on a CPU: by integers, the divisions alone took half of 3.9 ns."""
    high = max(red, green, blue)
    chroma = np.uint16(high - min(red, green, blue))
    begin, of_hue, hue_divisor = hue_fraction(red, green, blue, high, chroma)
    of_saturation, divisor = saturation_fraction(high, chroma)
    hue, saturation = begin + divide_by_float(of_hue, hue_divisor), divide_by_float(of_saturation, divisor)
    return to_rgb(change, high, hue, saturation)


@inlined
def to_rgb(change: I32, high: Int, hue_before: Int, saturation: Int) -> tuple[Int, Int, Int]:
    """The colour of a changed hue, saturation and value."""
    hue, value = np.uint32(hue_before + np.uint32(change[0])), change_value(change, high)
    changed = np.uint32(np.uint64(value * change_saturation(change, saturation)) >> np.uint64(16))
    to_red, to_green = np.uint32(4 * SECTOR), np.uint32(2 * SECTOR)
    return (
        color_at(hue + to_red, value, changed),
        color_at(hue + to_green, value, changed),
        color_at(hue, value, changed),
    )
