"""Steps over a whole clip that depend on its statistics: quantiles, levels and loudness.

Quantiles are those of the samples themselves, found by bisection over their bits; levels are sums of integers. So neither
depends on an order of summation.
"""

import math

import numpy as np

from augsvc.executors.fused.kernels.args import I64, Int
from augsvc.executors.fused.kernels.compiled import compiled, inlined, threaded
from augsvc.executors.fused.kernels.sound import (
    AMPLITUDE_MAX,
    F32,
    LEVEL_BITS,
    PEAK,
    RATIO_UNIT,
    Float,
    amplify,
    clip_to,
    float_from_bits,
    level_exponent,
    level_scale,
    magnitude_bits,
    power_of_two,
    sample_bits,
    square,
    times,
    times64,
)

_QUANTILE_UNIT, _QUANTILE_MASK = 2.0**-32, np.int64((1 << 32) - 1)
_SIGN = np.uint32(0x80000000)
_REPEATED_BIT = 8  # of keys: by then one of a second's samples is left, unless they repeat
_POWER_UNIT, _COEFFICIENT_UNIT = 2.0**-56, 2.0**-48
_GATE, _RELATIVE_GATE = 1.1724653045822964e-07, 0.1  # of ITU-R BS.1770: −70 LUFS as a mean square, and −10 LU
_TINY = 1e-30  # an envelope below it is 0: the tail of one would end in subnormal numbers
_ONE, _ZERO = np.float32(1.0), np.float32(0.0)


@compiled
def scale_by_quantile(clip: F32, numbers: I64) -> None:
    """v · target / (quantile of |v| + offset); numbers = (quantile, target, offset, whether only a larger quantile counts)."""
    target = np.float32(times64(np.float64(numbers[1]), RATIO_UNIT))
    quantile = _quantile(clip, numbers[0], np.uint32(0))
    if quantile <= _ZERO or (numbers[3] != 0 and quantile <= target):
        return
    scale_clip(clip, np.float32(np.float64(quantile) + times64(np.float64(numbers[2]), RATIO_UNIT)), target)


@threaded
def scale_clip(clip: F32, divisor: Float, gain: Float) -> None:
    """Divided, then multiplied."""
    for t in range(clip.size):
        clip[t] = amplify(clip[t] / divisor, gain)


@compiled
def limit_to_quantiles(clip: F32, numbers: I64) -> None:
    """Clamped to two quantiles of the clip: numbers = (lower, upper)."""
    low, high = _quantile(clip, numbers[0], _SIGN), _quantile(clip, numbers[1], _SIGN)
    for t in range(clip.size):
        clip[t] = min(max(clip[t], low), high)


@compiled
def _quantile(clip: F32, fraction: Int, sign: Int) -> Float:
    """A quantile, linear between two samples as numpy.quantile, of the samples or, with `sign` 0, of their magnitudes."""
    if clip.size == 0:
        return _ZERO
    position = fraction * np.int64(clip.size - 1)
    rank = position >> 32
    if rank == clip.size - 1:  # one trip over the clip instead of 33
        return _value(_last_ranked(clip, sign), sign)
    left = _ranked(clip, rank, sign)
    low, high = _value(left, sign), _value(_next_ranked(clip, rank, left, sign), sign)
    weight = times64(np.float64(position & _QUANTILE_MASK), _QUANTILE_UNIT)
    return np.float32(np.float64(low) + times64(np.float64(high) - np.float64(low), weight))


@inlined
def _magnitude_key(value: Float) -> Int:
    """An integer that grows with a value's magnitude."""
    return np.uint32(sample_bits(value) & np.uint32(0x7FFFFFFF))


@inlined
def _signed_key(value: Float) -> Int:
    """An integer that grows with a value."""
    bits = sample_bits(value)
    return np.uint32(~bits) if bits & _SIGN else np.uint32(bits | _SIGN)


@compiled
def _key(value: Float, sign: Int) -> Int:
    return _magnitude_key(value) if sign == 0 else _signed_key(value)


@compiled
def _value(key: Int, sign: Int) -> Float:
    if sign == 0:
        return float_from_bits(np.uint32(key))
    return float_from_bits(np.uint32(key ^ sign)) if key & sign else float_from_bits(np.uint32(~key))


@compiled
def _last_ranked(clip: F32, sign: Int) -> Int:
    """The largest key."""
    largest = np.uint32(0)
    for t in range(clip.size):
        largest = max(largest, _key(clip[t], sign))
    return largest


