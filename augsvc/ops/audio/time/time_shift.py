"""Time shift."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import I64
from augsvc.ops.kinds.audio import SoundMove
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class TimeShift(SoundMove):
    """Shifts the clip in time by a fraction of its length, zero-padded."""

    identity: ClassVar[Settings] = {"shift": 0}
    elsewhere = {"audiomentations": "Shift", "torch-audiomentations": "Shift"}
    op: Literal["time_shift"] = "time_shift"
    shift: Annotated[Interval, Drawn(lane=1, low=-1.0, high=1.0, unit="of the clip")] = (-0.1, 0.1)

    def samples(self, draw: Draw, lengths: I64, rate: int | None) -> I64:
        """Rounded to whole samples, halves upwards; positive shifts delay the sound."""
        return np.floor(draw.value("shift") * lengths.astype(np.float64) + 0.5).astype(np.int64)
