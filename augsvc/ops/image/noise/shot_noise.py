"""Shot noise."""

from typing import Annotated, Literal

import numpy as np

from augsvc.numerics import exact
from augsvc.ops.kinds.image import UNIT_BITS, Additive, Noise
from augsvc.ops.laws import LOG_UNIFORM
from augsvc.ops.operation import Draw, Drawn, Interval


class ShotNoise(Noise):
    """Adds the noise of counting `photons` at white: normal deviates with the variance of a Poisson law, v / photons."""

    elsewhere = {"Albumentations": "ShotNoise"}
    op: Literal["shot_noise"] = "shot_noise"
    photons: Annotated[Interval, Drawn(lane=1, low=1.0, high=65536.0, law=LOG_UNIFORM, unit="photons at white")] = (
        20.0,
        200.0,
    )

    def law(self, draw: Draw) -> Additive:
        """v' = v + √(v / photons) · normal."""
        return Additive(root=exact.to_fixed(1.0 / np.sqrt(draw.value("photons")), UNIT_BITS))
