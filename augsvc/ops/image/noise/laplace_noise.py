"""Laplace noise."""

from typing import Annotated, ClassVar, Literal

from augsvc.numerics import exact
from augsvc.ops.kinds.image import UNIT_BITS, Additive, Noise
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class LaplaceNoise(Noise):
    """Adds Laplace noise of standard deviation `std` to every element; its scale b is std / √2."""

    identity: ClassVar[Settings] = {"std": 0}
    elsewhere = {"Albumentations": "AdditiveNoise"}
    op: Literal["laplace_noise"] = "laplace_noise"
    std: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0, unit="of full scale")] = (0.0, 0.05)

    def law(self, draw: Draw) -> Additive:
        """v' = v + std · Laplace deviate of variance 1; the largest is 7.84."""
        return Additive(constant=exact.to_fixed(draw.value("std"), UNIT_BITS), deviates="laplace")
