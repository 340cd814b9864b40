"""Time shift."""

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from augsvc.arrays import I64
from augsvc.ops.kinds.audio import Knots, SoundMove
from augsvc.ops.operation import AddedLater, Draw, Drawn, Interval, Settings


class TimeShift(SoundMove):
    """Shifts the clip in time by a fraction of its length, zero-padded.

    With border `wrap` what leaves the clip at one end comes in at the other. `fade` silences the seam: the moved clip fades in
    from its first sample, and out to its last one, over that many seconds.
    """

    examples: ClassVar[tuple[Settings, ...]] = ({}, {"border": "wrap"})
    identity: ClassVar[Settings] = {"shift": 0}
    elsewhere = {"audiomentations": "Shift", "torch-audiomentations": "Shift"}
    op: Literal["time_shift"] = "time_shift"
    shift: Annotated[Interval, Drawn(lane=1, low=-1.0, high=1.0, unit="of the clip")] = (-0.1, 0.1)
    border: Annotated[Literal["zeros", "wrap"], AddedLater()] = "zeros"
    fade: Annotated[float, Field(ge=0.0, le=10.0), AddedLater()] = 0.0  # seconds

    @property
    def wraps(self) -> bool:
        """As SoundMove.wraps."""
        return self.border == "wrap"

    @property
    def shifts(self) -> bool:
        """As SoundMove.shifts."""
        return super().shifts and self.fade == 0.0

    @property
    def needs_rate(self) -> bool:
        """The fade is in seconds."""
        return self.fade > 0.0

    def samples(self, draw: Draw, lengths: I64, rate: int | None) -> I64:
        """Rounded to whole samples, halves upwards; positive shifts delay the sound."""
        return np.floor(draw.value("shift") * lengths.astype(np.float64) + 0.5).astype(np.int64)

    def fades(self, draw: Draw, lengths: I64, rate: int) -> Knots | None:
        """1 → 0 → 1 around the clip's first sample, or the end of its last one; nothing where it is not moved."""
        if self.fade == 0.0:
            return None
        shift, fade = self.samples(draw, lengths, rate), max(1, round(self.fade * rate))
        seam = np.where(shift < 0, lengths + shift, shift)
        positions = seam[:, None] + np.array([-fade, 0, fade])
        gains = np.where((shift == 0)[:, None], 1.0, np.array([1.0, 0.0, 1.0]))
        return Knots(positions[:, None], gains[:, None])
