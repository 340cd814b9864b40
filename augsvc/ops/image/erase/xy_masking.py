"""Stripes across an image."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F64, I64
from augsvc.numerics import exact
from augsvc.numerics.geometry import Canvas
from augsvc.ops.image.erase.placing import place_spans
from augsvc.ops.kinds.image import UNIT_BITS, Erase
from augsvc.ops.laws import INTEGERS
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

_MAX_STRIPES = 8  # along either axis


class XyMasking(Erase):
    """Fills stripes over the full height (`x`) and the full width (`y`), as Albumentations' XYMasking or SpecAugment's masks."""

    identity: ClassVar[Settings] = {"stripes_x": 0, "stripes_y": 0}
    elsewhere = {"Albumentations": "XYMasking, TimeMasking, FrequencyMasking"}
    op: Literal["xy_masking"] = "xy_masking"
    stripes_x: Annotated[Interval, Drawn(lane=1, low=0.0, high=_MAX_STRIPES, law=INTEGERS, unit="stripes")] = (1.0, 1.0)
    stripes_y: Annotated[Interval, Drawn(lane=2, low=0.0, high=_MAX_STRIPES, law=INTEGERS, unit="stripes")] = (1.0, 1.0)
    length_x: Annotated[Interval, Drawn(lane=3, low=0.0, high=1.0, count=_MAX_STRIPES, unit="of the width")] = (
        0.05,
        0.2,
    )
    length_y: Annotated[Interval, Drawn(lane=5, low=0.0, high=1.0, count=_MAX_STRIPES, unit="of the height")] = (
        0.05,
        0.2,
    )
    place_x: Annotated[Interval, Drawn(lane=7, low=0.0, high=1.0, count=_MAX_STRIPES, unit="of the free width")] = (
        0.0,
        1.0,
    )
    place_y: Annotated[Interval, Drawn(lane=9, low=0.0, high=1.0, count=_MAX_STRIPES, unit="of the free height")] = (
        0.0,
        1.0,
    )
    value: Annotated[Interval, Drawn(lane=11, low=0.0, high=1.0, count=3, unit="of full scale")] = (0.0, 0.0)

    def rectangles(self, draw: Draw, canvas: Canvas) -> I64:
        """Lengths are fractions of the side, rounded to whole pixels; every position inside the canvas is equally probable."""
        left, right = self._stripes(draw, "x", canvas.width)
        top, bottom = self._stripes(draw, "y", canvas.height)
        upright = np.stack((left, left * 0, right, np.where(right > left, canvas.height, 0)), axis=-1)
        level = np.stack((top * 0, top, np.where(bottom > top, canvas.width, 0), bottom), axis=-1)
        return np.concatenate((upright, level), axis=1).astype(np.int64)

    def _stripes(self, draw: Draw, axis: Literal["x", "y"], side: int) -> tuple[F64, F64]:
        """First and last pixel, exclusive, of the stripes along an axis (N, R); of unused ones 0."""
        interval = self.stripes_x if axis == "x" else self.stripes_y
        used = np.arange(int(interval[1])) < draw.value(f"stripes_{axis}")[:, None]
        lengths, places = (draw.value(f"{name}_{axis}")[:, : used.shape[1]] for name in ("length", "place"))
        first, last = place_spans(lengths, places, side)
        return first * used, last * used

    def fill(self, draw: Draw, canvas: Canvas) -> I64:
        """One value per channel, the same in all stripes."""
        return exact.to_fixed(draw.value("value"), UNIT_BITS)[:, : canvas.channels]
