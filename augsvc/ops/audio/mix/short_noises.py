"""Short noises."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F64, I64
from augsvc.numerics.exact import decibels
from augsvc.ops.kinds.audio import Knots
from augsvc.ops.kinds.sound_partners import DatasetField, SoundBackground
from augsvc.ops.operation import Draw, Drawn, Interval

_MOST = 32


class ShortNoises(SoundBackground):
    """Adds bursts of a clip of another dataset, with pauses between them; without `dataset`, of another clip of the stream.

    The first burst begins somewhere in the first pause; there are at most 32. A burst fades in and out within its length. The
    signal-to-noise ratio compares the clip with the bursts alone: their mean square over that of their envelope.
    """

    needs_rate: ClassVar[bool] = True
    elsewhere = {"audiomentations": "AddShortNoises"}
    op: Literal["short_noises"] = "short_noises"
    snr: Annotated[Interval, Drawn(lane=2, low=-20.0, high=100.0, unit="dB")] = (-6.0, 18.0)
    position: Annotated[Interval, Drawn(lane=3, low=0.0, high=1.0)] = (0.0, 1.0)
    start: Annotated[Interval, Drawn(lane=4, low=0.0, high=1.0, unit="of a pause")] = (0.0, 1.0)
    fade_in: Annotated[Interval, Drawn(lane=5, low=0.0, high=10.0, unit="s")] = (0.005, 0.08)
    fade_out: Annotated[Interval, Drawn(lane=6, low=0.0, high=10.0, unit="s")] = (0.01, 0.1)
    length: Annotated[Interval, Drawn(lane=8, low=0.0, high=60.0, count=_MOST, unit="s")] = (0.1, 0.5)
    pause: Annotated[Interval, Drawn(lane=16, low=0.0, high=600.0, count=_MOST, unit="s")] = (0.1, 1.0)
    dataset: DatasetField = None

    @property
    def partner_dataset(self) -> str | None:
        """The dataset of noises."""
        return self.dataset

    def ratio(self, draw: Draw) -> F64:
        """SNR = 20 · log10(rms of the clip / rms of the bursts)."""
        return decibels(-draw.value("snr"))

    def gate(self, draw: Draw, lengths: I64, rate: int) -> Knots:
        """Four knots a burst: fades that are longer than the burst share it."""
        length, pause = draw.columns("length"), draw.columns("pause").copy()
        pause[:, 0] *= draw.value("start")
        last = np.cumsum(pause + length, axis=1)
        fade_in, fade_out = draw.value("fade_in")[:, None], draw.value("fade_out")[:, None]
        part = np.minimum(length / np.maximum(fade_in + fade_out, 1e-9), 1.0)
        seconds = np.stack((last - length, last - length + part * fade_in, last - part * fade_out, last), axis=-1)
        positions = np.maximum.accumulate(np.floor(seconds.reshape(len(seconds), -1) * rate + 0.5), axis=1)
        gains = np.tile([0.0, 1.0, 1.0, 0.0], (len(seconds), 1, _MOST))
        return Knots(positions.astype(np.int64)[:, None], gains)
