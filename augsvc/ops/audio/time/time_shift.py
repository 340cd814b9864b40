"""Shift in time."""

from typing import Annotated, Literal

import numpy as np

from augsvc.arrays import I64
from augsvc.ops.kinds.audio import Clip, SoundMove
from augsvc.ops.operation import Draw, Drawn, Interval


class TimeShift(SoundMove):
    """Lets the sound come later (below 0: earlier) by a share of the clip; zeros move in."""

    op: Literal["time_shift"] = "time_shift"
    shift: Annotated[Interval, Drawn(lane=1, low=-1.0, high=1.0)] = (-0.1, 0.1)

    def samples(self, draw: Draw, clip: Clip) -> I64:
        """Rounded to whole samples, halves upwards."""
        return np.floor(draw.value("shift") * float(clip.samples) + 0.5).astype(np.int64)
