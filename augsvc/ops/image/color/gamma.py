"""Gamma correction."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics import exact
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import TABLE_ENTRIES, Statistics, Tone
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class Gamma(Tone):
    """Raises every value to the power `gamma`."""

    identity: ClassVar[Settings] = {"gamma": 1}
    elsewhere = {"Kornia": "RandomGamma", "Albumentations": "RandomGamma"}
    op: Literal["gamma"] = "gamma"
    gamma: Annotated[Interval, Drawn(lane=1, low=0.25, high=4.0, unit="exponent")] = (0.8, 1.25)

    def table(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> F64:
        """v' = v^gamma."""
        values = np.arange(TABLE_ENTRIES, dtype=np.float64) / (TABLE_ENTRIES - 1)
        return exact.power(values[None, :], draw.value("gamma")[:, None])
