"""Steps of the reference that depend on statistics of a clip, or convolve it: NumPy, one clip at a time."""

from collections.abc import Callable, Iterator
from math import sqrt
from typing import NamedTuple

import numpy as np

from augsvc.arrays import F32, F64, I64
from augsvc.numerics.fourier import twiddles
from augsvc.planning.audio_steps import (
    FRACTION_BITS,
    POWER_BITS,
    RATIO_BITS,
    SECTION_BITS,
    Change,
    ClipChange,
)

LOUDEST = 2.0**60  # full scales: the bound of whatever makes a sample larger
LEVEL_BITS = 18  # of a clip's largest value when its level is measured
EXPONENTS = (-100, 127)  # limits of the power of 2 above that value
TINY = 1e-30  # an envelope below it is 0
_GATE, _RELATIVE_GATE = 1.1724653045822964e-07, 0.1  # of BS.1770: −70 LUFS, −10 LU
_BLOCK = 4  # hops of 0.1 s


class Clips(NamedTuple):
    """The clips of a chunk, and what lies beside them."""

    values: F32  # N,T
    side: F32  # N,T
    lengths: I64  # N
    tracks: F32  # N,P,T
    transform: int  # the length of the transform of convolutions
    channels: int  # of a sample, one after the other


def run_change(step: ClipChange, clips: Clips, check: Callable[[], None]) -> None:
    """One step, in place."""
    for row, numbers in zip(step.rows.tolist(), step.numbers.tolist(), strict=True):
        check()
        length = int(clips.lengths[row])
        clip, side = clips.values[row, :length], clips.side[row, :length]
        if step.change is Change.COPY:
            side[:] = clip
        elif step.change is Change.TRACK:
            side[:] = clips.tracks[row, numbers[0], :length]
        elif step.change is Change.RESPONSE:
            side[:1] = _direct_sound(side, numbers[0])
        elif step.change is Change.CONVOLVE:
            clip[:] = _convolve(clip, side, clips.transform)
        elif step.change in (Change.LOUDNESS, Change.PEAK):
            first = row - row % clips.channels
            sides = clips.side[first : first + clips.channels, :length]
            clip[:] = (_to_loudness if step.change is Change.LOUDNESS else _to_peak)(clip, sides, numbers)
        else:
            clip[:] = _change(step.change, numbers, clip, side)


def _change(change: Change, numbers: list[int], clip: F32, side: F32) -> F32:
    if change is Change.SCALE:
        return _scale(clip, numbers)
    if change is Change.QUANTILES:
        low, high = _quantile(clip, numbers[0]), _quantile(clip, numbers[1])
        return np.minimum(np.maximum(clip, low), high)
    if change is Change.MATCH:
        return match_level(clip, level(side))
    if change is Change.BLEND:
        own = np.float32(numbers[0] * 2.0**-RATIO_BITS)
        return _bounded(own * clip + (np.float32(1.0) - own) * side)
    return _limit_peaks(clip, numbers)


def _bounded(values: F32) -> F32:
    bounded: F32 = np.clip(values, np.float32(-LOUDEST), np.float32(LOUDEST))
    return bounded


def _scale(clip: F32, numbers: list[int]) -> F32:
    target = np.float32(numbers[1] * 2.0**-RATIO_BITS)
    quantile = _quantile(np.abs(clip), numbers[0])
    if quantile <= 0 or (numbers[3] and quantile <= target):
        return clip
    divisor = np.float32(float(quantile) + numbers[2] * 2.0**-RATIO_BITS)
    with np.errstate(over="ignore"):
        return _bounded(clip / divisor * target)


def _quantile(values: F32, fraction: int) -> np.float32:
    """As numpy.quantile, between two samples in float64."""
    if not len(values):
        return np.float32(0.0)
    rank, rest = divmod(fraction * (len(values) - 1), 1 << FRACTION_BITS)
    ordered = np.sort(values)
    low, high = float(ordered[rank]), float(ordered[min(rank + 1, len(values) - 1)])
    return np.float32(low + (high - low) * (rest * 2.0**-FRACTION_BITS))


def level(clip: F32) -> tuple[int, int]:
    """The exponent of the power of 2 above the largest value, and the sum of squares of integers relative to it."""
    largest = np.abs(clip).max(initial=np.float32(0.0))
    exponent = int(np.clip(np.frexp(largest)[1], *EXPONENTS))
    fixed = np.rint(np.ldexp(clip.astype(np.float64), LEVEL_BITS - exponent)).astype(np.int64)
    return exponent, int((fixed * fixed).sum())


def match_level(clip: F32, wanted: tuple[int, int]) -> F32:
    """A clip scaled to a level; a silent one stays."""
    exponent, squares = level(clip)
    if squares == 0:
        return clip
    quotient = np.float32(sqrt(wanted[1] / squares))
    scale = min(np.ldexp(np.ldexp(quotient, -min(exponent, 126)), wanted[0]), np.float32(LOUDEST))
    return _bounded(clip * scale)


def _to_peak(clip: F32, sides: F32, numbers: list[int]) -> F32:
    target = np.float32(numbers[0] * 2.0**-RATIO_BITS)
    peak = np.abs(sides).max(initial=np.float32(0.0))
    if peak <= 0 or (numbers[1] and peak <= target):
        return clip
    with np.errstate(over="ignore"):
        return _bounded(clip / peak * target)


