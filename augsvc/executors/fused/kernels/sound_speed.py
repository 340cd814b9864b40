"""Another speed on the CPU: the sums of sound_steps.py, with eight taps of a sample in a vector.

A sum goes from the first tap to the last one, so the products come first. One tap after the other took 64 ns a sample at a speed
of 1.1, which has 36 taps; this takes 25.
"""

import math

import numpy as np

from augsvc.executors.fused.kernels.args import I64, Int
from augsvc.executors.fused.kernels.compiled import compiled
from augsvc.executors.fused.kernels.lanes import (
    LANES,
    counted,
    interpolate_lanes,
    lesser,
    magnitudes,
    read_floats,
    spread,
    widen,
    write_doubles,
)
from augsvc.executors.fused.kernels.sound import AMPLITUDE_MAX, F32, F64, Float, clip_to
from augsvc.executors.fused.kernels.sound_steps import (
    FRACTION_MASK,
    RATE_UNIT,
    SINC_PHASES,
    SINC_ZEROS,
    interpolate_clip,
)

MAX_RADIUS = 16 * SINC_ZEROS  # taps on either side, at a speed of 16
PADDING = MAX_RADIUS + LANES  # zeros before a clip and after it
MAX_TAPS = 2 * MAX_RADIUS + LANES


@compiled
def change_speed_by_lanes(row: F32, samples: Int, change: I64, sinc: F64, padded: F32, products: F64) -> None:
    """As change_speed of sound_steps.py. `padded` is (1, T + 2 · PADDING), `products` (LANES, MAX_TAPS)."""
    rate, result = change[0], min(change[1], row.size)
    for t in range(PADDING):
        padded[0, t] = padded[0, PADDING + samples + t] = np.float32(0.0)
    for t in range(samples):
        padded[0, PADDING + t] = row[t]
    if change[2] != 0:
        interpolate_clip(padded[0, PADDING:], samples, rate, row[:result])
    else:
        _resample(padded, rate, sinc, products, row[:result])
    for t in range(result, samples):
        row[t] = np.float32(0.0)


@compiled
def _resample(padded: F32, rate: Int, sinc: F64, products: F64, out: F32) -> None:
    cutoff = min(1.0, 1.0 / (np.float64(rate) * RATE_UNIT))
    step, radius = cutoff * np.float64(SINC_PHASES), np.int64(math.ceil(SINC_ZEROS / cutoff))
    for first in range(0, out.size, LANES):
        count = min(LANES, out.size - first)
        for i in range(count):
            position = (first + i) * rate
            left, fraction = position >> 32, np.float64(position & FRACTION_MASK) * RATE_UNIT
            _multiply_taps(padded, left + PADDING + 1 - radius, radius, fraction, step, sinc, products, i)
        for i in range(count):
            total = 0.0
            for tap in range(2 * radius):
                total += products[i, tap]
            out[first + i] = clip_to(np.float32(total * cutoff), AMPLITUDE_MAX)


@compiled
def _multiply_taps(
    padded: F32, first: Int, radius: Int, fraction: Float, step: Float, sinc: F64, products: F64, row: Int
) -> None:
    """The samples from `first` on, the last of them before the position being number `radius`, times their weights."""
    scale, last, offset = spread(step), spread(float(SINC_ZEROS * SINC_PHASES)), spread(fraction)
    for tap in range(0, 2 * radius, LANES):
        distance = magnitudes(counted(np.float64(tap + 1 - radius)) - offset) * scale
        weights = interpolate_lanes(sinc, lesser(distance, last))
        write_doubles(products, row, tap, weights * widen(read_floats(padded, 0, first + tap)))
