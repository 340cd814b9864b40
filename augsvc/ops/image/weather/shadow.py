"""Shadows."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F64, I64, U16, Bools
from augsvc.numerics import exact
from augsvc.numerics.fields import BLEND_BITS, blend_where
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.opaque import OnValues
from augsvc.ops.laws import INTEGERS
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

_MAX_SHADOWS, _CORNERS = 4, 5
_COORDINATES = _MAX_SHADOWS * _CORNERS  # 20 words: five lanes
_POSITION_BITS = 8  # of a pixel


class Shadow(OnValues):
    """Darkens polygons of five corners by `intensity`, as Albumentations' RandomShadow; edges that cross leave holes."""

    identity: ClassVar[Settings] = {"intensity": 0}
    elsewhere = {"Albumentations": "RandomShadow"}
    op: Literal["shadow"] = "shadow"
    shadows: Annotated[Interval, Drawn(lane=1, low=0.0, high=float(_MAX_SHADOWS), law=INTEGERS)] = (1.0, 2.0)
    intensity: Annotated[Interval, Drawn(lane=2, low=0.0, high=1.0, count=_MAX_SHADOWS)] = (0.3, 0.6)
    x: Annotated[Interval, Drawn(lane=3, low=0.0, high=1.0, count=_COORDINATES, unit="of the width")] = (0.0, 1.0)
    y: Annotated[Interval, Drawn(lane=8, low=0.0, high=1.0, count=_COORDINATES, unit="of the height")] = (0.0, 1.0)

    def lower(self, draw: Draw, canvas: Canvas) -> I64:
        """The number of polygons, their intensities, and their corners: x, then y, in parts of a pixel."""
        x = exact.to_fixed(draw.columns("x") * canvas.width, _POSITION_BITS)
        y = exact.to_fixed(draw.columns("y") * canvas.height, _POSITION_BITS)
        shadows = draw.value("shadows").astype(np.int64)[:, None]
        return np.concatenate((shadows, exact.to_fixed(draw.columns("intensity"), BLEND_BITS), x, y), axis=1)

    def change(self, values: U16, lowered: I64) -> U16:
        """As OnValues.change; where polygons overlap, each of them darkens."""
        shadows, intensities = int(lowered[0]), lowered[1 : 1 + _MAX_SHADOWS].tolist()
        corners = lowered[1 + _MAX_SHADOWS :].reshape(2, _MAX_SHADOWS, _CORNERS) / float(1 << _POSITION_BITS)
        for x, y, intensity in zip(*corners[:, :shadows], intensities[:shadows], strict=True):
            values = blend_where(values, 0, intensity, _inside(x, y, values.shape[1], values.shape[2]))
        return values


def _inside(x: F64, y: F64, height: int, width: int) -> Bools:
    """Whether pixel centres (H, W) are inside a polygon with corners (K,), by the even-odd rule."""
    rows, columns = np.arange(height) + 0.5, np.arange(width, dtype=np.int16)
    inside = np.zeros((height, width), np.bool_)
    for x1, y1, x2, y2 in zip(x.tolist(), y.tolist(), np.roll(x, 1).tolist(), np.roll(y, 1).tolist(), strict=True):
        first, last = np.searchsorted(rows, (min(y1, y2), max(y1, y2))).tolist()
        if first < last:
            crossings = x1 + (rows[first:last] - y1) * ((x2 - x1) / (y2 - y1))
            count = np.clip(np.ceil(crossings - 0.5), 0, width).astype(np.int16)  # of pixels to the left
            inside[first:last] ^= columns < count[:, None]
    return inside
