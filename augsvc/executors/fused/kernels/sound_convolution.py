"""The convolution of a clip with an impulse response, by a transform of one fixed length, in float64.

The transform is a radix-2 FFT whose butterflies are rounded operation by operation, so its bits are the same everywhere. The
clip is the real part of what is transformed and the response the imaginary one, so one transform gives both spectra.
"""

import numpy as np

from augsvc.executors.fused.kernels.args import Int
from augsvc.executors.fused.kernels.compiled import compiled
from augsvc.executors.fused.kernels.sound import F32, F64, Float, level_exponent, power_of_two, times64
from augsvc.executors.fused.kernels.sound_levels import largest_magnitude, match_level, sum_squares


@compiled
def convolve(clip: F32, side: F32, twiddles: F64, work: F64) -> None:
    """Convolves the clip with the side, up to the clip's length, at the level that it had; a silent side changes nothing.

    `work` (M, 2) and `twiddles` (M / 2, 2), cos and −sin of 2πk / M: of the side M / 2 samples count. The clip is cut into
    blocks of M / 2 + 1 samples, so that none wraps around; the last one goes first, so that each one is added to results.
    """
    power = min(level_exponent(largest_magnitude(clip)), 126)
    squares, side_largest = sum_squares(clip, power), largest_magnitude(side)
    if squares == 0 or side_largest == 0:
        return
    length, taps = work.shape[0], min(side.size, work.shape[0] // 2)
    block = length - length // 2 + 1
    clip_unit = np.float64(power_of_two(-power))
    side_unit = np.float64(power_of_two(-min(level_exponent(side_largest), 126)))
    for index in range((clip.size - 1) // block, -1, -1):
        begin = index * block
        end = min(begin + block, clip.size)
        for t in range(length):
            work[t, 0] = times64(np.float64(clip[begin + t]), clip_unit) if begin + t < end else 0.0
            work[t, 1] = times64(np.float64(side[t]), side_unit) if t < taps else 0.0
        _transform(work, twiddles)
        _multiply_spectra(work)
        _transform(work, twiddles)
        for t in range(begin, min(begin + length, clip.size)):
            value = work[0, 0] if t == begin else work[length - (t - begin), 0]
            clip[t] = np.float32(value / np.float64(length) + (np.float64(clip[t]) if t >= end else 0.0))
    match_level(clip, power, squares)


@compiled
def _multiply_spectra(work: F64) -> None:
    """The spectrum of the product of both parts' spectra: (Z² − W²) / 4i, W being the conjugate of the mirrored Z."""
    length = work.shape[0]
    for k in range(length // 2 + 1):
        m = (length - k) % length
        x, y, u, v = work[k, 0], work[k, 1], work[m, 0], -work[m, 1]
        real = (times64(x, x) - times64(y, y)) - (times64(u, u) - times64(v, v))
        imaginary = times64(2.0, times64(x, y)) - times64(2.0, times64(u, v))
        work[k, 0], work[k, 1] = times64(0.25, imaginary), times64(-0.25, real)
        work[m, 0], work[m, 1] = work[k, 0], -work[k, 1]


@compiled
def _transform(work: F64, twiddles: F64) -> None:
    """The discrete Fourier transform, in place."""
    length = work.shape[0]
    _reorder(work)
    half = 1
    while half < length:
        stride = length // (2 * half)
        for begin in range(0, length, 2 * half):
            for k in range(half):
                _butterfly(work, begin + k, begin + k + half, twiddles[k * stride, 0], twiddles[k * stride, 1])
        half *= 2


@compiled
def _butterfly(work: F64, i: Int, j: Int, c: Float, s: Float) -> None:
    x, y, u, v = work[i, 0], work[i, 1], work[j, 0], work[j, 1]
    real, imaginary = times64(c, u) - times64(s, v), times64(c, v) + times64(s, u)
    work[i, 0], work[i, 1] = x + real, y + imaginary
    work[j, 0], work[j, 1] = x - real, y - imaginary


@compiled
def _reorder(work: F64) -> None:
    """Swaps each row with that of the reversed bits of its index."""
    length, mirrored = work.shape[0], 0
    for i in range(1, length):
        bit = length >> 1
        while mirrored & bit:
            mirrored ^= bit
            bit >>= 1
        mirrored |= bit
        if i < mirrored:
            x, y = work[i, 0], work[i, 1]
            work[i, 0], work[i, 1] = work[mirrored, 0], work[mirrored, 1]
            work[mirrored, 0], work[mirrored, 1] = x, y
