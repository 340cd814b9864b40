"""Rain."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import I64, U16
from augsvc.numerics import exact
from augsvc.numerics.fields import BLEND_BITS, blend_where
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import WHITE
from augsvc.ops.kinds.opaque import OnValues
from augsvc.ops.laws import INTEGERS
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

_POSITION_BITS = 17  # uniform numbers are odd multiples of 2^-17


class Rain(OnValues):
    """Draws `drops` lines of grey, all of one length and slant, as Kornia's RandomRain."""

    identity: ClassVar[Settings] = {"drops": 0}
    elsewhere = {"Kornia": "RandomRain", "Albumentations": "RandomRain"}
    op: Literal["rain"] = "rain"
    drops: Annotated[Interval, Drawn(lane=1, low=0.0, high=4000.0, law=INTEGERS)] = (200.0, 800.0)
    length: Annotated[Interval, Drawn(lane=2, low=1.0, high=100.0, law=INTEGERS, unit="canvas pixels")] = (5.0, 20.0)
    slant: Annotated[Interval, Drawn(lane=3, low=-100.0, high=100.0, law=INTEGERS, unit="canvas pixels")] = (-5.0, 5.0)
    value: Annotated[Interval, Drawn(lane=4, low=0.0, high=1.0, unit="of full scale")] = (200 / 255, 200 / 255)
    opacity: Annotated[Interval, Drawn(lane=5, low=0.0, high=1.0)] = (1.0, 1.0)

    def lower(self, draw: Draw, canvas: Canvas) -> I64:
        """Drops, length, slant, value, opacity, and where each drop begins: a fraction of the rows and of the columns."""
        whole = [draw.value(name).astype(np.int64)[:, None] for name in ("drops", "length", "slant")]
        value = np.floor(draw.value("value") * WHITE + 0.5).astype(np.int64)[:, None]
        opacity = exact.to_fixed(draw.value("opacity"), BLEND_BITS)[:, None]
        starts = exact.to_fixed(draw.uniform((2 * int(self.drops[1]),)), _POSITION_BITS)
        return np.concatenate((*whole, value, opacity, starts), axis=1)

    def change(self, values: U16, lowered: I64) -> U16:
        """As OnValues.change: a drop begins where all of it is on the canvas, which clamps its length and slant."""
        _, height, width = values.shape
        drops, length, slant, value, opacity = lowered[:5].tolist()
        down = min(length, height) - 1
        across = min(max(abs(slant), 1), width) - 1
        steps = max(down, across) + 1
        line = np.arange(steps)
        rows, columns = (line * extent // max(steps - 1, 1) for extent in (down, across))
        starts = lowered[5 : 5 + 2 * drops].reshape(2, drops)
        top = (starts[0] * (height - down)) >> _POSITION_BITS
        left = (starts[1] * (width - across)) >> _POSITION_BITS
        wet = np.zeros((height, width), np.bool_)
        shifts = columns if slant >= 0 else across - columns
        wet[top[:, None] + rows, left[:, None] + shifts] = True
        return blend_where(values, value, opacity, wet)
