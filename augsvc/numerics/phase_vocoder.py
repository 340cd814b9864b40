"""A phase vocoder: another speed at the same pitch.

The definition is that of librosa.phase_vocoder with its defaults. Its phases are an angle that is accumulated; here they are a
complex number of magnitude 1 that is multiplied, which is the same without a transcendental function, whose last bit differs
between CPUs. Everything else is one rounded operation after the other, on one clip, so no result depends on another clip or on
threads; the transform is NumPy's, which computes every frame by itself.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt

from augsvc.arrays import F32, F64, I64, ranges
from augsvc.numerics import exact

C128 = npt.NDArray[np.complex128]
WINDOW, HOP = 2048, 512  # samples
RATE_BITS = 32  # fraction bits of a rate
_FRAMES = 32  # that are transformed together: 4 MB of temporaries
FIXED_BYTES = 16.0 * 16 * _FRAMES * WINDOW


def stretch(clip: F32, rate: int, samples: int, check: Callable[[], None]) -> F64:
    """The first `samples` samples of a clip (T,), T ≥ 1, played `rate` / 2^RATE_BITS times as fast at the same pitch.

    Frame k of the result has the magnitudes at k · rate between two frames of the clip, which are interpolated linearly, and its
    phases go on as they do from the one of these frames to the other. Frames are centred: zeros lie before and after the clip.
    After the last centre within the clip the frames are silent.
    `check` is called at short intervals and cancels by raising.
    """
    frames = 1 + len(clip) // HOP  # of the clip
    count = min(-(-(frames << RATE_BITS) // rate), (samples + WINDOW // 2 - 1) // HOP + 1)
    positions = np.arange(count, dtype=np.int64) * rate
    left: I64 = positions >> RATE_BITS
    fraction = exact.from_fixed(positions & ((1 << RATE_BITS) - 1), RATE_BITS)
    padded = np.zeros((frames + 1) * HOP + WINDOW)
    padded[WINDOW // 2 : WINDOW // 2 + len(clip)] = clip
    window = _hann()
    sums, weights = np.zeros((2, max((count - 1) * HOP + WINDOW, samples + WINDOW // 2)))
    phase: tuple[F64, F64] | None = None
    for rows in ranges(count, _FRAMES):
        check()
        spectrum, phase = _advance(padded, frames, (left[rows], fraction[rows]), phase)
        for k, frame in zip(range(rows.start, rows.stop), np.fft.irfft(spectrum, WINDOW) * window, strict=True):
            span = slice(k * HOP, k * HOP + WINDOW)
            sums[span] += frame
            weights[span] += window * window
    inner = slice(WINDOW // 2, WINDOW // 2 + samples)
    covered = weights[inner] > 0.0
    stretched: F64 = np.where(covered, sums[inner] / np.where(covered, weights[inner], 1.0), 0.0)
    return stretched


def stretched_length(samples: I64, rate: I64) -> I64:
    """round(samples / rate), halves up, of a clip that is played `rate` / 2^RATE_BITS times as fast."""
    lengths: I64 = ((samples << RATE_BITS) + rate // 2) // rate
    return lengths


def _advance(
    padded: F64, frames: int, positions: tuple[I64, F64], phase: tuple[F64, F64] | None
) -> tuple[C128, tuple[F64, F64]]:
    """The spectra of frames of the result at `positions`, frames of the clip and fractions, and the phase of the one after them.

    The phase of the first one, None, is that of the first frame of the clip, which has `frames` of them.
    """
    left, fraction = positions
    first, last = int(left[0]), int(left[-1]) + 2
    windows = np.lib.stride_tricks.sliding_window_view(padded[first * HOP :], WINDOW)[::HOP]
    transformed = np.fft.rfft(windows[: last - first] * _hann())
    transformed[max(frames - first, 0) :] = 0.0
    x, y = transformed.real.copy(), transformed.imag.copy()
    magnitude = np.sqrt(x * x + y * y)
    silent = magnitude == 0.0
    divisor = np.where(silent, 1.0, magnitude)
    x, y = np.where(silent, 1.0, x / divisor), y / divisor
    before = left - first
    weight = fraction[:, None]
    magnitudes = (1.0 - weight) * magnitude[before] + weight * magnitude[before + 1]
    x0, y0, x1, y1 = x[before], y[before], x[before + 1], y[before + 1]
    turn_x, turn_y = x1 * x0 + y1 * y0, y1 * x0 - x1 * y0
    u, v = phase or (x[0], y[0])
    spectrum: C128 = np.empty(magnitudes.shape, np.complex128)
    for k in range(len(left)):
        spectrum.real[k], spectrum.imag[k] = magnitudes[k] * u, magnitudes[k] * v
        u, v = u * turn_x[k] - v * turn_y[k], u * turn_y[k] + v * turn_x[k]
    size = np.sqrt(u * u + v * v)
    return spectrum, (u / size, v / size)


@cache
def _hann() -> F64:
    """Periodic, read-only."""
    _, cos = exact.sincos(np.arange(WINDOW, dtype=np.float64) * (360.0 / WINDOW))
    window: F64 = 0.5 - 0.5 * cos
    window.flags.writeable = False
    return window
