"""Statistics of images that the tones of a pass request, on the CPU."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from augsvc.arrays import I64, required
from augsvc.executors.fused.kernels import statistics
from augsvc.executors.fused.kernels.args import FROM_CANVAS, FROM_DEEP_SOURCES, U16, MoveArgs, PassArgs
from augsvc.executors.fused.kernels.camera import IDENTICAL
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import Moments, Statistics
from augsvc.ops.operation import Draw, Statistic
from augsvc.planning.image_plan import Plan
from augsvc.planning.passes import Pass

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
    def empty(requested: Collection[Statistic], n: int, canvas: Canvas) -> "Measured":
        """Zeros for what is requested."""
        sums = np.zeros((n, canvas.channels, 2), np.int64) if Statistic.MOMENTS in requested else None
        counts = np.zeros((n, canvas.channels, 256), np.int64) if Statistic.HISTOGRAM in requested else None
        return Measured(canvas, sums, counts)

    def fill(self, statistic: Statistic, rows: I64, incoming: U16 | MoveArgs) -> None:
        """Measures the samples `rows` of values (N, C, H, W), or of sources that the canvas shows unchanged, by their move."""
        pixels = self.canvas.height * self.canvas.width
        if isinstance(incoming, MoveArgs):
            if statistic is Statistic.MOMENTS:
                statistics.sum_source_levels(rows, incoming.addresses, pixels, required(self.sums))
            else:
                statistics.count_source_levels(rows, incoming.addresses, pixels, required(self.counts))
            return
        planes = incoming.reshape(*incoming.shape[:2], pixels)
        if statistic is Statistic.MOMENTS:
            statistics.sum_values(rows, planes, required(self.sums))
        else:
            statistics.count_levels(rows, planes, required(self.counts))

    @property
    def statistics(self) -> Statistics:
        """What was measured."""
        moments = None
        if self.sums is not None:
            moments = Moments(self.canvas.height * self.canvas.width, self.sums[..., 0], self.sums[..., 1])
        return Statistics(moments, self.counts)


def measured_rows(plan: Plan, pass_: Pass, draws: Sequence[Draw]) -> dict[Statistic, I64]:
    """The samples of which a pass reads statistics."""
    return {statistic: plan.measured_rows(pass_, draws, statistic) for statistic in sorted(plan.statistics(pass_))}


def moving_rows(measured: Mapping[Statistic, I64], args: PassArgs) -> I64:
    """Those of them that are not shown as they are where they come from: they have to move first."""
    if not measured or args.move.origin == FROM_CANVAS:
        return np.empty(0, np.int64)
    rows = np.unique(np.concatenate([*measured.values()]))
    is_shown = (args.move.cameras[rows, IDENTICAL] != 0) & (args.warp.displaced[rows, 0] == 0)
    return rows[~is_shown] if args.move.origin != FROM_DEEP_SOURCES else rows
