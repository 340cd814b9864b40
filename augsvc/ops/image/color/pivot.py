"""The value that contrast leaves alone."""

from typing import Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics.color import LUMA
from augsvc.ops.kinds.image import WHITE, Statistics
from augsvc.ops.operation import Statistic

Pivot = Literal["middle", "mean", "black"]


def pivot_statistics(pivot: Pivot) -> frozenset[Statistic]:
    """The statistics that `measure_pivot` reads."""
    return frozenset({Statistic.MOMENTS}) if pivot == "mean" else frozenset()


def measure_pivot(pivot: Pivot, matrix: F64, statistics: Statistics) -> F64:
    """The value (N,) of images after colour matrices (N, C, C+1), without clamps: 0.5 (`middle`), 0 (`black`), or the mean of
    their Rec. 601 luma (`mean`), which is linear in the means of the channels.
    """
    if pivot != "mean":
        return np.full(len(matrix), 0.5 if pivot == "middle" else 0.0)
    moments, channels = statistics.require_moments(), matrix.shape[1]
    means = moments.total / (moments.count * WHITE)
    luma = np.zeros(len(matrix))
    for c, weight in enumerate(LUMA if channels == 3 else (1.0,)):
        mean = matrix[:, c, channels]
        for k in range(channels):
            mean = mean + matrix[:, c, k] * means[:, k]
        luma = luma + weight * mean
    return luma
