"""SpliceOut."""

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F32, I64
from augsvc.numerics import exact
from augsvc.ops.kinds.sound_opaque import SoundOpaque
from augsvc.ops.laws import INTEGERS
from augsvc.ops.operation import Draw, Drawn, Interval

_MOST = 16


class SpliceOut(SoundOpaque):
    """Cuts intervals out of the clip: the first half of each one fades into its second half (Jain et al. 2021).

    A clip gets shorter by half of every interval, and `lengths` follow. The fades are the halves of a Hann window, as in
    torch-audiomentations. Widths are uniform up to `width` seconds, an even number of samples, and at most the clip.
    """

    keeps_length: ClassVar[bool] = False
    needs_rate: ClassVar[bool] = True
    ns_per_element: ClassVar[float] = 30.0
    bytes_per_element: ClassVar[float] = 48.0  # measured: 44, of an interval as long as the clip
    elsewhere = {"torch-audiomentations": "SpliceOut"}
    op: Literal["splice_out"] = "splice_out"
    count: Annotated[Interval, Drawn(lane=1, low=1.0, high=_MOST, law=INTEGERS)] = (8.0, 8.0)
    width: Annotated[Interval, Drawn(lane=2, low=0.0, high=10.0, count=_MOST, unit="s")] = (0.0, 0.1)
    position: Annotated[Interval, Drawn(lane=6, low=0.0, high=1.0, count=_MOST)] = (0.0, 1.0)

    def lower(self, draw: Draw, lengths: I64, rate: int) -> I64:
        """The first sample of each interval, and half its width, in what the intervals before it leave; position 0 begins with
        the clip, 1 ends with it.
        """
        most = int(self.count[1])
        rest, intervals = lengths, []
        for k in range(most):
            wanted = np.floor(draw.columns("width")[:, k] * rate / 2.0 + 0.5).astype(np.int64)
            half = np.where(k < draw.value("count"), np.minimum(wanted, rest // 2), 0)
            spare = rest - 2 * half
            first = np.minimum(np.floor(draw.columns("position")[:, k] * (spare + 1)).astype(np.int64), spare)
            intervals += [first, half]
            rest = rest - half
        return np.stack(intervals, axis=-1)

    def lengths(self, lowered: I64, lengths: I64) -> I64:
        """Less half of every interval."""
        shorter: I64 = lengths - lowered[:, 1::2].sum(axis=1)
        return shorter

    def change(self, clip: F32, lowered: I64, rate: int, samples: int, check: Callable[[], None]) -> F32:
        """One interval after the other."""
        for first, half in lowered.reshape(-1, 2).tolist():
            middle, last = first + half, first + 2 * half
            _, cos = exact.sincos(np.arange(half, dtype=np.float64) * (180.0 / max(half, 1)))
            fade = (0.5 - 0.5 * cos).astype(np.float32)
            joined = (np.float32(1.0) - fade) * clip[first:middle] + fade * clip[middle:last]
            clip = np.concatenate((clip[:first], joined, clip[last:]))
        return clip
