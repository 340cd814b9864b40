"""Vignette."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import I64, U16
from augsvc.numerics import exact
from augsvc.numerics.fields import BLEND_BITS, blend
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.opaque import OnValues
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

_ONE = 1 << BLEND_BITS


class Vignette(OnValues):
    """Darkens towards the corners: by `amount` times the squared distance from a centre, 1 at the corner farthest from it."""

    identity: ClassVar[Settings] = {"amount": 0}
    elsewhere = {"AlbumentationsX": "Vignetting"}
    op: Literal["vignette"] = "vignette"
    amount: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0)] = (0.2, 0.6)
    center_x: Annotated[Interval, Drawn(lane=2, low=0.0, high=1.0, unit="of the width")] = (0.4, 0.6)
    center_y: Annotated[Interval, Drawn(lane=3, low=0.0, high=1.0, unit="of the height")] = (0.4, 0.6)

    def lower(self, draw: Draw, canvas: Canvas) -> I64:
        """The amount and the centre, BLEND_BITS fraction bits."""
        return exact.to_fixed(
            np.stack([draw.value(name) for name in ("amount", "center_x", "center_y")], -1), BLEND_BITS
        )

    def change(self, values: U16, lowered: I64) -> U16:
        """As OnValues.change; distances are in pixels."""
        amount, *centre = lowered.tolist()
        _, height, width = values.shape
        squares, farthest = [], 0.0
        for side, fraction in ((height, centre[1]), (width, centre[0])):
            middle = side * fraction / _ONE
            squares.append((np.arange(side) + 0.5 - middle) ** 2)
            farthest += max(middle, side - middle) ** 2
        rows, columns = (np.floor(square * (amount / farthest)).astype(np.uint32) for square in squares)
        return blend(values, 0, rows[:, None] + columns)
