"""Steps over a whole clip, one sample after the other: filters, envelopes, time, and noise that is made beside the clip.

One thread computes one clip, on a GPU too. Filters run in float64, as a section at 20 Hz and 44.1 kHz loses 5 digits in
float32; a value between two pairs of sections, and every result, is rounded to float32.
"""

import math

import numpy as np

from augsvc.executors.fused.kernels.args import I64, Int
from augsvc.executors.fused.kernels.compiled import compiled, threaded
from augsvc.executors.fused.kernels.philox import ELEMENTS_PER_BLOCK
from augsvc.executors.fused.kernels.sound import (
    AMPLITUDE_MAX,
    ENVELOPE,
    F32,
    F64,
    FILTER,
    GENERATE,
    MIX,
    RATIO_UNIT,
    SIDE_FILTER,
    TURN,
    Float,
    SoundArgs,
    add_noise_block,
    amplify,
    clip_to,
    level_exponent,
    level_scale,
    magnitude_bits,
    power_of_two,
    square,
    times,
    times64,
)

SINC_ZEROS, SINC_PHASES = 16, 512  # those of numerics.fir: the digest of kernels covers this folder alone
# A state below TINY is set to 0 after every FLUSH samples: the tail of a filter in silence would end in subnormal numbers,
# which take a hundred times as long.
FLUSH, TINY = 2048, 1e-30
_ONE, _ZERO = np.float32(1.0), np.float32(0.0)
_FRACTION, _RATE_UNIT = np.int64((1 << 32) - 1), 2.0**-32


@threaded
def run_step(kind: Int, k: Int, args: SoundArgs, n: Int, clip: F32, side: F32) -> None:
    """A step of clip n, in place. `side` is a second track of the clip's length, or empty where no step uses it."""
    if kind == FILTER:
        _filter_pair(clip, args.sections[n, k])
    elif kind == ENVELOPE:
        _apply_envelope(clip, args.knots[n, k], args.knot_gains[n, k])
    elif kind == TURN:
        _turn(clip, args.turns[n, k, 0], args.turns[n, k, 1])
    elif kind == GENERATE:
        _generate_noise(args, n, k, side)
    elif kind == SIDE_FILTER:
        _filter_pair(side, args.sections[n, k])
    elif kind == MIX:
        _mix_side(clip, side, args.mixes[n, k])


@compiled
def _filter_pair(clip: F32, sections: F64) -> None:
    """Two second-order sections (b0 b1 b2 a1 a2), one after the other: direct form II, transposed."""
    b0, b1, b2, a1, a2 = sections[0, 0], sections[0, 1], sections[0, 2], sections[0, 3], sections[0, 4]
    d0, d1, d2, c1, c2 = sections[1, 0], sections[1, 1], sections[1, 2], sections[1, 3], sections[1, 4]
    u0, u1, v0, v1 = 0.0, 0.0, 0.0, 0.0
    largest = np.float64(AMPLITUDE_MAX)
    for begin in range(0, clip.size, FLUSH):
        for t in range(begin, min(begin + FLUSH, clip.size)):
            x = np.float64(clip[t])
            y = times64(b0, x) + u0
            u0 = times64(b1, x) - times64(a1, y) + u1
            u1 = times64(b2, x) - times64(a2, y)
            z = times64(d0, y) + v0
            v0 = times64(d1, y) - times64(c1, z) + v1
            v1 = times64(d2, y) - times64(c2, z)
            clip[t] = np.float32(min(max(z, -largest), largest))
        u0, u1, v0, v1 = _flush(u0), _flush(u1), _flush(v0), _flush(v1)


@compiled
def _flush(state: Float) -> Float:
    return state if abs(state) >= TINY else 0.0


@compiled
def _apply_envelope(clip: F32, positions: I64, gains: F32) -> None:
    """Multiplies with a gain that is linear between knots and constant before the first and after the last one."""
    _multiply(clip, 0, positions[0], gains[0], _ZERO)
    for knot in range(positions.size - 1):
        first, last = positions[knot], positions[knot + 1]
        if first < last:
            slope = (gains[knot + 1] - gains[knot]) / np.float32(last - first)
            _multiply(clip, first, last, gains[knot], slope)
    _multiply(clip, positions[positions.size - 1], clip.size, gains[positions.size - 1], _ZERO)


