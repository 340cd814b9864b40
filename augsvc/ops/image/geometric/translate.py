"""Translation."""

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import StrictBool

from augsvc.arrays import F64
from augsvc.numerics.geometry import Canvas, affine
from augsvc.ops.kinds.border import Resampled
from augsvc.ops.kinds.image import Move
from augsvc.ops.operation import AddedLater, Draw, Drawn, Interval, Settings

_ROUNDING = 1e-6  # of a pixel


class Translate(Resampled, Move):
    """Moves to the right and down, by fractions of the canvas's width and height, and by pixels."""

    examples: ClassVar[tuple[Settings, ...]] = ({}, {"whole": True})
    identity: ClassVar[Settings] = {"x": 0, "y": 0}
    elsewhere = {"Kornia": "RandomTranslate", "torchvision": "RandomAffine", "Albumentations": "Affine"}
    op: Literal["translate"] = "translate"
    x: Annotated[Interval, Drawn(lane=1, low=-1.0, high=1.0, unit="of the width")] = (-0.1, 0.1)
    y: Annotated[Interval, Drawn(lane=2, low=-1.0, high=1.0, unit="of the height")] = (-0.1, 0.1)
    x_pixels: Annotated[Interval, Drawn(lane=3, low=-4096.0, high=4096.0, unit="canvas pixels"), AddedLater()] = (
        0.0,
        0.0,
    )
    y_pixels: Annotated[Interval, Drawn(lane=4, low=-4096.0, high=4096.0, unit="canvas pixels"), AddedLater()] = (
        0.0,
        0.0,
    )
    whole: StrictBool = False

    def matrix(self, draw: Draw, canvas: Canvas) -> F64:
        """x' = x + dx, y' = y + dy; `whole` truncates both to whole pixels, as AutoAugment and torchvision do.

        A product that rounding leaves below a whole pixel is that pixel: 150 / 331 · 11 / 30 · 331 is 55, not 54.999….
        """
        dx = draw.value("x") * canvas.width + draw.value("x_pixels")
        dy = draw.value("y") * canvas.height + draw.value("y_pixels")
        if self.whole:
            dx, dy = (np.trunc(shift + np.copysign(_ROUNDING, shift)) for shift in (dx, dy))
        one, zero = np.ones_like(dx), np.zeros_like(dx)
        return affine(one, zero, dx, zero, one, dy)
