"""The laws of drawn parameters: from an interval [low, high] and uniform 32-bit words to values.

Each is a closed form over a fixed number of words, never a rejection, so a value depends on its own words alone; and each uses
the functions of augsvc.numerics.exact, so it is the same on every CPU. A new law is a new constant here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from augsvc.arrays import F64, U32
from augsvc.numerics import exact


@dataclass(frozen=True, slots=True)
class Law:
    """How values follow from words.

    `values` takes low, high and words (N, count, words) and returns (N, count). A `whole` law takes whole numbers as limits.
    `text` names it for readers. `varies_at_a_point`: whether values still differ where low = high.
    """

    values: Callable[[float, float, U32], F64]
    text: str
    words: int = 1
    whole: bool = False
    varies_at_a_point: bool = False


_MEL_CORNER = 700.0  # Hz: the mel scale is linear below it, logarithmic above
_BELOW = 0.15865525393145707  # of a standard normal deviate, the probability of less than −1


def _fractions(words: U32) -> F64:
    """Words as numbers in [0, 1), of 32 bits."""
    return words.astype(np.float64) / 4294967296.0


def _middles(words: U32) -> F64:
    """Words as numbers in (0, 1): the middles of 2^32 equal intervals."""
    return (words.astype(np.float64) + 0.5) / 4294967296.0


def _uniform(low: float, high: float, words: U32) -> F64:
    return low + (high - low) * _fractions(words[..., 0])


def _log_uniform(low: float, high: float, words: U32) -> F64:
    log_low, log_high = _logarithms(low, high)
    return exact.exp(log_low + (log_high - log_low) * _fractions(words[..., 0]))


@lru_cache(maxsize=256)
def _logarithms(low: float, high: float) -> tuple[float, float]:
    """The logarithms of an interval's limits, cached: computing them per batch is half the cost of drawing an erasing."""
    return float(exact.log(np.array(low))), float(exact.log(np.array(high)))


def _mel(low: float, high: float, words: U32) -> F64:
    """f = 700 · (10^(m / 2595) − 1) for m uniform: 700 + f is log-uniform. O'Shaughnessy, "Speech communication", 1987."""
    ratio = np.full(words.shape[:-1], (_MEL_CORNER + high) / (_MEL_CORNER + low))
    frequencies = (_MEL_CORNER + low) * exact.exp(exact.log(ratio) * _fractions(words[..., 0])) - _MEL_CORNER
    return np.clip(frequencies, low, high)


def _integers(low: float, high: float, words: U32) -> F64:
    return low + np.floor((high - low + 1.0) * _fractions(words[..., 0]))


def _signed(low: float, high: float, words: U32) -> F64:
    """The lowest bit is the sign, the others the magnitude."""
    word = words[..., 0]
    magnitude = low + (high - low) * _fractions(word & np.uint32(0xFFFFFFFE))
    return np.where(word & np.uint32(1), -magnitude, magnitude) + 0.0  # −0 becomes 0


def _normal(low: float, high: float, words: U32) -> F64:
    """The first word draws the standard deviation, the second the deviate: by the inverse of the distribution function."""
    return _uniform(low, high, words) * exact.normal_quantile(_middles(words[..., 1]))


def _truncated_normal(low: float, high: float, words: U32) -> F64:
    """Normal about the middle, with half the interval's length as its deviation, cut at both ends: by the inverse."""
    deviates = exact.normal_quantile(_BELOW + (1.0 - 2.0 * _BELOW) * _middles(words[..., 0]))
    return (low + high) / 2.0 + (high - low) / 2.0 * deviates


def _symmetric_beta(low: float, high: float, words: U32) -> F64:
    """The first word draws α, the others the value.

    ½ + ½·T/√(2α + T²) for Student's T of 2α degrees of freedom, which is √(2α·(U^(−1/α) − 1))·cos 2πV (Devroye, "Random
    variate generation in one line of code", 1996; after Bailey, 1994): written with q = U^(1/α), so that nothing overflows.
    """
    alpha, u, v = _uniform(low, high, words), _middles(words[..., 1]), _middles(words[..., 2])
    q = exact.exp(np.maximum(exact.log(u) / alpha, -700.0))
    _, cos = exact.sincos(360.0 * v)
    squares = (1.0 - q) * cos * cos
    beta: F64 = np.clip(0.5 + 0.5 * cos * np.sqrt((1.0 - q) / (squares + q)), 0.0, 1.0)
    return beta


UNIFORM = Law(_uniform, "uniform")  # on [low, high)
LOG_UNIFORM = Law(_log_uniform, "log-uniform")  # uniform in the logarithm, for ratios; 0 < low
MEL = Law(_mel, "uniform in mel")  # for frequencies in Hz; 0 ≤ low
INTEGERS = Law(_integers, "whole numbers", whole=True)  # low, low + 1, …, high with equal probabilities
SIGNED = Law(
    _signed, "uniform, with a random sign", varies_at_a_point=True
)  # a uniform magnitude with a random sign; 0 ≤ low
# of mean 0 and a standard deviation uniform on [low, high); 0 ≤ low; up to 6.4 of them
NORMAL = Law(_normal, "normal; the range is its standard deviation's", words=2, varies_at_a_point=True)
TRUNCATED_NORMAL = Law(
    _truncated_normal, "truncated normal"
)  # about the middle, half the length as deviation, cut at both ends
# Beta(α, α) on [0, 1] with α uniform on [low, high); 0.04 ≤ low
SYMMETRIC_BETA = Law(_symmetric_beta, "Beta(α, α); the range is α's", words=3, varies_at_a_point=True)
