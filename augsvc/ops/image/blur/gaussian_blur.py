"""Blurs: Gaussian, and box."""

from math import ceil
from typing import Annotated, Literal

import numpy as np

from augsvc.arrays import I64
from augsvc.numerics import exact
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import UNIT_BITS, Filter
from augsvc.ops.operation import Draw, Drawn, Interval


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


class BoxBlur(Filter):
    """Averages a square of `radius` canvas pixels around each; a part of a pixel counts in part, as in Pillow's BoxBlur."""

    op: Literal["box_blur"] = "box_blur"
    radius: Annotated[Interval, Drawn(lane=1, low=0.0, high=16.0)] = (0.0, 2.0)

    def kernels(self, draw: Draw, canvas: Canvas) -> I64:
        """1 / (2·radius + 1) each, at both ends what is left of the radius; the rounding's rest goes to the middle tap."""
        reach = ceil(self.radius[1])
        radius = draw.value("radius")[:, None]
        distance = np.abs(np.arange(-reach, reach + 1, dtype=np.float64))[None, :]
        fixed = exact.to_fixed(np.clip(radius + 1.0 - distance, 0.0, 1.0) / (2.0 * radius + 1.0), UNIT_BITS)
        fixed[:, reach] += (1 << UNIT_BITS) - fixed.sum(axis=1)
        return fixed
