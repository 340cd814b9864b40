"""Elementary functions that give the same bits on every CPU.

exp, log, sin and cos of libm and NumPy differ in the last bit between instruction sets. Values derived from draws must not,
so lowerings use these functions: + − × ÷ √ and exact scalings alone, each of which IEEE 754 rounds correctly, in a fixed
order. Relative errors are below 1e-14; every result is rounded to fixed point afterwards.
"""

import math
from collections.abc import Sequence

import numpy as np

from augsvc.arrays import F64, I64

_RADIANS = 0.017453292519943295  # π / 180
# ln 2 in two parts, the first with 21 trailing zero bits, so that k × _LN2_HIGH is exact for |k| < 2**20 (fdlibm, e_exp.c)
_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10
_LN2 = 0.6931471805599453
_LN10_20TH = 0.11512925464970229  # ln 10 / 20
_SQRT_HALF = 0.7071067811865476

_SIN = tuple(
    (-1.0) ** k / f
    for k, f in enumerate((1, 6, 120, 5040, 362880, 39916800, 6227020800, 1307674368000, 355687428096000))
)
_COS = tuple(
    (-1.0) ** k / f for k, f in enumerate((1, 2, 24, 720, 40320, 3628800, 479001600, 87178291200, 20922789888000))
)
_MAX_FIXED = float(1 << 62)
_EXP_TERMS = 14
_LOG_TERMS = 12
_JACOBI_SWEEPS = 8

# Wichura (1988), algorithm AS 241, PPND16: numerators and denominators, constant term first.
_CENTRAL = (
    (3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3, 1.3731693765509461125e4,
     4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3),
    (1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
     2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3),
)  # fmt: skip
_NEAR_TAIL = (
    (1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
     1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4),
    (1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
     1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9),
)  # fmt: skip


def _polynomial(x: F64, coefficients: tuple[float, ...]) -> F64:
    """Horner's rule, constant term first."""
    value = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = value * x + coefficient
    return value


def sincos(degrees: F64) -> tuple[F64, F64]:
    """Sine and cosine of angles in degrees; exact at multiples of 90°."""
    turns = np.rint(degrees / 90.0)
    x = (degrees - turns * 90.0) * _RADIANS
    square = x * x
    sine, cosine = x * _polynomial(square, _SIN), _polynomial(square, _COS)
    quadrant = turns.astype(np.int64) & 3
    sin = np.choose(quadrant, (sine, cosine, -sine, -cosine))
    cos = np.choose(quadrant, (cosine, -sine, -cosine, sine))
    return sin, cos


def exp(x: F64) -> F64:
    """e**x for |x| ≤ 700."""
    k = np.rint(x / _LN2)
    remainder = (x - k * _LN2_HIGH) - k * _LN2_LOW
    value = np.ones_like(remainder)
    for n in range(_EXP_TERMS, 0, -1):
        value *= remainder  # in place: takes three quarters of the time for a table
        value /= float(n)
        value += 1.0
    return np.ldexp(value, k.astype(np.int64))


def log(x: F64) -> F64:
    """The natural logarithm of x > 0."""
    mantissa, exponent = np.frexp(x)
    low = mantissa < _SQRT_HALF
    mantissa = np.where(low, mantissa * 2.0, mantissa)
    power = exponent.astype(np.float64) - low
    s = (mantissa - 1.0) / (mantissa + 1.0)
    series = _polynomial(s * s, tuple(1.0 / (2 * k + 1) for k in range(_LOG_TERMS)))
    return power * _LN2_HIGH + (2.0 * s * series + power * _LN2_LOW)


def power(base: F64, exponent: F64) -> F64:
    """base**exponent for base in [0, 1] and exponent > 0; 0**exponent is 0 and 1**exponent is 1, exactly."""
    positive = np.where(base > 0.0, base, 1.0)
    return np.where(base > 0.0, exp(exponent * log(positive)), 0.0)


def decibels(level: F64) -> F64:
    """The amplitude factor of a level in dB: 10**(level / 20), for |level| ≤ 1000."""
    return exp(level * _LN10_20TH)


def normal_quantile(p: F64) -> F64:
    """The standard normal quantile for p in [1e-10, 1 − 1e-10], by AS 241 (relative error about 1e-16)."""
    q = p - 0.5
    central = q * _ratio(0.180625 - np.where(np.abs(q) <= 0.425, q * q, 0.0), _CENTRAL)
    tail = np.sqrt(-log(np.minimum(p, 1.0 - p)))
    outer = np.where(q < 0.0, -1.0, 1.0) * _ratio(np.maximum(tail, 1.6) - 1.6, _NEAR_TAIL)
    return np.where(np.abs(q) <= 0.425, central, outer)


def _ratio(x: F64, polynomials: tuple[tuple[float, ...], tuple[float, ...]]) -> F64:
    return _polynomial(x, polynomials[0]) / _polynomial(x, polynomials[1])


def eigen(matrix: Sequence[Sequence[float]]) -> tuple[list[float], list[list[float]]]:
    """Eigenvalues of a symmetric matrix, unordered, and unit eigenvectors as columns, in Python floats.

    Cyclic Jacobi (Golub & Van Loan, Matrix Computations, §8.5): each rotation zeroes one off-diagonal element. The number
    of sweeps is fixed, because a convergence test would have to give the same result everywhere too; 3×3 matrices needed
    at most six to leave exact zeros (20,000 covariances, axes 10^6 apart). LAPACK's last bits depend on the BLAS kernel.
    """
    n = len(matrix)
    a = [[float(value) for value in row] for row in matrix]
    vectors = [[float(row == column) for column in range(n)] for row in range(n)]
    for _ in range(_JACOBI_SWEEPS):
        for p in range(n - 1):
            for q in range(p + 1, n):
                if a[p][q] != 0.0:
                    _rotate(a, vectors, p, q)
    return [a[k][k] for k in range(n)], vectors


def _rotate(a: list[list[float]], vectors: list[list[float]], p: int, q: int) -> None:
    """One Jacobi rotation that makes a[p][q] zero, in place: a' = JᵀaJ, vectors' = vectors·J."""
    tau = (a[q][q] - a[p][p]) / (2.0 * a[p][q])
    tangent = (1.0 if tau >= 0.0 else -1.0) / (abs(tau) + math.sqrt(1.0 + tau * tau))
    cos = 1.0 / math.sqrt(1.0 + tangent * tangent)
    sin = tangent * cos
    for row in (*a, *vectors):
        row[p], row[q] = cos * row[p] - sin * row[q], sin * row[p] + cos * row[q]
    for k in range(len(a)):
        a[p][k], a[q][k] = cos * a[p][k] - sin * a[q][k], sin * a[p][k] + cos * a[q][k]
    a[p][q] = a[q][p] = 0.0


def to_fixed(value: F64, bits: int) -> I64:
    """Rounded to `bits` fraction bits, halves upwards; clamped to ±2**62, because CPUs overflow in different ways."""
    scaled = np.floor(value * float(1 << bits) + 0.5)
    low, high = np.minimum.reduce(scaled, axis=None, initial=0.0), np.maximum.reduce(scaled, axis=None, initial=0.0)
    if low != low:  # NaN
        raise ValueError("cannot round NaN")
    if low < -_MAX_FIXED or high > _MAX_FIXED:
        scaled = np.minimum(np.maximum(scaled, -_MAX_FIXED), _MAX_FIXED)
    return scaled.astype(np.int64)


def from_fixed(value: I64, bits: int) -> F64:
    """The value of a fixed-point integer (exact below 2**53)."""
    return value.astype(np.float64) / float(1 << bits)
