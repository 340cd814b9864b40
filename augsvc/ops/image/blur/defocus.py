"""Defocus blur."""

from math import ceil
from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F64, I64, Bools
from augsvc.numerics import exact
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import UNIT_BITS, Filter
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

_SMOOTHING = 2  # pixels that smoothing adds to the radius
_WIDE = 8.0  # the radius above which ImageNet-C smooths with five weights instead of three


class Defocus(Filter):
    """Averages a disc of `radius` pixels, smoothed by a Gaussian of `alias` pixels: ImageNet-C's defocus blur."""

    identity: ClassVar[Settings] = {"radius": 0, "alias": 0}
    elsewhere = {"Albumentations": "Defocus"}
    op: Literal["defocus"] = "defocus"
    radius: Annotated[Interval, Drawn(lane=1, low=0.0, high=16.0, unit="canvas pixels")] = (1.0, 4.0)
    alias: Annotated[Interval, Drawn(lane=2, low=0.0, high=1.0, unit="canvas pixels")] = (0.1, 0.5)

    @property
    def ns_per_element(self) -> float:
        """A weight takes 1 ns, and a disc has π·r² of them, one pixel wider by its alias."""
        return max(36.0, 3.2 * (self.radius[1] + 1.0) ** 2)

    def kernels(self, draw: Draw, canvas: Canvas) -> I64:
        """Equal weights where x² + y² ≤ radius², then the Gaussian along both axes (Hendrycks & Dietterich, 2019).

        The Gaussian has three weights, five for radii above 8. The remainder of the rounding goes to the middle tap.
        """
        radius, last = draw.value("radius"), ceil(self.radius[1]) + _SMOOTHING
        square = np.arange(-last, last + 1, dtype=np.float64) ** 2
        disc = (square[:, None] + square) <= (radius * radius)[:, None, None]
        weights = disc / disc.sum(axis=(1, 2), keepdims=True)
        near, far = _gaussian_weights(draw.value("alias"), radius > _WIDE)
        for axis in (1, 2):
            weights = _smooth(weights, near[:, None, None], far[:, None, None], axis)
        fixed = exact.to_fixed(weights, UNIT_BITS)
        fixed[:, last, last] += (1 << UNIT_BITS) - fixed.sum(axis=(1, 2))
        return fixed


def _gaussian_weights(sigma: F64, wide: Bools) -> tuple[F64, F64]:
    """The weights (N,) of pixels at distance 1 and, if `wide`, at distance 2; that of the middle is what they leave."""
    inverse = 0.5 / np.maximum(sigma * sigma, 3e-3)  # exp takes −700 at least: below 0.055 pixels nothing changes
    near, far = exact.exp(-inverse), np.where(wide, exact.exp(-4.0 * inverse), 0.0)
    total = 1.0 + 2.0 * (near + far)
    return near / total, far / total


def _smooth(weights: F64, near: F64, far: F64, axis: int) -> F64:
    """Along one axis. The outermost two rows are zeros, so nothing that wraps around counts."""
    result = (1.0 - 2.0 * (near + far)) * weights
    for distance, weight in ((1, near), (2, far)):
        result = result + weight * (np.roll(weights, distance, axis) + np.roll(weights, -distance, axis))
    return result
