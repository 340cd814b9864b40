"""Repeating a part of a clip."""

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F32, I64
from augsvc.ops.kinds.sound_opaque import SoundOpaque
from augsvc.ops.laws import INTEGERS
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class RepeatPart(SoundOpaque):
    """Plays a part of the clip again, `repeats` times: `insert` makes the clip longer, `replace` overwrites what follows.

    Each repetition fades in over the end of the one before it, linearly over `crossfade` seconds, at most half of the part. A
    part is at most the clip; `lengths` follow, and what no longer fits the window is lost at the end.
    """

    keeps_length: ClassVar[bool] = False
    needs_rate: ClassVar[bool] = True
    examples: ClassVar[tuple[Settings, ...]] = ({}, {"mode": "replace"})
    ns_per_element: ClassVar[float] = 20.0
    bytes_per_element: ClassVar[float] = 24.0
    elsewhere = {"audiomentations": "RepeatPart"}
    op: Literal["repeat_part"] = "repeat_part"
    mode: Literal["insert", "replace"] = "insert"
    repeats: Annotated[Interval, Drawn(lane=1, low=1.0, high=16.0, law=INTEGERS)] = (1.0, 3.0)
    length: Annotated[Interval, Drawn(lane=2, low=0.0, high=60.0, unit="s")] = (0.25, 1.2)
    position: Annotated[Interval, Drawn(lane=3, low=0.0, high=1.0)] = (0.0, 1.0)
    crossfade: Annotated[Interval, Drawn(lane=4, low=0.0, high=10.0, unit="s")] = (0.005, 0.005)

    def lower(self, draw: Draw, lengths: I64, rate: int) -> I64:
        """First sample and length of the part, repeats, samples of a fade; position 0 begins with the clip, 1 ends with it."""
        length, fade = (np.floor(draw.value(name) * rate + 0.5).astype(np.int64) for name in ("length", "crossfade"))
        length = np.minimum(length, lengths)
        spare = lengths - length
        first = np.minimum(np.floor(draw.value("position") * (spare + 1.0)).astype(np.int64), spare)
        return np.stack((first, length, draw.value("repeats").astype(np.int64), np.minimum(fade, length // 2)), axis=-1)

    def lengths(self, lowered: I64, lengths: I64) -> I64:
        """Longer by what each repetition adds, if it is inserted."""
        return lengths if self.mode == "replace" else lengths + lowered[:, 2] * (lowered[:, 1] - lowered[:, 3])

    def change(self, clip: F32, lowered: I64, rate: int, samples: int, check: Callable[[], None]) -> F32:
        """The last repetition goes on in what follows the part, or fades into what it did not overwrite."""
        first, length, repeats, fade = lowered.tolist()
        part, result = clip[first : first + length], clip[: first + length]
        for _ in range(repeats):
            check()
            if len(result) - fade >= samples:  # else its fade is within the window
                break
            result = _join(result, part, fade)
        if self.mode == "insert":
            result = np.concatenate((result, clip[first + length :]))
        elif len(result) < len(clip):
            result = _join(result, clip[len(result) - fade :], fade)
        return result[:samples]


def _join(left: F32, right: F32, fade: int) -> F32:
    """One after the other; the last `fade` samples of the left one become the first of the right one."""
    rise = (np.arange(fade, dtype=np.float32) + np.float32(0.5)) / np.float32(max(fade, 1))
    kept = len(left) - fade
    faded = left[kept:] + rise * (right[:fade] - left[kept:])
    return np.concatenate((left[:kept], faded, right[fade:]))
