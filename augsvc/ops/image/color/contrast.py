"""Contrast."""

from typing import Annotated, ClassVar, Literal

from augsvc.arrays import F64
from augsvc.numerics.color import diagonal
from augsvc.numerics.geometry import Canvas
from augsvc.ops.image.color.pivot import Pivot, measure_pivot, pivot_statistics
from augsvc.ops.kinds.image import Statistics, Tone
from augsvc.ops.operation import Draw, Drawn, Interval, Settings, Statistic


class Contrast(Tone):
    """Scales the distance of every value from a pivot.

    It is 0.5 (`middle`), the image's mean luma (`mean`, as in Pillow and torchvision), or 0 (`black`, as in Kornia's
    RandomContrast).
    """

    examples: ClassVar[tuple[Settings, ...]] = ({}, {"pivot": "mean"}, {"pivot": "black"})
    identity: ClassVar[Settings] = {"factor": 1}
    elsewhere = {"Kornia": "RandomContrast", "torchvision": "ColorJitter", "Albumentations": "ColorJitter"}
    op: Literal["contrast"] = "contrast"
    pivot: Pivot = "middle"
    factor: Annotated[Interval, Drawn(lane=1, low=0.0, high=4.0)] = (0.8, 1.2)

    @property
    def statistics(self) -> frozenset[Statistic]:
        """Moments for a pivot at the mean."""
        return pivot_statistics(self.pivot)

    def matrix(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> F64:
        """v' = pivot + factor · (v − pivot)."""
        factor = draw.value("factor")
        identity = diagonal(factor * 0 + 1.0, factor * 0, canvas.channels)
        return diagonal(factor, (1.0 - factor) * measure_pivot(self.pivot, identity, statistics), canvas.channels)
