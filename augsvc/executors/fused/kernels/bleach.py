"""What is dark made lighter, on the CPU: augsvc.ops.image.weather.snow has the arithmetic, in NumPy."""

import numpy as np

from augsvc.executors.fused.kernels.args import I32, I64, U16, WHITE, Int
from augsvc.executors.fused.kernels.compiled import compiled, entry, inlined

_BITS = 13  # fraction bits of the brightness, and of the ratio of chromas


_BLOCK = 1 << 10  # values that stay in the nearest cache between the loops


@entry
def bleach(images: U16, lowered: I64) -> None:
    """Bleaches values (N, C, K) in place; `lowered` (N, 2) are twice the amount, and the brightness."""
    channels, size = images.shape[1], images.shape[2]
    lightness, ratios = np.empty((2, _BLOCK), np.int32), np.empty(_BLOCK, np.int32)
    for n in range(images.shape[0]):
        amount, brightness = np.int32(lowered[n, 0]), np.uint32(lowered[n, 1])
        for first in range(0, size, _BLOCK):
            last = min(first + _BLOCK, size)
            red, green = images[n, 0, first:last], images[n, channels // 2, first:last]
            _measure(red, green, images[n, channels - 1, first:last], brightness, lightness)
            _divide_chromas(lightness, ratios)
            for c in range(channels):
                _shift(images[n, c, first:last], amount, lightness, ratios)


@compiled
def _measure(red: U16, green: U16, blue: U16, brightness: Int, lightness: I32) -> None:
    """Twice the lightness of pixels, before and after."""
    before, after = lightness[0], lightness[1]
    for x in range(red.size):
        high, low = max(max(red[x], green[x]), blue[x]), min(min(red[x], green[x]), blue[x])
        twice = np.uint32(np.uint32(high) + np.uint32(low))
        brighter = np.uint32(np.uint32(np.uint32(twice * brightness) + np.uint32(1 << (_BITS - 1))) >> np.uint32(_BITS))
        before[x] = np.int32(twice)
        after[x] = np.int32(min(brighter, np.uint32(2 * WHITE)))


@compiled
def _divide_chromas(lightness: I32, ratios: I32) -> None:
    """The ratios of the largest chromas after and before. Floats are exact: a quotient of these that is not whole is 2^-17 or
    more from the next one; vectors have no division of integers.
    """
    before, after = lightness[0], lightness[1]
    for x in range(ratios.size):
        dividend = np.float64(np.int32(_chroma(after[x]) << np.int32(_BITS)))
        ratios[x] = np.int32(dividend / np.float64(max(_chroma(before[x]), np.int32(1))))


@compiled
def _shift(plane: U16, amount: Int, lightness: I32, ratios: I32) -> None:
    """A channel of pixels with new lightness: its distance from the lightness is multiplied by the ratio."""
    before, after = lightness[0], lightness[1]
    for x in range(plane.size):
        value = plane[x]
        distance = np.int32(np.int32(np.int32(2) * np.int32(value)) - before[x])
        moved = np.int32(np.int32(distance * ratios[x]) >> np.int32(_BITS))
        changed = np.int32(np.int32(np.int32(after[x] + moved) + np.int32(1)) >> np.int32(1))
        lighter = np.uint16(min(max(changed, np.int32(0)), np.int32(WHITE)))
        plane[x] = lighter if 0 < before[x] < amount else value


@inlined
def _chroma(twice: Int) -> Int:
    """The largest chroma of a lightness, both twice."""
    return np.int32(np.int32(WHITE) - abs(np.int32(twice - np.int32(WHITE))))
