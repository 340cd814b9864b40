"""Gaussian blur."""

from math import ceil
from typing import Annotated, Literal

import numpy as np

from augsvc import exact
from augsvc.batch import I64
from augsvc.geometry import Canvas
from augsvc.ops.base import UNIT_BITS, Draw, Drawn, Filter, Interval


class GaussianBlur(Filter):
    """Blurs with a Gaussian of `sigma` canvas pixels, cut off at radius ⌈3σ⌉."""

    op: Literal["gaussian_blur"] = "gaussian_blur"
    sigma: Annotated[Interval, Drawn(lane=1, low=0.0, high=16.0)] = (0.1, 1.5)

    def kernels(self, draw: Draw, canvas: Canvas) -> I64:
        """exp(−x² / 2σ²), normalised; the rounding's rest goes to the middle tap. σ = 0 is the identity."""
        reach = ceil(3.0 * self.sigma[1])
        sigma = draw.value("sigma")[:, None]
        distance = np.abs(np.arange(-reach, reach + 1, dtype=np.float64))[None, :]
        inside = distance <= np.ceil(3.0 * sigma)
        scaled = distance / np.maximum(sigma, 1e-3)
        weights = np.where(inside, exact.exp(np.maximum(-0.5 * scaled * scaled, -700.0)), 0.0)
        total = np.zeros_like(sigma)
        for column in range(weights.shape[1]):  # in a fixed order: a library's sum may change it with the CPU
            total = total + weights[:, column : column + 1]
        fixed = exact.to_fixed(weights / total, UNIT_BITS)
        fixed[:, reach] += (1 << UNIT_BITS) - fixed.sum(axis=1)
        return fixed
