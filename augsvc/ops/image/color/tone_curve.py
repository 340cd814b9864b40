"""Tone curve."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import TABLE_ENTRIES, Statistics, Tone
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class ToneCurve(Tone):
    """Bends the tone curve of all channels: a cubic Bézier curve whose two inner points move by `shadows` and `highlights`.

    The curve of Albumentations' RandomToneCurve, whose points of 0.25 and 0.75 are −1/12 and 1/12 here.
    """

    identity: ClassVar[Settings] = {"shadows": 0, "highlights": 0}
    elsewhere = {"Albumentations": "RandomToneCurve"}
    op: Literal["tone_curve"] = "tone_curve"
    shadows: Annotated[Interval, Drawn(lane=1, low=-0.3, high=0.3, unit="of full scale")] = (-0.1, 0.1)
    highlights: Annotated[Interval, Drawn(lane=2, low=-0.3, high=0.3, unit="of full scale")] = (-0.1, 0.1)

    def table(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> F64:
        """v' = v + 3(1 − v)²v·shadows + 3(1 − v)v²·highlights: the Bernstein form of 0, ⅓ + shadows, ⅔ + highlights, 1."""
        v = np.arange(TABLE_ENTRIES, dtype=np.float64)[None, :] / (TABLE_ENTRIES - 1)
        shadows, highlights = draw.value("shadows")[:, None], draw.value("highlights")[:, None]
        return v + 3.0 * (1.0 - v) * v * ((1.0 - v) * shadows + v * highlights)
