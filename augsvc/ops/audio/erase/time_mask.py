"""Time masks."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from augsvc.arrays import I64
from augsvc.ops.kinds.audio import Knots, SoundErase
from augsvc.ops.laws import INTEGERS
from augsvc.ops.operation import Draw, Drawn, Interval

_MOST = 16


class TimeMask(SoundErase):
    """Silences intervals of the clip, each of a fraction of its length and wholly within it.

    Beside an interval the clip fades out and in, over `fade` seconds.
    """

    elsewhere = {"audiomentations": "TimeMask", "SpeechBrain": "DropChunk", "wav2aug": "time_dropout"}
    op: Literal["time_mask"] = "time_mask"
    count: Annotated[Interval, Drawn(lane=1, low=1.0, high=_MOST, law=INTEGERS)] = (1.0, 5.0)
    length: Annotated[Interval, Drawn(lane=2, low=0.0, high=1.0, count=_MOST, unit="of the clip")] = (0.01, 0.2)
    position: Annotated[Interval, Drawn(lane=6, low=0.0, high=1.0, count=_MOST)] = (0.0, 1.0)
    fade: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0  # seconds

    @property
    def needs_rate(self) -> bool:
        """The fade is in seconds."""
        return self.fade > 0.0

    def knots(self, draw: Draw, lengths: I64, rate: int) -> Knots:
        """An envelope an interval, in whole samples: `position` 0 begins with the clip, 1 ends with it."""
        most, fade = int(self.count[1]), round(self.fade * rate)
        length, position = draw.columns("length")[:, :most], draw.columns("position")[:, :most]
        samples = np.floor(length * lengths[:, None] + 0.5).astype(np.int64)
        first = np.floor(position * (lengths[:, None] - samples) + 0.5).astype(np.int64)
        last = first + samples
        empty = (np.arange(most) >= draw.value("count")[:, None]) | (samples == 0)
        positions = np.stack((first - fade, first, last, last + fade), axis=-1)
        return Knots(positions, np.where(empty[:, :, None], 1.0, np.array([1.0, 0.0, 0.0, 1.0])))
