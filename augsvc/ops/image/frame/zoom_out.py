"""Zoom out."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics.geometry import Canvas, product, scaled
from augsvc.ops.kinds.border import Resampled
from augsvc.ops.kinds.image import PaddedFrame, Sources
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class ZoomOut(Resampled, PaddedFrame):
    """Places the source somewhere on a larger area of a colour, which is resized to the canvas (SSD's expansion)."""

    examples: ClassVar[tuple[Settings, ...]] = ({}, {"shape": "keep"})
    elsewhere = {"torchvision": "RandomZoomOut"}
    op: Literal["zoom_out"] = "zoom_out"
    side: Annotated[Interval, Drawn(lane=1, low=1.0, high=8.0, unit="×")] = (1.0, 4.0)
    shape: Literal["stretch", "keep"] = "stretch"
    place_x: Annotated[Interval, Drawn(lane=2, low=0.0, high=1.0, unit="of the free width")] = (0.0, 1.0)
    place_y: Annotated[Interval, Drawn(lane=3, low=0.0, high=1.0, unit="of the free height")] = (0.0, 1.0)

    def matrix(self, draw: Draw, sources: Sources, canvas: Canvas) -> F64:
        """torchvision's RandomZoomOut: both sides times `side`, a uniform place, whole pixels.

        `shape: stretch` then resizes each axis to the canvas, as SSD does; `keep` resizes both by the smaller factor and
        centres the area.
        """
        area = np.floor(sources.sizes * draw.value("side")[:, None])
        place = np.stack((draw.value("place_y"), draw.value("place_x")), axis=-1)
        placed = scaled(np.ones(area.shape), np.floor((area - sources.sizes) * place))
        scale = np.array([canvas.height, canvas.width]) / area
        if self.shape == "keep":
            scale = np.repeat(scale.min(axis=1, keepdims=True), 2, axis=1)
        return product(scaled(scale, ([canvas.height, canvas.width] - scale * area) / 2.0), placed)
