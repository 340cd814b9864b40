"""Sun flare."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import I64, U16, U32
from augsvc.numerics import exact
from augsvc.numerics.fields import BLEND_BITS, blend
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import WHITE
from augsvc.ops.kinds.opaque import OnValues
from augsvc.ops.laws import INTEGERS
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

_MAX_CIRCLES = 12
_ONE = 1 << BLEND_BITS
_GLARE = np.array([1.0, 0.75, 0.5])  # how much of red, green and blue is left at the full tint


class SunFlare(OnValues):
    """A light source that fades to its radius, and circles of light on the line from it through the centre of the canvas.

    As Albumentations' RandomSunFlare (method `overlay`): the source is white, `tint` colours a circle from white to orange.
    """

    identity: ClassVar[Settings] = {"intensity": 0, "opacity": 0}
    elsewhere = {"Albumentations": "RandomSunFlare"}
    op: Literal["sun_flare"] = "sun_flare"
    x: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0, unit="of the width")] = (0.0, 1.0)
    y: Annotated[Interval, Drawn(lane=2, low=0.0, high=1.0, unit="of the height")] = (0.0, 0.5)
    radius: Annotated[Interval, Drawn(lane=3, low=0.0, high=2.0, unit="of the longer side")] = (0.2, 0.5)
    intensity: Annotated[Interval, Drawn(lane=4, low=0.0, high=1.0)] = (0.6, 1.0)
    circles: Annotated[Interval, Drawn(lane=5, low=0.0, high=float(_MAX_CIRCLES), law=INTEGERS)] = (6.0, 10.0)
    distance: Annotated[
        Interval, Drawn(lane=6, low=0.0, high=2.0, count=_MAX_CIRCLES, unit="of the way from the source to the centre")
    ] = (0.0, 2.0)
    size: Annotated[Interval, Drawn(lane=9, low=0.0, high=0.5, count=_MAX_CIRCLES, unit="of the longer side")] = (
        0.01,
        0.08,
    )
    opacity: Annotated[Interval, Drawn(lane=12, low=0.0, high=1.0, count=_MAX_CIRCLES)] = (0.05, 0.2)
    tint: Annotated[Interval, Drawn(lane=15, low=0.0, high=1.0, count=_MAX_CIRCLES)] = (0.0, 1.0)

    def lower(self, draw: Draw, canvas: Canvas) -> I64:
        """The number of circles, the x, y, radius and intensity of the source, then those of all circles, and their tints: pixels
        and fractions, with BLEND_BITS fraction bits.
        """
        longer = float(max(canvas.height, canvas.width))
        x, y = draw.value("x")[:, None] * canvas.width, draw.value("y")[:, None] * canvas.height
        way = draw.columns("distance")
        centres_x, centres_y = x + way * (canvas.width / 2.0 - x), y + way * (canvas.height / 2.0 - y)
        source = (x, y, draw.value("radius")[:, None] * longer, draw.value("intensity")[:, None])
        circles = (centres_x, centres_y, draw.columns("size") * longer, draw.columns("opacity"), draw.columns("tint"))
        lowered = exact.to_fixed(np.concatenate((*source, *circles), axis=1), BLEND_BITS)
        return np.concatenate((draw.value("circles").astype(np.int64)[:, None], lowered), axis=1)

    def change(self, values: U16, lowered: I64) -> U16:
        """As OnValues.change."""
        x, y, radius, intensity = (lowered[1:5] / _ONE).tolist()
        circles = (lowered[5:].reshape(5, _MAX_CIRCLES) / _ONE).T[: int(lowered[0])]
        out = values.copy()
        for centre_x, centre_y, size, opacity, tint in circles.tolist():
            levels = np.floor(WHITE * (1.0 - tint * (1.0 - _GLARE)) + 0.5).astype(np.uint32)
            color = levels[:, None, None] if len(values) == 3 else levels[1:2, None, None]
            _add_disc(out, (centre_x, centre_y, size), color, opacity, fades=False)
        _add_disc(out, (x, y, radius), np.full((1, 1, 1), int(WHITE), np.uint32), intensity, fades=True)
        return out


def _add_disc(values: U16, disc: tuple[float, float, float], color: U32, opacity: float, fades: bool) -> None:
    """Blends a disc of x, y and radius in pixels into values (C, H, W): with edges a pixel wide, or fading from its centre."""
    x, y, radius = disc
    _, height, width = values.shape
    top, bottom = max(int(y - radius - 1.0), 0), min(int(y + radius + 2.0), height)
    left, right = max(int(x - radius - 1.0), 0), min(int(x + radius + 2.0), width)
    if radius <= 0.0 or top >= bottom or left >= right:
        return
    rows, columns = np.arange(top, bottom) + 0.5 - y, np.arange(left, right) + 0.5 - x
    inner = radius - np.sqrt(rows[:, None] ** 2 + columns**2)
    coverage = np.clip(inner / radius, 0.0, 1.0) ** 2 if fades else np.clip(inner + 0.5, 0.0, 1.0)
    weight = np.floor(coverage * (opacity * _ONE) + 0.5).astype(np.uint32)
    values[:, top:bottom, left:right] = blend(values[:, top:bottom, left:right], color, weight)
