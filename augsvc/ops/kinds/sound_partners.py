"""The kinds of audio that take other clips, and those that convolve.

A partner's position in its dataset is drawn uniformly, never taken from the batch, so a sample is a pure function of its address.
"""

from abc import abstractmethod
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from augsvc.arrays import F32, F64, I64
from augsvc.ops.kinds.audio import Knots
from augsvc.ops.operation import Draw, Drawn, Interval, Kind, Operation

DatasetField = Annotated[str | None, Field(min_length=1, max_length=128)]  # of the server


class SoundReverb(Operation):
    """Convolves a clip with an impulse response that begins with the direct sound; it keeps its level and its length."""

    kind: ClassVar[Kind] = Kind.FILTER
    media: ClassVar[str] = "audio"
    needs_rate: ClassVar[bool] = True
    ns_per_element: ClassVar[float] = 300.0  # of one core; measured: 110 for a second at 16 kHz, 200 for ten


class SoundRoom(SoundReverb):
    """An impulse response that is noise under an envelope."""

    @abstractmethod
    def tail(self, draw: Draw, lengths: I64, rate: int) -> Knots:
        """The envelope (N, 1, P) of the noise."""

    @abstractmethod
    def direct_energy(self, draw: Draw) -> F64:
        """The energy (N,) of the direct sound over that of the noise."""


class SoundPartner(Operation):
    """An operation that takes a clip of the stream, or of a `dataset` of the server."""

    media: ClassVar[str] = "audio"
    partner: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0)] = (0.0, 1.0)  # position in it, as a fraction

    @property
    def takes_partners(self) -> bool:
        """Always."""
        return True

    @property
    def partner_dataset(self) -> str | None:
        """The dataset that it takes clips from; None: the stream's own samples."""
        return None

    @abstractmethod
    def span(self, length: int, samples: int, position: float) -> tuple[int, int]:
        """The first sample, and the number of samples, that it reads of a clip of `length` samples at the stream's rate, for a
        window of `samples`; `position` is drawn on [0, 1). Only these are resampled.
        """

    @abstractmethod
    def track(self, clip: F32, samples: int, position: float) -> F32:
        """What it makes of what it read, in `samples` samples."""


class SoundBackground(SoundPartner):
    """Adds a clip at a level relative to the incoming one; if one of the two is silent, nothing changes."""

    kind: ClassVar[Kind] = Kind.MIX

    @abstractmethod
    def ratio(self, draw: Draw) -> F64:
        """The root mean square of what is added over that of the clip (N,)."""

    def gate(self, draw: Draw, lengths: I64, rate: int) -> Knots | None:
        """Envelopes (N, 1, P) of what is added to clips of `lengths` samples, whose level is then that of what they let through;
        None, by the settings alone: all of it.
        """
        return None

    def span(self, length: int, samples: int, position: float) -> tuple[int, int]:
        """A segment: `position` 0 begins with the noise, 1 ends with it."""
        return int(position * (max(length - samples, 0) + 1)) if length > samples else 0, min(length, samples)

    def track(self, clip: F32, samples: int, position: float) -> F32:
        """The segment, or a shorter noise again and again."""
        return looped(clip, samples, position)


class SoundImpulse(SoundPartner, SoundReverb):
    """Takes a clip as impulse response; a silent one changes nothing."""

    kind: ClassVar[Kind] = Kind.FILTER


class SoundMix(SoundPartner):
    """A weighted sum of two samples of the stream, and of their labels: one in a pipeline."""

    kind: ClassVar[Kind] = Kind.MIX
    partners: ClassVar[int] = 1

    @abstractmethod
    def weight(self, draw: Draw) -> F64:
        """The weight (N,) of the clip and of its label; the rest is the partner's."""


def looped(clip: F32, samples: int, position: float) -> F32:
    """A clip that is shorter than the window repeats, from a drawn sample on."""
    if not len(clip) or len(clip) >= samples:
        return padded(clip, samples)
    first = int(position * len(clip))
    return np.take(clip, np.arange(first, first + samples), mode="wrap")


def padded(clip: F32, samples: int) -> F32:
    """The first samples of a clip, zeros after its end."""
    return np.pad(clip[:samples], (0, max(samples - len(clip), 0)))
