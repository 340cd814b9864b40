"""Saturation."""

from typing import Annotated, ClassVar, Literal

from augsvc.arrays import F64
from augsvc.numerics.color import LUMA, blend_with_grey
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import Statistics, Tone
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class Saturation(Tone):
    """Scales the distance of each pixel from its Rec. 601 luma, as torchvision's saturation and Pillow's ImageEnhance.Color."""

    identity: ClassVar[Settings] = {"factor": 1}
    elsewhere = {"Kornia": "RandomSaturation", "torchvision": "ColorJitter", "Albumentations": "ColorJitter"}
    op: Literal["saturation"] = "saturation"
    factor: Annotated[Interval, Drawn(lane=1, low=0.0, high=4.0)] = (0.8, 1.2)

    def matrix(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> F64:
        """v' = luma + factor · (v − luma); a grey canvas stays as it is."""
        return blend_with_grey(draw.value("factor"), LUMA, canvas.channels)
