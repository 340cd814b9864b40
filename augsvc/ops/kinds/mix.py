"""The kind `mix`: a finished sample blended with another of the stream.

The partner's position is drawn uniformly, never taken from the batch, and its image goes through the same pipeline with other
draws, keyed by the host's address. So a mixed sample is a pure function of its address too.
"""

from abc import abstractmethod
from typing import Annotated, ClassVar, NamedTuple

import numpy as np

from augsvc.arrays import F32, I64, Pixels, ranges
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import UNIT_BITS
from augsvc.ops.operation import Draw, Drawn, Interval, Kind, Operation

_ONE = 1 << UNIT_BITS
_BAND_ROWS = 64  # whose 32-bit sums stay small: those of a whole canvas of 4096 × 4096 took 400 MB


class Blend(NamedTuple):
    """What a mix lowers to: inside its rectangle weight · host + (1 − weight) · partner; outside the host."""

    weight: I64  # N: of the host, UNIT_BITS fraction bits
    boxes: I64  # N,4: x1 y1 x2 y2 in whole pixels of the canvas, exclusive ends

    def label_weight(self, canvas: Canvas) -> F32:
        """The weight (N,) of the host's label: one minus the partner's weight times its part of the area."""
        area = (self.boxes[:, 2:] - self.boxes[:, :2]).prod(axis=1)
        whole = canvas.width * canvas.height * _ONE
        weights: F32 = ((whole - area * (_ONE - self.weight)) / whole).astype(np.float32)
        return weights

    @property
    def covered(self) -> I64:
        """Rectangles (N, 4) in which nothing of the host shows."""
        return np.where(self.weight[:, None] == 0, self.boxes, 0)

    @property
    def shown(self) -> I64:
        """Rectangles (N, 4) in which the partner shows."""
        return np.where(self.weight[:, None] < _ONE, self.boxes, 0)

    def take(self, rows: slice) -> "Blend":
        """That of a slice of the samples."""
        return Blend(self.weight[rows], self.boxes[rows])


class Mix(Operation):
    """Blends a sample with a partner. A pipeline ends with its mixes, and a sample gets at most one."""

    kind: ClassVar[Kind] = Kind.MIX
    partners: ClassVar[int] = 1
    carries_masks: ClassVar[bool] = False  # whether a mask has a class at every pixel afterwards
    partner: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0)] = (0.0, 1.0)  # position in the stream, as a fraction

    @abstractmethod
    def blend(self, draw: Draw, canvas: Canvas) -> Blend:
        """The weights and rectangles of N samples."""


def blend_values(host: Pixels, partner: Pixels, weight: int, box: I64) -> None:
    """Blends a partner into the host, both (…, H, W) of one integer type, rounded to the nearest, halves upwards."""
    x1, y1, x2, y2 = box.tolist()
    if weight == 0:
        host[..., y1:y2, x1:x2] = partner[..., y1:y2, x1:x2]
        return
    for rows in ranges(y2 - y1, _BAND_ROWS):
        band = slice(y1 + rows.start, y1 + rows.stop)
        ours, theirs = host[..., band, x1:x2], partner[..., band, x1:x2]
        # 65280 · 2^16 + 2^15 fits 32 bits
        mixed = ours.astype(np.uint32) * np.uint32(weight) + theirs.astype(np.uint32) * np.uint32(_ONE - weight)
        ours[...] = (mixed + np.uint32(_ONE // 2)) >> np.uint32(UNIT_BITS)