def _to_loudness(clip: F32, sides: F32, numbers: list[int]) -> F32:
    exponent, _ = level(sides)
    unit = 2.0 ** (2 * (exponent - LEVEL_BITS))
    means = list(_block_means(sides, numbers[1], exponent))
    mean = _mean_above(means, _GATE / unit)
    mean = _mean_above(means, max(_GATE / unit, _RELATIVE_GATE * mean))
    if mean <= 0.0:
        return clip
    gain = np.float32(sqrt(numbers[0] * 2.0**-POWER_BITS / (mean * unit)))
    return _bounded(clip * min(gain, np.float32(LOUDEST)))


def _block_means(sides: F32, rate: int, exponent: int) -> Iterator[float]:
    """The mean squares of blocks of 0.4 s, every 0.1 s, in integers of `level`, those of the channels (C, T) added."""
    fixed = np.rint(np.ldexp(sides.astype(np.float64), LEVEL_BITS - exponent)).astype(np.int64)
    squares = (fixed * fixed).sum(axis=0)
    samples = len(squares)
    hops = samples * 10 // rate
    if hops < _BLOCK:
        yield float(squares.sum()) / max(samples, 1)
    for hop in range(hops - _BLOCK + 1):
        begin, end = hop * rate // 10, (hop + _BLOCK) * rate // 10
        yield float(squares[begin:end].sum()) / (end - begin)


def _mean_above(means: list[float], gate: float) -> float:
    total, count = 0.0, 0
    for mean in means:
        if mean > gate:
            total, count = total + mean, count + 1
    return total / count if count else 0.0


def _limit_peaks(clip: F32, numbers: list[int]) -> F32:
    threshold = numbers[0] * 2.0**-RATIO_BITS
    if numbers[1]:
        threshold *= float(np.abs(clip).max(initial=np.float32(0.0)))
    if threshold <= 0.0:
        return clip
    attack, release, delay = numbers[2] * 2.0**-SECTION_BITS, numbers[3] * 2.0**-SECTION_BITS, numbers[4]
    envelope, gain, gains = 0.0, 1.0, []
    for size in [*np.abs(clip).tolist(), *[0.0] * delay]:
        envelope = max(size, envelope * release)
        envelope = 0.0 if envelope < TINY else envelope
        target = threshold / envelope if envelope > threshold else 1.0
        gain = gain * attack + target * (1.0 - attack)
        gains.append(gain)
    limited: F32 = (clip.astype(np.float64) * np.array(gains[delay:])).astype(np.float32)
    return limited


def _direct_sound(side: F32, ratio: int) -> np.float32:
    """The first sample of an impulse response, whose others are those of the side."""
    side[:1] = 0.0
    exponent, squares = level(side)
    energy = float(squares) * (ratio * 2.0**-RATIO_BITS)
    direct = np.ldexp(np.float32(sqrt(energy) * 2.0**-LEVEL_BITS), exponent)
    return np.float32(min(direct, LOUDEST)) if energy > 0.0 else np.float32(1.0)


def _convolve(clip: F32, side: F32, length: int) -> F32:
    """The clip with the side, by blocks as the kernel: the last one first."""
    exponent, squares = level(clip)
    largest = np.abs(side).max(initial=np.float32(0.0))
    if squares == 0 or largest == 0:
        return clip
    exponent = min(exponent, 126)
    responses = np.ldexp(
        side[: length // 2].astype(np.float64), -min(int(np.clip(np.frexp(largest)[1], *EXPONENTS)), 126)
    )
    block, result = length - length // 2 + 1, clip.copy()
    for begin in reversed(range(0, len(clip), block)):
        work = np.zeros((2, length))
        chunk = clip[begin : begin + block]
        work[0, : len(chunk)] = np.ldexp(chunk.astype(np.float64), -exponent)
        work[1, : len(responses)] = responses
        spectrum = _multiply_spectra(_transform(work))
        values = np.roll(_transform(spectrum)[0, ::-1], 1) / length
        span = slice(begin, min(begin + length, len(clip)))
        added = result[span].astype(np.float64)
        added[: len(chunk)] = 0.0
        result[span] = (values[: len(added)] + added).astype(np.float32)
    return match_level(result, (exponent, squares))


def _multiply_spectra(work: F64) -> F64:
    """(Z² − W²) / 4i, W being the conjugate of the mirrored Z."""
    x, y = work
    u, v = np.roll(x[::-1], 1), -np.roll(y[::-1], 1)
    real = (x * x - y * y) - (u * u - v * v)
    imaginary = 2.0 * (x * y) - 2.0 * (u * v)
    half = len(x) // 2 + 1
    product = np.stack((0.25 * imaginary, -0.25 * real))
    product[:, half:] = np.array([[1.0], [-1.0]]) * product[:, 1 : half - 1][:, ::-1]
    return product


def _transform(work: F64) -> F64:
    """A radix-2 transform of two rows, real and imaginary: the kernel's butterflies, all of a stage together."""
    length = work.shape[1]
    bits = length.bit_length() - 1
    indices = np.arange(length)
    mirrored = sum(((indices >> bit) & 1) << (bits - 1 - bit) for bit in range(bits))
    x, y = work[:, mirrored]
    half = 1
    while half < length:
        c, s = twiddles(length)[:: length // (2 * half)].T
        (x0, x1), (y0, y1) = (part.reshape(-1, 2, half).swapaxes(0, 1) for part in (x, y))
        real, imaginary = c * x1 - s * y1, c * y1 + s * x1
        x = np.stack((x0 + real, x0 - real), axis=1).reshape(-1)
        y = np.stack((y0 + imaginary, y0 - imaginary), axis=1).reshape(-1)
        half *= 2
    return np.stack((x, y))
