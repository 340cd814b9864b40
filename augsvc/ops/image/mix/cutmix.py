"""CutMix."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.mix import Blend, Mix
from augsvc.ops.laws import SYMMETRIC_BETA
from augsvc.ops.operation import Draw, Drawn, Interval


class CutMix(Mix):
    """Fills a rectangle with a partner's pixels; the rest has the law Beta(alpha, alpha) before clipping (Yun et al. 2019)."""

    carries_masks: ClassVar[bool] = True
    elsewhere = {"Kornia": "RandomCutMixV2", "torchvision": "CutMix"}
    op: Literal["cutmix"] = "cutmix"
    alpha: Annotated[Interval, Drawn(lane=2, low=0.05, high=64.0, law=SYMMETRIC_BETA)] = (1.0, 1.0)
    place_x: Annotated[Interval, Drawn(lane=3, low=0.0, high=1.0, unit="of the free width")] = (0.0, 1.0)
    place_y: Annotated[Interval, Drawn(lane=4, low=0.0, high=1.0, unit="of the free height")] = (0.0, 1.0)

    def blend(self, draw: Draw, canvas: Canvas) -> Blend:
        """torchvision's CutMix: half sides √(1 − λ)/2 of the canvas, truncated, about a uniform pixel, clipped.

        The label's weight is that of the clipped rectangle.
        """
        sides = np.array([canvas.width, canvas.height], dtype=np.float64)
        half = np.floor(0.5 * np.sqrt(1.0 - draw.value("alpha"))[:, None] * sides)
        place = np.stack((draw.value("place_x"), draw.value("place_y")), axis=-1)
        centre = np.minimum(np.floor(place * sides), sides - 1.0)
        boxes = np.concatenate((np.maximum(centre - half, 0.0), np.minimum(centre + half, sides)), axis=1)
        return Blend(np.zeros(len(boxes), np.int64), boxes.astype(np.int64))
