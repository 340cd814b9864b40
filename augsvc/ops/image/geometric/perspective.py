"""Perspective transform."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics.geometry import Canvas, quadrangle
from augsvc.ops.kinds.border import Resampled
from augsvc.ops.kinds.image import Move
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class Perspective(Resampled, Move):
    """Random perspective: moves each corner of the canvas inwards by a random fraction, as torchvision's RandomPerspective."""

    identity: ClassVar[Settings] = {"distortion": 0}
    elsewhere = {"Kornia": "RandomPerspective", "torchvision": "RandomPerspective", "Albumentations": "Perspective"}
    op: Literal["perspective"] = "perspective"
    # below 2/3 the four corners always form a convex quadrangle, so nothing of the canvas meets the horizon
    distortion: Annotated[Interval, Drawn(lane=1, low=0.0, high=0.6, unit="of the half side")] = (0.0, 0.5)
    corners_x: Annotated[Interval, Drawn(lane=2, low=0.0, high=1.0, count=4)] = (0.0, 1.0)
    corners_y: Annotated[Interval, Drawn(lane=3, low=0.0, high=1.0, count=4)] = (0.0, 1.0)

    def matrix(self, draw: Draw, canvas: Canvas) -> F64:
        """Each corner moves by `corners` · distortion / 2 of a side, from upper left clockwise; distortion 0 is the identity."""
        half = draw.value("distortion")[:, None] * 0.5
        x, y = half * canvas.width * draw.value("corners_x"), half * canvas.height * draw.value("corners_y")
        right, lower = np.array([0.0, 1.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0, 1.0])
        return quadrangle(
            np.where(right == 1.0, canvas.width - x, x), np.where(lower == 1.0, canvas.height - y, y), canvas
        )