@compiled
def _ranked(clip: F32, rank: Int, sign: Int) -> Int:
    """The key of the sample that has `rank` samples before it in ascending order: bit by bit, from the highest one, until one
    sample is left, or several of one value, as many are that came from 16 bits: 20 trips over a second instead of 32.
    """
    key, below, until = (
        np.uint32(0),
        np.int64(0),
        np.int64(clip.size),
    )  # samples before the key, and in all its next bits
    for bit in range(31, -1, -1):
        candidate = np.uint32(key | (np.uint32(1) << np.uint32(bit)))
        count = _count_below(clip, candidate, sign)
        if count <= rank:
            key, below = candidate, count
        else:
            until = count
        if until == below + 1:
            return _least_from(clip, key, sign)
        if bit == _REPEATED_BIT:
            least = _least_from(clip, key, sign)
            if _count_below(clip, np.uint32(least + np.uint32(1)), sign) == until:
                return least
    return key


@compiled
def _count_below(clip: F32, key: Int, sign: Int) -> Int:
    """How many samples have a smaller key. A loop for each `sign`, and 32 bits: 0.04 ns a sample instead of 0.08."""
    below = np.uint32(0)
    if sign == 0:
        for t in range(clip.size):
            below = np.uint32(below + np.uint32(_magnitude_key(clip[t]) < key))
    else:
        for t in range(clip.size):
            below = np.uint32(below + np.uint32(_signed_key(clip[t]) < key))
    return np.int64(below)


@compiled
def _next_ranked(clip: F32, rank: Int, key: Int, sign: Int) -> Int:
    """The key of the sample after that of `rank`, whose key is given; that one for the last sample."""
    until = _count_below(clip, np.uint32(key + np.uint32(1)), sign)
    return key if until > rank + 1 or until == clip.size else _least_from(clip, np.uint32(key + np.uint32(1)), sign)


@compiled
def _least_from(clip: F32, first: Int, sign: Int) -> Int:
    """The least key from `first` on. Those before it wrap to above all others; so there is no branch, which costs 1.3 ns a
    sample.
    """
    least = np.uint32(0xFFFFFFFF)
    if sign == 0:
        for t in range(clip.size):
            least = min(least, np.uint32(_magnitude_key(clip[t]) - first))
    else:
        for t in range(clip.size):
            least = min(least, np.uint32(_signed_key(clip[t]) - first))
    return np.uint32(first + least)


@compiled
def copy_clip(clip: F32, side: F32) -> None:
    """The clip on the side."""
    for t in range(clip.size):
        side[t] = clip[t]


@compiled
def largest_magnitude(clip: F32) -> Int:
    """The largest `magnitude_bits`."""
    largest = np.uint32(0)
    for t in range(clip.size):
        largest = max(largest, magnitude_bits(clip[t]))
    return largest


@compiled
def sum_squares(clip: F32, power: Int) -> Int:
    """The sum of squares of a clip whose level is measured against 2^power."""
    total, scale = np.int64(0), level_scale(power)
    for t in range(clip.size):
        total += square(clip[t], scale)
    return total


@compiled
def match_level(clip: F32, power: Int, squares: Int) -> None:
    """Scales the clip to the level of another one, given as its exponent and sum of squares; a silent one stays."""
    own_power = min(level_exponent(largest_magnitude(clip)), 126)
    own_squares = sum_squares(clip, own_power)
    if own_squares == 0:
        return
    quotient = np.float32(math.sqrt(np.float64(squares) / np.float64(own_squares)))
    scale = min(times(times(quotient, power_of_two(-own_power)), power_of_two(power)), AMPLITUDE_MAX)
    for t in range(clip.size):
        clip[t] = amplify(clip[t], scale)


@compiled
def match_side(clip: F32, side: F32) -> None:
    """Scales the clip to the level of the side."""
    power = level_exponent(largest_magnitude(side))
    match_level(clip, power, sum_squares(side, power))


@threaded
def measure_channels(
    kind: Int, numbers: I64, sides: F32, first: Int, channels: Int, samples: Int
) -> tuple[Float, Float]:
    """What a sample's channels are divided by, and then multiplied with, from their sides: rows first … first + channels − 1."""
    largest = np.uint32(0)
    for row in range(first, first + channels):
        largest = max(largest, largest_magnitude(sides[row][:samples]))
    if kind == PEAK:
        return _to_peak(float_from_bits(np.uint32(largest)), numbers)
    return _ONE, _loudness_gain(numbers, sides, first, channels, samples, level_exponent(largest))


