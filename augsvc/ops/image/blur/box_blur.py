"""Box blur."""

from math import ceil
from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import I64
from augsvc.numerics import exact
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import UNIT_BITS, Filter
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class BoxBlur(Filter):
    """Averages the square of `radius` canvas pixels around each pixel; a fractional radius weights its edge, as in Pillow."""

    identity: ClassVar[Settings] = {"radius": 0}
    elsewhere = {"Kornia": "RandomBoxBlur", "Albumentations": "Blur"}
    op: Literal["box_blur"] = "box_blur"
    radius: Annotated[Interval, Drawn(lane=1, low=0.0, high=16.0, unit="canvas pixels")] = (0.0, 2.0)

    def kernels(self, draw: Draw, canvas: Canvas) -> I64:
        """1 / (2·radius + 1) each, the fraction of it that is left at both ends; the remainder goes to the middle tap."""
        last = ceil(self.radius[1])
        radius = draw.value("radius")[:, None]
        distance = np.abs(np.arange(-last, last + 1, dtype=np.float64))[None, :]
        fixed = exact.to_fixed(np.clip(radius + 1.0 - distance, 0.0, 1.0) / (2.0 * radius + 1.0), UNIT_BITS)
        fixed[:, last] += (1 << UNIT_BITS) - fixed.sum(axis=1)
        return fixed
