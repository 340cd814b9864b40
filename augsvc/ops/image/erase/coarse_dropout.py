"""Coarse dropout."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import I64
from augsvc.numerics import exact
from augsvc.numerics.geometry import Canvas
from augsvc.ops.image.erase.placing import place_spans
from augsvc.ops.kinds.image import UNIT_BITS, Erase
from augsvc.ops.laws import INTEGERS
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

_MAX_HOLES = 16


class CoarseDropout(Erase):
    """Fills rectangular holes with a constant colour: Albumentations' CoarseDropout, and cutout (DeVries & Taylor, 2017)."""

    identity: ClassVar[Settings] = {"holes": 0}
    elsewhere = {"Albumentations": "CoarseDropout", "imgaug": "Cutout"}
    op: Literal["coarse_dropout"] = "coarse_dropout"
    holes: Annotated[Interval, Drawn(lane=1, low=0.0, high=_MAX_HOLES, law=INTEGERS, unit="rectangles")] = (1.0, 2.0)
    height: Annotated[Interval, Drawn(lane=2, low=0.0, high=1.0, count=_MAX_HOLES, unit="of the height")] = (0.1, 0.2)
    width: Annotated[Interval, Drawn(lane=6, low=0.0, high=1.0, count=_MAX_HOLES, unit="of the width")] = (0.1, 0.2)
    place_x: Annotated[Interval, Drawn(lane=10, low=0.0, high=1.0, count=_MAX_HOLES, unit="of the free width")] = (
        0.0,
        1.0,
    )
    place_y: Annotated[Interval, Drawn(lane=14, low=0.0, high=1.0, count=_MAX_HOLES, unit="of the free height")] = (
        0.0,
        1.0,
    )
    value: Annotated[Interval, Drawn(lane=18, low=0.0, high=1.0, count=3, unit="of full scale")] = (0.0, 0.0)

    def rectangles(self, draw: Draw, canvas: Canvas) -> I64:
        """Sides are fractions of the canvas's, rounded to whole pixels; every position inside it is equally probable."""
        left, right = place_spans(draw.value("width"), draw.value("place_x"), canvas.width)
        top, bottom = place_spans(draw.value("height"), draw.value("place_y"), canvas.height)
        used = np.arange(_MAX_HOLES) < draw.value("holes")[:, None]
        boxes = np.stack((left, top, right, bottom), axis=-1).astype(np.int64)
        return np.where(used[:, :, None], boxes, 0)[:, : int(self.holes[1])]

    def fill(self, draw: Draw, canvas: Canvas) -> I64:
        """One value per channel, the same in all holes."""
        return exact.to_fixed(draw.value("value"), UNIT_BITS)[:, : canvas.channels]