@compiled
def _to_peak(peak: Float, numbers: I64) -> tuple[Float, Float]:
    """numbers = (target, whether only a larger peak counts)."""
    target = np.float32(times64(np.float64(numbers[0]), RATIO_UNIT))
    if peak <= _ZERO or (numbers[1] != 0 and peak <= target):
        return _ONE, _ONE
    return peak, target


@compiled
def _loudness_gain(numbers: I64, sides: F32, first: Int, channels: Int, samples: Int, power: Int) -> Float:
    """The gain with which the gated mean square of the sides, added, becomes numbers[0]; numbers[1] is the rate.

    ITU-R BS.1770: blocks of 0.4 s that begin every 0.1 s; those at −70 LUFS and those 10 LU below the mean of the others do not
    count. A clip of less than 0.4 s is one block. Nothing changes if no block counts.
    """
    unit = times64(np.float64(power_of_two(max(power, -100))), 2.0**-LEVEL_BITS)
    unit = times64(unit, unit)
    mean = _gated_mean(sides, first, channels, samples, numbers[1], power, _GATE / unit)
    gate = max(_GATE / unit, times64(_RELATIVE_GATE, mean))
    mean = _gated_mean(sides, first, channels, samples, numbers[1], power, gate)
    if mean <= 0.0:
        return _ONE
    target = times64(np.float64(numbers[0]), _POWER_UNIT)
    return min(np.float32(math.sqrt(target / times64(mean, unit))), AMPLITUDE_MAX)


@compiled
def _gated_mean(sides: F32, first: Int, channels: Int, samples: Int, rate: Int, power: Int, gate: Float) -> Float:
    """The mean over the blocks whose mean square is above `gate`; 0 if there are none."""
    total, count, scale = 0.0, np.int64(0), level_scale(power)
    hops = samples * np.int64(10) // rate
    one, two, three = np.int64(0), np.int64(0), np.int64(0)
    for hop in range(hops if hops >= 4 else 1):
        begin, end = hop * rate // 10, (hop + 1) * rate // 10
        if hops < 4:
            end = np.int64(samples)
        last = np.int64(0)
        for row in range(first, first + channels):
            side = sides[row]
            for t in range(begin, end):
                last += square(side[t], scale)
        if hop >= 3 or hops < 4:
            start = (hop - 3) * rate // 10 if hops >= 4 else np.int64(0)
            mean = np.float64(one + two + three + last) / np.float64(max(end - start, 1))
            if mean > gate:
                total, count = total + mean, count + 1
        one, two, three = two, three, last
    return total / np.float64(count) if count > 0 else 0.0


@compiled
def limit_peaks(clip: F32, numbers: I64) -> None:
    """A look-ahead limiter: numbers = (threshold, whether it is relative to the peak, attack, release, delay in samples)."""
    threshold = times64(np.float64(numbers[0]), RATIO_UNIT)
    if numbers[1] != 0:
        threshold = times64(threshold, np.float64(float_from_bits(np.uint32(largest_magnitude(clip)))))
    if threshold <= 0.0:
        return
    attack = times64(np.float64(numbers[2]), _COEFFICIENT_UNIT)
    release = times64(np.float64(numbers[3]), _COEFFICIENT_UNIT)
    envelope, gain, delay = 0.0, 1.0, numbers[4]
    for t in range(clip.size + delay):
        size = np.float64(abs(clip[t])) if t < clip.size else 0.0
        envelope = max(size, times64(envelope, release))
        if envelope < _TINY:
            envelope = 0.0
        target = threshold / envelope if envelope > threshold else 1.0
        gain = times64(gain, attack) + times64(target, 1.0 - attack)
        if t >= delay:
            clip[t - delay] = np.float32(times64(np.float64(clip[t - delay]), gain))


@compiled
def blend_side(clip: F32, side: F32, weight: Int) -> None:
    """weight · clip + (1 − weight) · side."""
    own = np.float32(times64(np.float64(weight), RATIO_UNIT))
    for t in range(clip.size):
        clip[t] = clip_to(times(own, clip[t]) + times(_ONE - own, side[t]), AMPLITUDE_MAX)


@compiled
def make_impulse_response(side: F32, ratio: Int) -> None:
    """Sets the first sample of the side, the direct sound, so that its energy is `ratio` times that of the others."""
    if side.size == 0:
        return
    side[0] = _ZERO
    power = level_exponent(largest_magnitude(side))
    energy = times64(np.float64(sum_squares(side, power)), times64(np.float64(ratio), RATIO_UNIT))
    direct = times(np.float32(times64(math.sqrt(energy), 2.0**-LEVEL_BITS)), power_of_two(power))
    side[0] = min(direct, AMPLITUDE_MAX) if energy > 0.0 else _ONE
