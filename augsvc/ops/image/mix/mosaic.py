"""Mosaic."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import I64
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.composition import Collage, Tiles
from augsvc.ops.operation import Draw, Drawn, Interval


class Mosaic(Collage):
    """Four samples about a drawn centre, on twice the canvas; shows its middle, or what later moves read (YOLOv4, YOLOv5).

    The inner corner of each sample, without its bars, touches the centre: the sample upper left, its partners upper right, lower
    left and lower right. `center_x` and `center_y` are fractions of twice the canvas.
    """

    elsewhere = {"Albumentations": "Mosaic", "Kornia": "RandomMosaic", "Ultralytics": "Mosaic"}
    partners: ClassVar[int] = 3
    op: Literal["mosaic"] = "mosaic"
    partner: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0, count=3)] = (0.0, 1.0)
    center_x: Annotated[Interval, Drawn(lane=2, low=0.0, high=1.0)] = (0.25, 0.75)
    center_y: Annotated[Interval, Drawn(lane=3, low=0.0, high=1.0)] = (0.25, 0.75)

    def tiles(self, draw: Draw, contents: I64, canvas: Canvas) -> Tiles:
        """Ultralytics' placement (load_mosaic): a whole pixel as centre; what is larger than its quarter is cut outside."""
        height, width = self.size(canvas)
        sides = np.array([width, height])
        centre = np.floor(np.stack((draw.value("center_x"), draw.value("center_y")), axis=-1) * sides).astype(np.int64)
        shown, offsets = contents.copy(), np.empty((len(contents), 4, 2), np.int64)
        for tile, after in enumerate(((0, 0), (1, 0), (0, 1), (1, 1))):  # right of the centre, below it
            for axis in (0, 1):
                low, high, middle = shown[:, tile, axis], shown[:, tile, axis + 2], centre[:, axis]
                if after[axis]:
                    offsets[:, tile, axis] = middle - low
                    shown[:, tile, axis + 2] = np.minimum(high, low + sides[axis] - middle)
                else:
                    offsets[:, tile, axis] = middle - high
                    shown[:, tile, axis] = np.maximum(low, high - middle)
        return Tiles(shown, offsets)
