"""SpecAugment's time warp."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import I64
from augsvc.ops.kinds.audio import SpecChange
from augsvc.ops.operation import Draw, Drawn, Interval


class TimeWarp(SpecChange):
    """Draws SpecAugment's warp of time; `augsvc_client.apply_time_warps` applies it to features.

    The sound stays as it is. A batch gets `time_warps` (N, 3), in samples: what is at the first one moves to the second one, in
    a clip of as many as the third says, whose beginning and end stay; between them time runs evenly. The moved point is uniform
    where it is farther than the largest `shift` from both ends; a clip without such a point stays as it is.
    """

    needs_rate: ClassVar[bool] = True
    elsewhere = {"SpeechBrain": "Warping", "ESPnet": "TimeWarp"}
    op: Literal["time_warp"] = "time_warp"
    shift: Annotated[Interval, Drawn(lane=1, low=-60.0, high=60.0, unit="s")] = (-0.05, 0.05)
    position: Annotated[Interval, Drawn(lane=2, low=0.0, high=1.0)] = (0.0, 1.0)

    @property
    def tensors(self) -> dict[str, tuple[int, ...]]:
        """From, to, and the length of the clip."""
        return {"time_warps": (3,)}

    def numbers(self, draw: Draw, lengths: I64, rate: int) -> dict[str, I64]:
        """Position 0 is the first point that can be moved, 1 the last one."""
        margin = int(np.floor(max(map(abs, self.shift)) * rate + 0.5)) + 1
        spare = lengths - 2 * margin
        origin = margin + np.minimum(np.floor(draw.value("position") * (spare + 1.0)).astype(np.int64), spare)
        target = origin + np.floor(draw.value("shift") * rate + 0.5).astype(np.int64)
        warps = np.stack((origin, target, lengths), axis=-1)
        return {"time_warps": np.where(spare[:, None] >= 0, warps, 0)}
