"""Conversion to grey."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from augsvc.arrays import F64
from augsvc.numerics.color import LUMA, blend_with_grey
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import Statistics, Tone
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

_MEAN = (1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0)


class Grayscale(Tone):
    """Blends with the grey of each pixel, its Rec. 601 luma or the mean of its channels; a grey canvas stays as it is."""

    examples: ClassVar[tuple[Settings, ...]] = ({}, {"weights": "mean"})
    identity: ClassVar[Settings] = {"strength": 0}
    elsewhere = {"Kornia": "RandomGrayscale", "torchvision": "Grayscale, RandomGrayscale", "Albumentations": "ToGray"}
    op: Literal["grayscale"] = "grayscale"
    p: Annotated[float, Field(ge=0.0, le=1.0, strict=True)] = 0.1
    weights: Literal["luma", "mean"] = "luma"
    strength: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0)] = (1.0, 1.0)

    def matrix(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> F64:
        """v' = (1 − strength)·v + strength·grey; with luma and strength 1 the levels of Pillow's mode L."""
        weights = LUMA if self.weights == "luma" else _MEAN
        return blend_with_grey(1.0 - draw.value("strength"), weights, canvas.channels)
