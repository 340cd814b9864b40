"""Random erasing."""

from typing import Annotated, Literal

import numpy as np

from augsvc.arrays import I64
from augsvc.numerics import exact
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import UNIT_BITS, Erase
from augsvc.ops.operation import Draw, Drawn, Interval


class Erasing(Erase):
    """Covers one rectangle with a plain colour (Zhong et al. 2017)."""

    op: Literal["erasing"] = "erasing"
    scale: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0)] = (0.02, 0.33)
    ratio: Annotated[Interval, Drawn(lane=2, low=0.1, high=10.0, log=True)] = (0.3, 3.3)
    place_x: Annotated[Interval, Drawn(lane=3, low=0.0, high=1.0)] = (0.0, 1.0)
    place_y: Annotated[Interval, Drawn(lane=4, low=0.0, high=1.0)] = (0.0, 1.0)
    value: Annotated[Interval, Drawn(lane=5, low=0.0, high=1.0, words=3)] = (0.0, 0.0)

    def rectangles(self, draw: Draw, canvas: Canvas) -> I64:
        """Area is uniform in `scale`, the width-to-height ratio log-uniform in `ratio`; a side that does not fit is cut."""
        height, width = float(canvas.height), float(canvas.width)
        area = draw.value("scale") * (height * width)
        ratio = draw.value("ratio")
        across = np.minimum(np.floor(np.sqrt(area * ratio) + 0.5), width)
        down = np.minimum(np.floor(np.sqrt(area / ratio) + 0.5), height)
        left = np.floor((width - across) * draw.value("place_x") + 0.5)
        top = np.floor((height - down) * draw.value("place_y") + 0.5)
        return np.stack((left, top, left + across, top + down), axis=-1).astype(np.int64)[:, None, :]

    def fill(self, draw: Draw, canvas: Canvas) -> I64:
        """One number a channel."""
        return exact.to_fixed(draw.value("value"), UNIT_BITS)[:, : canvas.channels]
