"""Contrast."""

from typing import Annotated, ClassVar, Literal

from augsvc.arrays import F64
from augsvc.numerics.color import diagonal
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import Statistics, Tone
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

_PIVOTS = {"middle": 0.5, "black": 0.0}


class Contrast(Tone):
    """Scales the distance of every value from a pivot: 0.5 (`middle`), or 0 (`black`) as in Kornia's RandomContrast."""

    examples: ClassVar[tuple[Settings, ...]] = ({}, {"pivot": "black"})
    identity: ClassVar[Settings] = {"factor": 1}
    op: Literal["contrast"] = "contrast"
    pivot: Literal["middle", "black"] = "middle"
    factor: Annotated[Interval, Drawn(lane=1, low=0.0, high=4.0)] = (0.8, 1.2)

    def matrix(self, draw: Draw, canvas: Canvas, statistics: Statistics | None) -> F64:
        """v' = pivot + factor · (v − pivot)."""
        factor = draw.value("factor")
        return diagonal(factor, (1.0 - factor) * _PIVOTS[self.pivot], canvas.channels)
