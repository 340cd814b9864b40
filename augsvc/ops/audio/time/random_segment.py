"""Windows of longer clips."""

from typing import Annotated, Literal

import numpy as np

from augsvc.arrays import I64
from augsvc.ops.kinds.audio import SoundFrame
from augsvc.ops.operation import Draw, Drawn, Interval


class RandomSegment(SoundFrame):
    """Takes the stream's window from anywhere in a longer clip, where it is the middle otherwise.

    For evaluation leave it out, or fix `position`: 0 is the beginning, 0.5 the middle, 1 the end. Shorter clips stay whole.
    """

    elsewhere = {
        "audiomentations": "AdjustDuration",
        "torch-audiomentations": "RandomCrop",
        "NeMo": "random_segment",
    }
    op: Literal["random_segment"] = "random_segment"
    position: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0)] = (0.0, 1.0)

    def first(self, draw: Draw, spare: I64) -> I64:
        """Every window with the same probability; at a fixed position, rounded downwards."""
        drawn = "position" in draw.words
        first = np.floor(draw.value("position") * (spare + float(drawn)))
        return np.minimum(first.astype(np.int64), spare)
