"""Means with 95 % confidence intervals (Student's t)."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import stdtrit


@dataclass(frozen=True, slots=True)
class MeanInterval:
    """A mean and the half width of its 95 % interval; None for a single value."""

    mean: float
    half_width: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "MeanInterval":
        """From independent values, Student's t with n − 1 degrees of freedom."""
        mean = statistics.mean(values)
        if len(values) < 2:
            return cls(mean, None)
        standard_error = statistics.stdev(values) / math.sqrt(len(values))
        return cls(mean, float(stdtrit(len(values) - 1, 0.975)) * standard_error)

    def __str__(self) -> str:
        if self.half_width is None:
            return f"{self.mean:+.1f}"
        return f"{self.mean:+.1f} ({self.mean - self.half_width:+.1f} … {self.mean + self.half_width:+.1f})"
