"""Gaussian noise."""

from typing import Annotated, ClassVar, Literal

from augsvc.numerics import exact
from augsvc.ops.kinds.image import UNIT_BITS, Additive, Noise
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class GaussianNoise(Noise):
    """Adds Gaussian noise of standard deviation `std` to every element."""

    identity: ClassVar[Settings] = {"std": 0}
    elsewhere = {"Kornia": "RandomGaussianNoise", "torchvision": "GaussianNoise", "Albumentations": "GaussNoise"}
    op: Literal["gaussian_noise"] = "gaussian_noise"
    std: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0, unit="of full scale")] = (0.0, 0.05)

    def law(self, draw: Draw) -> Additive:
        """v' = v + std · normal."""
        return Additive(exact.to_fixed(draw.value("std"), UNIT_BITS))
