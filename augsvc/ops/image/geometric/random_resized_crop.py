"""Random resized crop."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics.geometry import Canvas, affine
from augsvc.ops.kinds.image import Move
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class RandomResizedCrop(Move):
    """Crops a random area and resizes it to the canvas (Szegedy et al. 2015)."""

    identity: ClassVar[Settings] = {"scale": 1, "ratio": 1}  # on a square canvas
    op: Literal["random_resized_crop"] = "random_resized_crop"
    scale: Annotated[Interval, Drawn(lane=1, low=0.01, high=1.0)] = (0.08, 1.0)
    ratio: Annotated[Interval, Drawn(lane=2, low=0.1, high=10.0, log=True)] = (0.75, 4.0 / 3.0)
    place_x: Annotated[Interval, Drawn(lane=3, low=0.0, high=1.0)] = (0.0, 1.0)
    place_y: Annotated[Interval, Drawn(lane=4, low=0.0, high=1.0)] = (0.0, 1.0)

    def matrix(self, draw: Draw, canvas: Canvas) -> F64:
        """Area is uniform in `scale`, the width-to-height ratio log-uniform in `ratio`; a side that does not fit is clamped."""
        height, width = float(canvas.height), float(canvas.width)
        area = draw.value("scale") * (height * width)
        ratio = draw.value("ratio")
        crop_width = np.minimum(np.sqrt(area * ratio), width)
        crop_height = np.minimum(np.sqrt(area / ratio), height)
        left = (width - crop_width) * draw.value("place_x")
        top = (height - crop_height) * draw.value("place_y")
        sx, sy = width / crop_width, height / crop_height
        return affine(sx, sx * 0, -left * sx, sx * 0, sy, -top * sy)
