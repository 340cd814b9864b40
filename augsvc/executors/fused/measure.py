"""Statistics of images that the tones of a pass request, on the CPU."""

from dataclasses import dataclass

import numpy as np

from augsvc.arrays import I64
from augsvc.executors.fused.kernels import statistics
from augsvc.executors.fused.kernels.args import U16, MoveArgs
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import Moments, Statistics
from augsvc.ops.operation import Statistic

KERNELS = (
    statistics.sum_values,
    statistics.sum_source_levels,
    statistics.count_levels,
    statistics.count_source_levels,
)


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Statistics of N samples, to be filled by ranges; those of other samples are zeros. None is what is not requested."""

    canvas: Canvas
    sums: I64 | None  # N,C,2
    counts: I64 | None  # N,C,256

    @staticmethod
    def empty(requested: frozenset[Statistic], n: int, canvas: Canvas) -> "Measured":
        """Zeros for what is requested."""
        sums = np.zeros((n, canvas.channels, 2), np.int64) if Statistic.MOMENTS in requested else None
        counts = np.zeros((n, canvas.channels, 256), np.int64) if Statistic.HISTOGRAM in requested else None
        return Measured(canvas, sums, counts)

    def fill(self, rows: I64, incoming: U16 | MoveArgs) -> None:
        """Measures the samples `rows` of values (N, C, H, W), or of sources that the canvas shows unchanged, by their move."""
        pixels = self.canvas.height * self.canvas.width
        if isinstance(incoming, MoveArgs):
            if self.sums is not None:
                statistics.sum_source_levels(rows, incoming.addresses, pixels, self.sums)
            if self.counts is not None:
                statistics.count_source_levels(rows, incoming.addresses, pixels, self.counts)
            return
        planes = incoming.reshape(*incoming.shape[:2], pixels)
        if self.sums is not None:
            statistics.sum_values(rows, planes, self.sums)
        if self.counts is not None:
            statistics.count_levels(rows, planes, self.counts)

    @property
    def statistics(self) -> Statistics:
        """What was measured."""
        moments = None
        if self.sums is not None:
            moments = Moments(self.canvas.height * self.canvas.width, self.sums[..., 0], self.sums[..., 1])
        return Statistics(moments, self.counts)
