"""Second-order sections of digital filters: b0 b1 b2 a1 a2 (…, S, 5), a0 being 1.

    H(z) = ∏ (b0 + b1·z⁻¹ + b2·z⁻²) / (1 + a1·z⁻¹ + a2·z⁻²)

Butterworth designs by the bilinear transform, as scipy.signal.butter; peaking and shelving by R. Bristow-Johnson's "Cookbook
formulae for audio EQ biquad filter coefficients". All in + − × ÷ √ and augsvc.numerics.exact, so that they are the same on every
CPU. A frequency counts in Hz; above HIGHEST of the rate it acts as that.
"""

from collections.abc import Callable
from math import ceil
from typing import NamedTuple

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics import exact

HIGHEST = 0.49  # of the rate, for every frequency of a design: at half of it a filter has no bilinear transform
_LOWEST = 1e-6  # of the rate, for an edge: below it 48 fraction bits do not hold a pole
_NARROWEST = 1e-8  # for the width of a band, as a tangent
_SLOPE_FROM = 10.0  # Hz: where a sloped gain begins
_SLOPE_TO = 0.28  # of the rate: where it ends before the bilinear transform, which makes the rest of it
_DB_OCTAVE = 6.020599913279624  # of a pole
_LN2 = 0.6931471805599453


def passing(n: int, sections: int = 1) -> F64:
    """Sections that pass everything: (n, sections, 5)."""
    identity = np.zeros((n, sections, 5))
    identity[..., 0] = 1.0
    return identity


def of_orders(design: Callable[[int], F64], orders: F64, span: tuple[float, float], per_order: float) -> F64:
    """The sections of a design for each sample's order (N,), all of them in `span`; ⌈order · per_order⌉ sections, the others
    pass everything.
    """
    sections = passing(len(orders), ceil(span[1] * per_order))
    for order in range(int(span[0]), int(span[1]) + 1):
        designed = design(order)
        sections[:, : designed.shape[1]] = np.where(
            (orders == order)[:, None, None], designed, sections[:, : designed.shape[1]]
        )
    return sections


def low_pass(cutoff: F64, rate: float, order: int) -> F64:
    """Butterworth: cutoff (N,) at −3 dB, then −6 dB an octave for each order; (N, ⌈order / 2⌉, 5)."""
    return _butterworth(_tangent(cutoff, rate), order, (1.0, 2.0, 1.0), (1.0, 1.0))


def high_pass(cutoff: F64, rate: float, order: int) -> F64:
    """Butterworth: the mirror of `low_pass`."""
    w = 1.0 / _tangent(cutoff, rate)
    sections = _butterworth(w, order, (1.0, -2.0, 1.0), (1.0, -1.0))
    sections[..., 3] = -sections[..., 3]  # z → −z: a1 changes its sign
    return sections


