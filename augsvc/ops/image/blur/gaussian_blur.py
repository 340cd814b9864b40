"""Gaussian blur."""

from math import ceil
from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import I64
from augsvc.numerics import exact
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import UNIT_BITS, Filter
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class GaussianBlur(Filter):
    """Gaussian blur with a standard deviation of `sigma` canvas pixels, truncated at the radius ⌈3σ⌉."""

    identity: ClassVar[Settings] = {"sigma": 0}
    elsewhere = {"Kornia": "RandomGaussianBlur", "torchvision": "GaussianBlur", "Albumentations": "GaussianBlur"}
    op: Literal["gaussian_blur"] = "gaussian_blur"
    sigma: Annotated[Interval, Drawn(lane=1, low=0.0, high=16.0, unit="canvas pixels")] = (0.1, 1.5)

    def kernels(self, draw: Draw, canvas: Canvas) -> I64:
        """exp(−x² / 2σ²), normalised; the remainder of the rounding goes to the middle tap. σ = 0 is the identity."""
        radius = ceil(3.0 * self.sigma[1])
        sigma = draw.value("sigma")[:, None]
        distance = np.abs(np.arange(-radius, radius + 1, dtype=np.float64))[None, :]
        inside = distance <= np.ceil(3.0 * sigma)
        scaled = distance / np.maximum(sigma, 1e-3)
        weights = np.where(inside, exact.exp(np.maximum(-0.5 * scaled * scaled, -700.0)), 0.0)
        total = np.zeros_like(sigma)
        for column in range(weights.shape[1]):  # in a fixed order: the order of NumPy's sum may depend on the CPU
            total = total + weights[:, column : column + 1]
        fixed = exact.to_fixed(weights / total, UNIT_BITS)
        fixed[:, radius] += (1 << UNIT_BITS) - fixed.sum(axis=1)
        return fixed