@compiled
def _multiply(clip: F32, first: Int, last: Int, gain: Float, slope: Float) -> None:
    for t in range(max(first, 0), min(last, clip.size)):
        clip[t] = amplify(clip[t], gain + times(slope, np.float32(t - first)))


@compiled
def _turn(clip: F32, delay: Int, backwards: Int) -> None:
    """Reversed in time, if `backwards`, then moved later by `delay` samples, 0 … T − 1, those at the end to the beginning."""
    if backwards:
        _reverse(clip, 0, clip.size)
    if delay > 0:
        _reverse(clip, 0, clip.size)
        _reverse(clip, 0, delay)
        _reverse(clip, delay, clip.size)


@compiled
def _reverse(clip: F32, first: Int, last: Int) -> None:
    for k in range((last - first) // 2):
        left, right = first + k, last - 1 - k
        value = clip[left]
        clip[left] = clip[right]
        clip[right] = value


@compiled
def _generate_noise(args: SoundArgs, n: Int, k: Int, side: F32) -> None:
    """Normal deviates, times 2^DEVIATE_BITS."""
    for t in range(side.size):
        side[t] = _ZERO
    for index in range((side.size + ELEMENTS_PER_BLOCK - 1) // ELEMENTS_PER_BLOCK):
        add_noise_block(args, n, k, index, _ONE, side)


@compiled
def _mix_side(clip: F32, side: F32, ratio: Int) -> None:
    """Adds the side, scaled so that its root mean square is `ratio` times the clip's; nothing if one of them is silent."""
    clip_power, side_power = level_exponent(_largest(clip)), min(level_exponent(_largest(side)), 126)
    clip_squares, side_squares = _squares(clip, clip_power), _squares(side, side_power)
    if clip_squares == 0 or side_squares == 0 or ratio == 0:
        return
    quotient = math.sqrt(np.float64(clip_squares) / np.float64(side_squares))
    relative = times64(quotient, times64(np.float64(ratio), RATIO_UNIT))
    scale = times(times(np.float32(relative), power_of_two(-side_power)), power_of_two(clip_power))
    scale = min(scale, AMPLITUDE_MAX)
    for t in range(clip.size):
        clip[t] = clip_to(clip[t] + times(scale, side[t]), AMPLITUDE_MAX)


@threaded
def change_speed(row: F32, samples: Int, change: I64, sinc: F64, side: F32) -> None:
    """Resamples the first samples of a row, which holds the result and then zeros: change = (rate, its length)."""
    rate, result = change[0], min(change[1], row.size)
    cutoff = min(1.0, 1.0 / times64(np.float64(rate), _RATE_UNIT))
    step, radius = times64(cutoff, np.float64(SINC_PHASES)), np.int64(math.ceil(SINC_ZEROS / cutoff))
    for t in range(result):
        position = t * rate
        left, fraction = position >> 32, times64(np.float64(position & _FRACTION), _RATE_UNIT)
        total = 0.0
        for i in range(max(left - radius + 1, 0), min(left + radius + 1, samples)):
            distance = times64(abs(np.float64(i - left) - fraction), step)
            k = np.int64(distance)
            if k < SINC_ZEROS * SINC_PHASES:
                weight = sinc[k] + times64(sinc[k + 1] - sinc[k], distance - np.float64(k))
                total = total + times64(weight, np.float64(row[i]))
        side[t] = clip_to(np.float32(times64(total, cutoff)), AMPLITUDE_MAX)
    for t in range(result):
        row[t] = side[t]
    for t in range(result, samples):
        row[t] = _ZERO


@compiled
def _largest(clip: F32) -> Int:
    largest = np.uint32(0)
    for t in range(clip.size):
        largest = max(largest, magnitude_bits(clip[t]))
    return largest


@compiled
def _squares(clip: F32, power: Int) -> Int:
    total, scale = np.int64(0), level_scale(power)
    for t in range(clip.size):
        total += square(clip[t], scale)
    return total
