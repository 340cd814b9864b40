"""Flanger, chorus and phaser."""

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F32, F64, I64
from augsvc.numerics import exact
from augsvc.ops.kinds.sound_opaque import SoundOpaque
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

_BITS, _CYCLE_BITS = 32, 48  # fraction bits of delays in samples and of the mix; of cycles
_CHECKED = 1 << 16  # samples between two checks
_VOICES = {"flanger": 1, "chorus": 3, "phaser": 1}


class Modulation(SoundOpaque):
    """Adds copies of the clip whose delay goes up and down: a `flanger` has one, a `chorus` three, a `phaser` feeds it back.

    A delay is `delay` + `depth` · (1 + sin(2π · (speed · t + phase))) / 2 seconds, read linearly between samples; the voices of
    a chorus are a third of a cycle apart and share `mix`. A phaser delays its result instead, by whole samples, at least one.
    The sum is divided by 1 + mix.
    """

    needs_rate: ClassVar[bool] = True
    identity: ClassVar[Settings] = {"mix": 0}
    examples: ClassVar[tuple[Settings, ...]] = ({}, {"mode": "chorus", "delay": [0.02, 0.03]}, {"mode": "phaser"})
    ns_per_element: ClassVar[float] = 400.0
    fixed_bytes: ClassVar[float] = 200.0 * _CHECKED
    bytes_per_element: ClassVar[float] = 60.0
    elsewhere = {"torchaudio": "functional.flanger, functional.phaser"}
    op: Literal["modulation"] = "modulation"
    mode: Literal["flanger", "chorus", "phaser"] = "flanger"
    delay: Annotated[Interval, Drawn(lane=1, low=0.0, high=0.1, unit="s")] = (0.0, 0.002)
    depth: Annotated[Interval, Drawn(lane=2, low=0.0, high=0.05, unit="s")] = (0.001, 0.003)
    speed: Annotated[Interval, Drawn(lane=3, low=0.0, high=20.0, unit="Hz")] = (0.1, 2.0)
    phase: Annotated[Interval, Drawn(lane=4, low=0.0, high=1.0, unit="of a cycle")] = (0.0, 1.0)
    mix: Annotated[Interval, Drawn(lane=5, low=0.0, high=0.95)] = (0.3, 0.7)

    def lower(self, draw: Draw, lengths: I64, rate: int) -> I64:
        """Delay and depth in samples, cycles a sample, the first phase, and the mix."""
        samples = [exact.to_fixed(draw.value(name) * rate, _BITS) for name in ("delay", "depth")]
        cycles = [exact.to_fixed(value, _CYCLE_BITS) for value in (draw.value("speed") / rate, draw.value("phase"))]
        return np.stack([*samples, *cycles, exact.to_fixed(draw.value("mix"), _BITS)], axis=-1)

    def change(self, clip: F32, lowered: I64, rate: int, samples: int, check: Callable[[], None]) -> F32:
        """In blocks."""
        mix, voices = float(exact.from_fixed(lowered[4:], _BITS)[0]), _VOICES[self.mode]
        result, whole = np.empty(len(clip)), clip.astype(np.float64)
        fed_back: list[float] = []
        for begin in range(0, len(clip), _CHECKED):
            check()
            rows = np.arange(begin, min(begin + _CHECKED, len(clip)))
            if self.mode == "phaser":
                delays = np.maximum(np.floor(_delays(rows, lowered, 0.0) + 0.5).astype(np.int64), 1)
                for value, source in zip(whole[rows].tolist(), (rows - delays).tolist(), strict=True):
                    fed_back.append(value + mix * fed_back[source] if source >= 0 else value)
                result[rows] = np.array(fed_back[begin:]) / (1.0 + mix)
            else:
                copies = [_read(whole, rows - _delays(rows, lowered, voice / voices)) for voice in range(voices)]
                result[rows] = (whole[rows] + mix / voices * np.sum(copies, axis=0)) / (1.0 + mix)
        return result.astype(np.float32)


def _delays(rows: I64, lowered: I64, offset: float) -> F64:
    """In samples, at the samples `rows`; `offset` in cycles."""
    delay, depth = exact.from_fixed(lowered[:2], _BITS).tolist()
    step, phase = lowered[2:4].tolist()
    cycles = (rows * step + phase + int(offset * (1 << _CYCLE_BITS))) & ((1 << _CYCLE_BITS) - 1)
    sin, _ = exact.sincos(360.0 * exact.from_fixed(cycles, _CYCLE_BITS))
    delays: F64 = delay + depth * 0.5 * (1.0 + sin)
    return delays


def _read(clip: F64, positions: F64) -> F64:
    """Linear between samples; zeros before the clip."""
    left = np.floor(positions)
    fraction, index = positions - left, left.astype(np.int64)
    before = np.where(index >= 0, clip[np.maximum(index, 0)], 0.0)
    after = np.where(index >= -1, clip[np.clip(index + 1, 0, len(clip) - 1)], 0.0)
    values: F64 = before + fraction * (after - before)
    return values
