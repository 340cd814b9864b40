"""Brightness."""

from typing import Annotated, ClassVar, Literal

from augsvc.arrays import F64
from augsvc.numerics.color import diagonal
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import Statistics, Tone
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class Brightness(Tone):
    """Scales every value, as torchvision's brightness, or adds to it, as Kornia's RandomBrightness."""

    examples: ClassVar[tuple[Settings, ...]] = ({}, {"factor": 1.0, "add": (-0.2, 0.2)})
    identity: ClassVar[Settings] = {"factor": 1, "add": 0}
    elsewhere = {"Kornia": "RandomBrightness", "torchvision": "ColorJitter", "Albumentations": "ColorJitter"}
    op: Literal["brightness"] = "brightness"
    factor: Annotated[Interval, Drawn(lane=1, low=0.0, high=4.0)] = (0.8, 1.2)
    add: Annotated[Interval, Drawn(lane=2, low=-1.0, high=1.0, unit="of full scale")] = (0.0, 0.0)

    def matrix(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> F64:
        """v' = factor · v + add."""
        return diagonal(draw.value("factor"), draw.value("add"), canvas.channels)
