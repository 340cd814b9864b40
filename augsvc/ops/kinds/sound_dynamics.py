"""The kind of audio that depends on statistics of a clip: its peak, quantiles or loudness."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from augsvc.arrays import F64, I64
from augsvc.ops.kinds.audio import Shape
from augsvc.ops.operation import Draw, Kind, Operation, Statistic


@dataclass(frozen=True, slots=True, eq=False)
class Scaled:
    """v · target / (quantile of |v| + offset); a clip whose quantile is 0 stays as it is."""

    quantile: F64  # N: 0 … 1; 1 is the peak
    target: F64  # N
    offset: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class ToPeak:
    """v · target / peak, the largest |v| of all channels; a silent clip stays as it is."""

    target: F64  # N
    only_above: bool  # whether a peak up to the target changes nothing


@dataclass(frozen=True, slots=True, eq=False)
class Clamped:
    """Clamped to two quantiles of the clip (N,), 0 … 1."""

    low: F64
    high: F64


@dataclass(frozen=True, slots=True, eq=False)
class ToLoudness:
    """Scaled so that the gated mean square of the K-weighted clip, of all channels added, becomes `power` (N,)."""

    power: F64


@dataclass(frozen=True, slots=True, eq=False)
class PeaksLimited:
    """A look-ahead limiter."""

    threshold: F64  # N: an amplitude
    relative: bool  # to the peak
    attack: F64  # N: what remains of a difference of gains after a sample
    release: F64  # N: what remains of the envelope after a sample
    delay: I64  # N: samples that the gain looks ahead


class SoundDynamics(Operation):
    """Changes a clip by what is measured on it; a silent clip stays silent."""

    kind: ClassVar[Kind] = Kind.TONE
    media: ClassVar[str] = "audio"
    statistics: ClassVar[frozenset[Statistic]] = frozenset({Statistic.LEVEL})
    keeps_level: ClassVar[bool] = False  # whether the clip gets its root mean square back

    @abstractmethod
    def changes(self, draw: Draw, rate: int) -> Sequence[Scaled | ToPeak | Clamped | ToLoudness | PeaksLimited | Shape]:
        """One after the other; which there are depends on the settings alone."""
