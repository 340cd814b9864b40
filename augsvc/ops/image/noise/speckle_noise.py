"""Speckle noise."""

from typing import Annotated, ClassVar, Literal

from augsvc.numerics import exact
from augsvc.ops.kinds.image import UNIT_BITS, Additive, Noise
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class SpeckleNoise(Noise):
    """Adds Gaussian noise in proportion to every element: its standard deviation is `std` · v (ImageNet-C's speckle noise)."""

    identity: ClassVar[Settings] = {"std": 0}
    elsewhere = {"Albumentations": "MultiplicativeNoise"}
    op: Literal["speckle_noise"] = "speckle_noise"
    std: Annotated[Interval, Drawn(lane=1, low=0.0, high=2.0, unit="of the value")] = (0.0, 0.2)

    def law(self, draw: Draw) -> Additive:
        """v' = v + std · v · normal."""
        return Additive(linear=exact.to_fixed(draw.value("std"), UNIT_BITS))
