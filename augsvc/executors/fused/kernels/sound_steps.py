"""Steps over a whole clip, one sample after the other: filters, envelopes, time, and noise that is made beside the clip.

One thread computes one clip, on a GPU too. Filters run in float64, as a section at 20 Hz and 44.1 kHz loses 5 digits in
float32; a value between two pairs of sections, and every result, is rounded to float32.
"""

import math

import numpy as np

from augsvc.executors.fused.kernels.args import I64, Int
from augsvc.executors.fused.kernels.compiled import compiled, inlined, threaded
from augsvc.executors.fused.kernels.philox import ELEMENTS_PER_BLOCK
from augsvc.executors.fused.kernels.sound import (
    AMPLITUDE_MAX,
    BLEND,
    CONVOLVE,
    COPY,
    ENVELOPE,
    F32,
    F64,
    FILTER,
    GENERATE,
    MATCH,
    MIX,
    PEAKS,
    QUANTILES,
    RATIO_UNIT,
    RESPONSE,
    SCALE,
    SIDE_ENVELOPE,
    SIDE_FILTER,
    TRACK,
    TURN,
    Float,
    SoundArgs,
    add_noise_block,
    amplify,
    clip_to,
    level_exponent,
    power_of_two,
    times,
    times64,
)
from augsvc.executors.fused.kernels.sound_convolution import convolve
from augsvc.executors.fused.kernels.sound_levels import (
    blend_side,
    copy_clip,
    largest_magnitude,
    limit_peaks,
    limit_to_quantiles,
    make_impulse_response,
    match_side,
    scale_by_quantile,
    sum_squares,
)

SINC_ZEROS, SINC_PHASES = 16, 512  # those of numerics.fir: the digest of kernels covers this folder alone
# A state below TINY is set to 0 after every FLUSH samples: the tail of a filter in silence would end in subnormal numbers,
# which take a hundred times as long.
FLUSH, TINY = 2048, 1e-30
State = tuple[Float, Float, Float, Float]  # of two sections

_ONE, _ZERO = np.float32(1.0), np.float32(0.0)
FRACTION_MASK, RATE_UNIT = np.int64((1 << 32) - 1), 2.0**-32  # of a position


@threaded
def run_step(kind: Int, k: Int, args: SoundArgs, n: Int, clip: F32, side: F32, work: F64) -> None:
    """A step of clip n, in place. `side` is a second track of the clip's length, or empty where no step uses it; `work` (M, 2) is
    for a transform of M.
    """
    if kind == FILTER:
        filter_pair(clip, args.sections[n, k])
    elif kind == ENVELOPE:
        _apply_envelope(clip, args.knots[n, k], args.knot_gains[n, k])
    elif kind == TURN:
        _turn(clip, args.turns[n, k, 0], args.turns[n, k, 1])
    elif kind == CONVOLVE:
        convolve(clip, side, args.twiddles, work)
    elif kind == BLEND:
        blend_side(clip, side, args.numbers[n, k, 0])
    elif kind == MIX:
        _mix_side(clip, side, args.mixes[n, k])
    elif kind >= SCALE:
        _run_level(kind, args.numbers[n, k], clip, side)
    else:
        _run_on_side(kind, k, args, n, clip, side)


@compiled
def _run_level(kind: Int, numbers: I64, clip: F32, side: F32) -> None:
    """A step that depends on statistics of the clip, or of the side."""
    if kind == SCALE:
        scale_by_quantile(clip, numbers)
    elif kind == QUANTILES:
        limit_to_quantiles(clip, numbers)
    elif kind == MATCH:
        match_side(clip, side)
    elif kind == PEAKS:
        limit_peaks(clip, numbers)


@compiled
def _run_on_side(kind: Int, k: Int, args: SoundArgs, n: Int, clip: F32, side: F32) -> None:
    """A step that writes the side."""
    if kind == GENERATE:
        _generate_noise(args, n, k, side)
    elif kind == COPY:
        copy_clip(clip, side)
    elif kind == TRACK:
        copy_clip(args.tracks[n, args.numbers[n, k, 0], : side.size], side)
    elif kind == SIDE_FILTER:
        filter_pair(side, args.sections[n, k])
    elif kind == SIDE_ENVELOPE:
        _apply_envelope(side, args.knots[n, k], args.knot_gains[n, k])
    elif kind == RESPONSE:
        make_impulse_response(side, args.numbers[n, k, 0])


