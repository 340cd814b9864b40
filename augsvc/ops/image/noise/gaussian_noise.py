"""Noise on each pixel: Gaussian, and pixels lost."""

from typing import Annotated, Literal

from augsvc.numerics import exact
from augsvc.ops.kinds.image import UNIT_BITS, Dropout, Gaussian, Noise
from augsvc.ops.operation import Draw, Drawn, Interval


class GaussianNoise(Noise):
    """Adds normal noise of standard deviation `std` to every element."""

    op: Literal["gaussian_noise"] = "gaussian_noise"
    std: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0)] = (0.0, 0.05)

    def law(self, draw: Draw) -> Gaussian:
        """v' = v + std · normal."""
        return Gaussian(exact.to_fixed(draw.value("std"), UNIT_BITS))


class PixelDropout(Noise):
    """Loses a share of the pixels: they take `value` in all channels."""

    op: Literal["pixel_dropout"] = "pixel_dropout"
    rate: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0)] = (0.0, 0.1)
    value: Annotated[Interval, Drawn(lane=2, low=0.0, high=1.0)] = (0.0, 0.0)

    def law(self, draw: Draw) -> Dropout:
        """Each pixel alone, with probability `rate` (in steps of 2^-16)."""
        return Dropout(exact.to_fixed(draw.value("rate"), 16), exact.to_fixed(draw.value("value"), UNIT_BITS))
