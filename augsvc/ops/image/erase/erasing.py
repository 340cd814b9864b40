"""Random erasing."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import I64
from augsvc.numerics import exact
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import UNIT_BITS, Erase
from augsvc.ops.laws import LOG_UNIFORM
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class Erasing(Erase):
    """Fills one random rectangle with a constant colour (random erasing, Zhong et al. 2017)."""

    identity: ClassVar[Settings] = {"scale": 0, "value": 1}
    op: Literal["erasing"] = "erasing"
    scale: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0)] = (0.02, 0.33)
    ratio: Annotated[Interval, Drawn(lane=2, low=0.1, high=10.0, law=LOG_UNIFORM)] = (0.3, 3.3)
    place_x: Annotated[Interval, Drawn(lane=3, low=0.0, high=1.0)] = (0.0, 1.0)
    place_y: Annotated[Interval, Drawn(lane=4, low=0.0, high=1.0)] = (0.0, 1.0)
    value: Annotated[Interval, Drawn(lane=5, low=0.0, high=1.0, count=3)] = (0.0, 0.0)

    def rectangles(self, draw: Draw, canvas: Canvas) -> I64:
        """Area is uniform in `scale`, the width-to-height ratio log-uniform in `ratio`; a side that does not fit is clamped."""
        height, width = float(canvas.height), float(canvas.width)
        area = draw.value("scale") * (height * width)
        ratio = draw.value("ratio")
        erased_width = np.minimum(np.floor(np.sqrt(area * ratio) + 0.5), width)
        erased_height = np.minimum(np.floor(np.sqrt(area / ratio) + 0.5), height)
        left = np.floor((width - erased_width) * draw.value("place_x") + 0.5)
        top = np.floor((height - erased_height) * draw.value("place_y") + 0.5)
        return np.stack((left, top, left + erased_width, top + erased_height), axis=-1).astype(np.int64)[:, None, :]

    def fill(self, draw: Draw, canvas: Canvas) -> I64:
        """One value per channel."""
        return exact.to_fixed(draw.value("value"), UNIT_BITS)[:, : canvas.channels]