@compiled
def filter_pair(clip: F32, sections: F64) -> None:
    """Two second-order sections (b0 b1 b2 a1 a2), one after the other: direct form II, transposed."""
    own, state = _coefficients(sections), (0.0, 0.0, 0.0, 0.0)
    for begin in range(0, clip.size, FLUSH):
        for t in range(begin, min(begin + FLUSH, clip.size)):
            clip[t], state = _filter_sample(clip[t], own, state)
        state = _flush(state)


@inlined
def _coefficients(sections: F64) -> tuple[Float, ...]:
    one, two = sections[0], sections[1]
    return one[0], one[1], one[2], one[3], one[4], two[0], two[1], two[2], two[3], two[4]


@inlined
def _filter_sample(value: Float, own: tuple[Float, ...], state: State) -> tuple[Float, State]:
    """A sample after two sections, and their states."""
    b0, b1, b2, a1, a2, d0, d1, d2, c1, c2 = own
    u0, u1, v0, v1 = state
    x = np.float64(value)
    y = times64(b0, x) + u0
    z = times64(d0, y) + v0
    u0, u1 = times64(b1, x) - times64(a1, y) + u1, times64(b2, x) - times64(a2, y)
    v0, v1 = times64(d1, y) - times64(c1, z) + v1, times64(d2, y) - times64(c2, z)
    largest = np.float64(AMPLITUDE_MAX)
    return np.float32(min(max(z, -largest), largest)), (u0, u1, v0, v1)


@inlined
def _flush(state: State) -> State:
    u0, u1, v0, v1 = state
    return _without_tail(u0), _without_tail(u1), _without_tail(v0), _without_tail(v1)


@compiled
def _without_tail(state: Float) -> Float:
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
    clip_power, side_power = level_exponent(largest_magnitude(clip)), min(level_exponent(largest_magnitude(side)), 126)
    clip_squares, side_squares = sum_squares(clip, clip_power), sum_squares(side, side_power)
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
    """Resamples the first samples of a row, which holds the result and then zeros: change = (rate, its length, whether it is
    linear between samples, instead of band-limited).
    """
    rate, result = change[0], min(change[1], row.size)
    if change[2] != 0:
        interpolate_clip(row, samples, rate, side[:result])
    else:
        _resample(row, samples, rate, sinc, side[:result])
    for t in range(result):
        row[t] = side[t]
    for t in range(result, samples):
        row[t] = _ZERO


@compiled
def interpolate_clip(row: F32, samples: Int, rate: Int, out: F32) -> None:
    """Linear between samples; the last one goes on."""
    for t in range(out.size):
        position = t * rate
        left = min(position >> 32, samples - 1)
        fraction = np.float32(times64(np.float64(position & FRACTION_MASK), RATE_UNIT))
        out[t] = row[left] + times(row[min(left + 1, samples - 1)] - row[left], fraction)


@compiled
def _resample(row: F32, samples: Int, rate: Int, sinc: F64, out: F32) -> None:
    """The sum over a windowed sinc, from the first tap to the last one."""
    cutoff = min(1.0, 1.0 / times64(np.float64(rate), RATE_UNIT))
    step, radius = times64(cutoff, np.float64(SINC_PHASES)), np.int64(math.ceil(SINC_ZEROS / cutoff))
    for t in range(out.size):
        position = t * rate
        left, fraction = position >> 32, times64(np.float64(position & FRACTION_MASK), RATE_UNIT)
        first, last = max(left - radius + 1, 0), min(left + radius + 1, samples)
        total = _sum_taps(row, first, last, left, fraction, step, sinc)
        out[t] = clip_to(np.float32(times64(total, cutoff)), AMPLITUDE_MAX)


@compiled
def _sum_taps(row: F32, first: Int, last: Int, left: Int, fraction: Float, step: Float, sinc: F64) -> Float:
    total = 0.0
    for i in range(first, last):
        distance = times64(abs(np.float64(i - left) - fraction), step)
        k = np.int64(distance)
        if k < SINC_ZEROS * SINC_PHASES:
            weight = sinc[k] + times64(sinc[k + 1] - sinc[k], distance - np.float64(k))
            total = total + times64(weight, np.float64(row[i]))
    return total