def _butterworth(w: F64, order: int, pair: tuple[float, float, float], single: tuple[float, float]) -> F64:
    """Low-pass at the tangent w (N,), with the given numerators: high-pass at 1 / w after z → −z."""
    sections = passing(len(w), (order + 1) // 2)
    for k, q in enumerate(_dampings(order)):
        scale = 1.0 / (1.0 + q * w + w * w)
        gain = w * w * scale
        sections[:, k, :3] = gain[:, None] * np.array(pair)
        sections[:, k, 3] = 2.0 * (w * w - 1.0) * scale
        sections[:, k, 4] = (1.0 - q * w + w * w) * scale
    if order % 2:
        gain = w / (1.0 + w)
        sections[:, -1, :2] = gain[:, None] * np.array(single)
        sections[:, -1, 3] = (w - 1.0) / (1.0 + w)
    return sections


def band_pass(low: F64, high: F64, rate: float, order: int) -> F64:
    """Butterworth between two frequencies (N,), −3 dB at both, 6 dB an octave for each order; (N, order, 5)."""
    return _band(low, high, rate, order, stop=False)


def band_stop(low: F64, high: F64, rate: float, order: int) -> F64:
    """Butterworth outside of two frequencies (N,), −3 dB at both; (N, order, 5)."""
    return _band(low, high, rate, order, stop=True)


def _band(low: F64, high: F64, rate: float, order: int, stop: bool) -> F64:
    """A band that begins at 0 or below it has no lower edge: what is left is a high-pass, or a low-pass."""
    sections = _band_within(_tangent(low, rate), _tangent(high, rate), order, stop)
    edgeless = passing(len(low), order)
    edgeless[:, : (order + 1) // 2] = (high_pass if stop else low_pass)(high, rate, order)
    return np.where((low <= 0.0)[:, None, None], edgeless, sections)


def _band_within(low: F64, high: F64, order: int, stop: bool) -> F64:
    """The poles of a low-pass prototype p become those of s² − p·B·s + w0² (of p = 1/p for a stop).

    Gains are those of the analog sections, B·s or s² + w0² over s² + …: the two of a pair of poles balance each other, and none
    is a small difference of large numbers.
    """
    width, square = np.maximum(high - low, _NARROWEST), low * high  # B, w0²
    nothing = np.zeros_like(width)
    numerator = (1.0 + square, 2.0 * (square - 1.0), 1.0 + square) if stop else (width, nothing, -width)
    sections = passing(len(low), order)
    denominators = []
    for q in _dampings(order):  # p = −q/2 ± i·√(1 − q²/4), |p| = 1, so 1/p is its conjugate: the same pairs
        x, y = _outer_pole(width, square, q)
        size = x * x + y * y
        denominators += [(-2.0 * x * (square / size), square * square / size), (-2.0 * x, size)]  # both poles: w0²
    if order % 2:  # p = −1: s² + B·s + w0²
        denominators.append((width, square))
    for k, (linear, constant) in enumerate(denominators):  # s² + linear·s + constant, for z = (1 + s) / (1 − s)
        scale = 1.0 / (1.0 + linear + constant)
        sections[:, k, :3] = np.stack(numerator, axis=-1) * scale[:, None]
        sections[:, k, 3], sections[:, k, 4] = 2.0 * (constant - 1.0) * scale, (1.0 - linear + constant) * scale
    return sections


def _outer_pole(width: F64, square: F64, q: float) -> tuple[F64, F64]:
    """Real and imaginary part of s = (p·B − √(p²B² − 4·w0²)) / 2 for p = −q/2 + i·√(1 − q²/4), whose parts add up; the other
    one is w0² / s.
    """
    half, imaginary = -q / 2.0, (1.0 - q * q / 4.0) ** 0.5
    x = (half * half - imaginary * imaginary) * width * width - 4.0 * square
    y = 2.0 * half * imaginary * width * width
    size = np.sqrt(x * x + y * y)
    root_x = np.sqrt(np.maximum((size + x) / 2.0, 0.0))
    root_y = np.sqrt(np.maximum((size - x) / 2.0, 0.0))  # of −y: the root lies below the real axis
    return (half * width - root_x) / 2.0, (imaginary * width + root_y) / 2.0


class Bell(NamedTuple):
    """A section's frequency in Hz, gain in dB, and quality Q, each (N,)."""

    frequency: F64
    gain: F64
    quality: F64


def peaking(bell: Bell, rate: float) -> F64:
    """A boost or a cut around a frequency: (N, 1, 5)."""
    a, cos, alpha = _cookbook(bell, rate)
    return _section((1.0 + alpha * a, -2.0 * cos, 1.0 - alpha * a), (1.0 + alpha / a, -2.0 * cos, 1.0 - alpha / a))


def low_shelf(bell: Bell, rate: float) -> F64:
    """A boost or a cut below a frequency: (N, 1, 5)."""
    return _shelf(bell, rate, 1.0)


def high_shelf(bell: Bell, rate: float) -> F64:
    """A boost or a cut above a frequency: (N, 1, 5)."""
    return _shelf(bell, rate, -1.0)


def _shelf(bell: Bell, rate: float, sign: float) -> F64:
    a, cos, alpha = _cookbook(bell, rate)
    cos = sign * cos
    slope = 2.0 * np.sqrt(a) * alpha
    b = (
        a * (a + 1.0 - (a - 1.0) * cos + slope),
        2.0 * a * (a - 1.0 - (a + 1.0) * cos),
        a * (a + 1.0 - (a - 1.0) * cos - slope),
    )
    c = (a + 1.0 + (a - 1.0) * cos + slope, -2.0 * (a - 1.0 + (a + 1.0) * cos), a + 1.0 + (a - 1.0) * cos - slope)
    return _section((b[0], sign * b[1], b[2]), (c[0], sign * c[1], c[2]))


def _cookbook(bell: Bell, rate: float) -> tuple[F64, F64, F64]:
    """A, cos ω and α of the cookbook."""
    sin, cos = exact.sincos(360.0 * np.minimum(bell.frequency / rate, HIGHEST))
    return exact.decibels(bell.gain / 2.0), cos, sin / (2.0 * bell.quality)


def _section(b: tuple[F64, F64, F64], a: tuple[F64, F64, F64]) -> F64:
    return np.stack([b[0] / a[0], b[1] / a[0], b[2] / a[0], a[1] / a[0], a[2] / a[0]], axis=-1)[:, None]


def slope(decibels: F64, rate: float) -> F64:
    """A gain that changes by `decibels` (N,) an octave, −6 … 6, from 20 Hz to half the rate: (N, S, 5), S by the rate.

    A pole and a zero an octave, apart by a fraction of it (A. Oustaloup's approximation of a fractional integrator): the slope
    holds to ±0.2 dB an octave between 40 Hz and 0.2 of the rate.
    """
    span = float(exact.log(np.array([max(2.0, _SLOPE_TO * rate / _SLOPE_FROM)]))[0])
    poles = 2 * max(1, round(span / _LN2 / 2.0))
    shift = exact.exp(decibels * (span / poles / 2.0 / _DB_OCTAVE))
    sections = passing(len(decibels), poles // 2)
    centers = _SLOPE_FROM * exact.exp(np.arange(0.5, poles) * (span / poles))
    pole, zero = _tangent(centers * shift[:, None], rate), _tangent(centers / shift[:, None], rate)
    scale = 1.0 / (1.0 + pole)
    numerators, denominators = np.stack(((1.0 + zero) * scale, (zero - 1.0) * scale)), (pole - 1.0) * scale
    for k in range(poles):
        (b0, b1), a1 = numerators[..., k], denominators[:, k]
        section = sections[:, k // 2]
        c0, c1, c2, d1, d2 = section.T.copy()
        section[:, :3] = np.stack((c0 * b0, c0 * b1 + c1 * b0, c1 * b1 + c2 * b0), axis=-1)
        section[:, 3], section[:, 4] = d1 + a1, d2 + d1 * a1
    return sections


def k_weighting(rate: float) -> F64:
    """The weighting of ITU-R BS.1770 at any rate: (2, 5).

    A shelf of +4 dB and a high-pass by the analog parameters that give the standard's table at 48 kHz (B. De Man, "Evaluation of
    implementations of the EBU R128 loudness measurement", AES 145, 2018).
    """
    shelf = float(_tangent(np.array(1681.9744509555319), rate))
    gain, q = float(exact.decibels(np.array(3.99984385397))), 0.7071752369554193
    middle = float(exact.exp(0.499666774155 * exact.log(np.array(gain))))
    b = (
        gain + middle * shelf / q + shelf * shelf,
        2.0 * (shelf * shelf - gain),
        gain - middle * shelf / q + shelf * shelf,
    )
    a = 1.0 + shelf / q + shelf * shelf, 2.0 * (shelf * shelf - 1.0), 1.0 - shelf / q + shelf * shelf
    cut = float(_tangent(np.array(38.13547087613982), rate))
    c = 1.0 + cut / 0.5003270373253953 + cut * cut, 2.0 * (cut * cut - 1.0), 1.0 - cut / 0.5003270373253953 + cut * cut
    first = [b[0] / a[0], b[1] / a[0], b[2] / a[0], a[1] / a[0], a[2] / a[0]]
    return np.array([first, [1.0, -2.0, 1.0, c[1] / c[0], c[2] / c[0]]])


def _dampings(order: int) -> list[float]:
    """1/Q of the conjugate pairs of Butterworth poles: 2·sin((2k + 1)·90° / order)."""
    angles = np.arange(1.0, order, 2.0) * (90.0 / order)
    return [2.0 * float(sin) for sin in exact.sincos(angles)[0]]


def _tangent(frequency: F64, rate: float) -> F64:
    """tan(π · frequency / rate)."""
    sin, cos = exact.sincos(180.0 * np.clip(frequency / rate, _LOWEST, HIGHEST))
    return sin / cos
