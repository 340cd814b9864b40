"""The reference executor for audio, part of the `kornia` executor: float32 in torch, on CPU or CUDA.

Every step is elementwise IEEE arithmetic, a look-up, a sum of integers or runs one clip at a time, so that no clip depends on
the rest of its batch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import ClassVar

import numpy as np
import scipy
import torch
from scipy.signal import sosfilt

from augsvc.arrays import F32, I64, ranges
from augsvc.cpus import cores
from augsvc.executors.device_errors import ChunkRunner, is_lost, report_loss
from augsvc.executors.opaque_clips import change_clips
from augsvc.executors.protocol import resampling_traits
from augsvc.executors.reference.clip_levels import measure_level, mix_scale, noise_scale
from augsvc.executors.reference.philox import sixteen_bits
from augsvc.executors.reference.sound_changes import LOUDEST, TINY, Clips, run_change
from augsvc.numerics.fir import SINC_PHASES, SINC_ZEROS, sinc_table
from augsvc.numerics.rng import QUANTILE_BITS, quantile_table
from augsvc.ops.kinds.audio import CURVE_ENTRIES, SOUND_BITS
from augsvc.ops.kinds.sound import SOUND_KINDS
from augsvc.ops.operation import Draw, Operation
from augsvc.planning.audio_plan import SoundPlan
from augsvc.planning.audio_steps import (
    RATE_BITS,
    SECTION_BITS,
    ClipChange,
    ClipStep,
    FixedEnvelope,
    FixedShape,
    OpaqueChange,
    Resampling,
    SectionPair,
    SideMix,
    SideNoise,
    Turn,
    Window,
)

_UNIT = float(1 << SOUND_BITS)
_SECTION_UNIT = 2.0**SECTION_BITS
_DEVIATE_UNIT = np.float32(2.0 ** -(SOUND_BITS + QUANTILE_BITS))
FLUSH = 2048  # samples, after which a filter's states below TINY become 0
_CHUNK = {"cpu": 1 << 18, "cuda": 1 << 24}  # values of a temporary: on a CPU it should stay in the cache
_MAX_ROWS = 512


@dataclass(frozen=True, slots=True, eq=False)
class TorchSound:
    """Runs audio plans on one device. Thread-safe."""

    kinds: ClassVar[frozenset[type[Operation]]] = SOUND_KINDS

    device: torch.device
    quantiles: torch.Tensor
    chunk: int
    threads: int
    chunks: ChunkRunner

    @staticmethod
    def on(device: torch.device, chunks: ChunkRunner) -> "TorchSound":
        """An executor with its table on the device. `chunks` handles a shortage of the device's memory."""
        threads = cores() if device.type == "cpu" else 1
        table = torch.from_numpy(quantile_table()).to(device)
        return TorchSound(device, table, _CHUNK[device.type], threads, chunks)

    def rows(self, samples: int) -> int:
        """The recommended number of clips per call, for clips of `samples` samples."""
        return max(1, min(_MAX_ROWS, 8 * self.chunk // samples))

    @property
    def traits(self) -> tuple[str, ...]:
        """Everything besides the code that the float arithmetic depends on; part of the arithmetic id."""
        cuda = self.device.type == "cuda"
        hardware = torch.cuda.get_device_name(self.device) if cuda else torch.backends.cpu.get_cpu_capability()
        return "kornia", torch.__version__, scipy.__version__, self.device.type, hardware, *resampling_traits()

    def run(
        self, plan: SoundPlan, clips: F32, lengths: I64, draws: Sequence[Draw], tracks: F32, check: Callable[[], None]
    ) -> None:
        """As SoundExecutor.run.

        Raises:
            DeviceOutOfMemory: there is not enough memory for one clip.
            EngineLost: the device is lost.
        """

        channels = plan.clip.channels  # of a sample, which stay together

        def work(samples: slice) -> None:
            rows = slice(samples.start * channels, samples.stop * channels)
            values = clips[rows]
            chunk = Clips(values, np.zeros_like(values), lengths[rows], tracks[rows], plan.transform, channels)
            self._run_chunk(plan, chunk, [draw.take(rows) for draw in draws], check)

        with report_loss(lambda: is_lost(self.device)):
            self.chunks.run_each(len(clips) // channels, plan.elements, work)

    def _run_chunk(self, plan: SoundPlan, chunk: Clips, draws: Sequence[Draw], check: Callable[[], None]) -> None:
        clips, lengths = chunk.values, chunk.lengths
        values, side = torch.from_numpy(clips).to(self.device), torch.from_numpy(chunk.side).to(self.device)
        padding = self._padding(lengths, plan.clip.samples)
        for step in plan.lower(draws, lengths):
            check()
            if isinstance(step, Resampling | OpaqueChange):
                values = _change_length(values, step, lengths, check)
                lengths = step.lengths
                padding = self._padding(lengths, plan.clip.samples)
            elif isinstance(step, ClipChange):
                beside = chunk._replace(values=values.cpu().numpy(), side=side.cpu().numpy(), lengths=lengths)
                run_change(step, beside, check)
                values, side = (torch.from_numpy(part).to(self.device) for part in beside[:2])
            elif isinstance(step, SideNoise):
                side = self._add_noise(torch.zeros_like(values), step.draw, _one_of(step.rows, len(clips)), check)
                side = _silence(side, padding)
            elif isinstance(step, SectionPair) and step.side:
                side = self._filter(side, step, lengths, check)
            elif isinstance(step, FixedEnvelope) and step.side:
                side = self._apply_envelope(side, step)
            else:
                values = _silence(self._run_step(values, side, step, lengths, check), padding)
        torch.from_numpy(clips).copy_(values)

    def _run_step(
        self, values: torch.Tensor, side: torch.Tensor, step: ClipStep, lengths: I64, check: Callable[[], None]
    ) -> torch.Tensor:
        if isinstance(step, Window):
            return _shift(values, step.bounds)
        if isinstance(step, Turn):
            return _turn(values, step.turns, lengths)
        if isinstance(step, FixedShape):
            return self._apply_shape(values, step)
        if isinstance(step, SectionPair):
            return self._filter(values, step, lengths, check)
        if isinstance(step, FixedEnvelope):
            return self._apply_envelope(values, step)
        if isinstance(step, SideMix):
            mixes = mix_scale(step.ratio, measure_level(values), measure_level(side))
            factors = torch.from_numpy(mixes).to(self.device)[:, None]
            mixed = (values + side * factors).clamp_(-LOUDEST, LOUDEST)
            return torch.where(factors != 0, mixed, values)  # also the sign of zeros stays
        exponents, squares = measure_level(values)
        if step.scale is None:
            scale = noise_scale(step.ratio, exponents, squares, lengths)
        else:
            sounding = (values != 0).any(dim=1).cpu().numpy()
            scale = np.where(sounding, step.scale.astype(np.float32) * _DEVIATE_UNIT, np.float32(0.0))
        return self._add_noise(values, step.draw, scale, check)

    def _filter(self, values: torch.Tensor, pair: SectionPair, lengths: I64, check: Callable[[], None]) -> torch.Tensor:
        """One clip at a time, in float64, with SciPy on the CPU; states that are almost 0 become it, as in the kernel."""
        filtered = values.cpu().numpy().copy()
        sections = np.insert(pair.coefficients / _SECTION_UNIT, 3, 1.0, axis=-1)
        for row, section in zip(pair.rows.tolist(), sections, strict=True):
            check()
            state = np.zeros((2, 2))
            for span in ranges(int(lengths[row]), FLUSH):
                chunk, state = sosfilt(section, filtered[row, span].astype(np.float64), zi=state)
                filtered[row, span] = np.clip(chunk, -LOUDEST, LOUDEST)
                state[np.abs(state) < TINY] = 0.0
        return torch.from_numpy(filtered).to(self.device)

    def _apply_envelope(self, values: torch.Tensor, envelope: FixedEnvelope) -> torch.Tensor:
        values = values.clone()
        gains = envelope.gains.astype(np.float32) / np.float32(_UNIT)
        factors = (
            np.stack(
                [expand_knots(at, gain, values.shape[1]) for at, gain in zip(envelope.positions, gains, strict=True)]
            )
            if len(gains)
            else np.zeros((0, values.shape[1]), np.float32)
        )
        scaled = values[envelope.rows] * torch.from_numpy(factors).to(self.device)
        values[envelope.rows] = scaled.clamp_(-LOUDEST, LOUDEST)
        return values

    def _apply_shape(self, values: torch.Tensor, shape: FixedShape) -> torch.Tensor:
        chosen = values[shape.rows]
        if shape.gain is not None:
            chosen = (chosen * self._column(shape.gain)).clamp(-LOUDEST, LOUDEST)
        if shape.limit is not None:
            limit = self._column(shape.limit)
            chosen = torch.minimum(torch.maximum(chosen, -limit), limit)
        if shape.curve is not None:
            chosen = _apply_curve(chosen, torch.from_numpy(np.array(shape.curve)).to(self.device).float() / _UNIT)
        if shape.step is not None:
            step = self._column(shape.step)
            chosen = torch.where(step > 0, torch.round(chosen / step) * step, chosen)
        if shape.stairs is not None:
            thresholds, levels = torch.from_numpy(shape.stairs).to(self.device).float() / _UNIT
            stairs = levels[torch.bucketize(chosen, thresholds[:-1], right=True)]
            chosen = torch.where(chosen == 0, torch.zeros_like(chosen), stairs)
        values = values.clone()
        values[shape.rows] = chosen
        return values

    def _add_noise(self, values: torch.Tensor, draw: Draw, scale: F32, check: Callable[[], None]) -> torch.Tensor:
        values = values.clone()
        samples = values.shape[1]
        rows = np.flatnonzero(scale)
        for chunk in ranges(len(rows), max(1, self.chunk // samples)):
            noisy = rows[chunk]
            for span in ranges(samples, self.chunk):
                check()
                normal = self.quantiles[sixteen_bits(draw, noisy, span, self.device)].float()
                noise = normal * torch.from_numpy(scale[noisy]).to(self.device)[:, None]
                values[noisy, span] = (values[noisy, span] + noise).clamp_(-LOUDEST, LOUDEST)
        return values

    def _padding(self, lengths: I64, samples: int) -> torch.Tensor | None:
        """Where clips of these lengths (N,) have no samples of their own: bool (N, samples); None if they all fill it."""
        if (lengths == samples).all():
            return None
        ends = torch.from_numpy(np.ascontiguousarray(lengths)).to(self.device)
        return torch.arange(samples, device=self.device)[None, :] >= ends[:, None]

    def _column(self, fixed: I64) -> torch.Tensor:
        return torch.from_numpy(fixed).to(self.device).float()[:, None] / _UNIT


def _shift(values: torch.Tensor, windows: I64) -> torch.Tensor:
    shifted = torch.zeros_like(values)
    for row, (shift, first, last) in enumerate(windows.tolist()):
        shifted[row, first:last] = values[row, first - shift : last - shift]
    return shifted


def _turn(values: torch.Tensor, turns: I64, lengths: I64) -> torch.Tensor:
    turned = values.clone()
    for row, ((delay, backwards), length) in enumerate(zip(turns.tolist(), lengths.tolist(), strict=True)):
        clip = values[row, :length].flip(0) if backwards else values[row, :length]
        turned[row, :length] = clip.roll(delay)
    return turned


def _change_length(
    values: torch.Tensor, step: Resampling | OpaqueChange, lengths: I64, check: Callable[[], None]
) -> torch.Tensor:
    clips = values.cpu().numpy().copy()
    if isinstance(step, OpaqueChange):
        change_clips(step, clips, lengths, check)
        return torch.from_numpy(clips).to(values.device)
    for row in np.flatnonzero(step.rates != 1 << RATE_BITS).tolist():
        resample = interpolate_clip if step.linear else resample_clip
        result = resample(clips[row, : lengths[row]], int(step.rates[row]), int(step.lengths[row]))
        clips[row] = 0.0
        clips[row, : len(result)] = result
    return torch.from_numpy(clips).to(values.device)


def resample_clip(clip: F32, rate: int, samples: int) -> F32:
    """A clip at another speed, to `samples` samples: the sum over a windowed sinc, tap by tap, in float64."""
    cutoff = min(1.0, 1.0 / (rate * 2.0**-RATE_BITS))
    radius, table, last = ceil(SINC_ZEROS / cutoff), sinc_table(), SINC_ZEROS * SINC_PHASES
    position = np.arange(samples, dtype=np.int64) * rate
    left, fraction = position >> RATE_BITS, (position & ((1 << RATE_BITS) - 1)) * 2.0**-RATE_BITS
    total, padded = np.zeros(samples), np.append(clip.astype(np.float64), 0.0)
    for offset in range(-radius + 1, radius + 1):
        distance = np.abs(offset - fraction) * (cutoff * SINC_PHASES)
        k = np.minimum(distance.astype(np.int64), last)
        weight = table[k] + (table[k + 1] - table[k]) * (distance - k)
        inside = (left + offset >= 0) & (left + offset < len(clip)) & (k < last)
        total += np.where(inside, weight * padded[np.where(inside, left + offset, len(clip))], 0.0)
    resampled: F32 = np.clip(total * cutoff, -LOUDEST, LOUDEST).astype(np.float32)
    return resampled


def interpolate_clip(clip: F32, rate: int, samples: int) -> F32:
    """The same, linear between two samples."""
    position = np.arange(samples, dtype=np.int64) * rate
    left = np.minimum(position >> RATE_BITS, len(clip) - 1)
    fraction = ((position & ((1 << RATE_BITS) - 1)) * 2.0**-RATE_BITS).astype(np.float32)
    low, high = clip[left], clip[np.minimum(left + 1, len(clip) - 1)]
    interpolated: F32 = low + (high - low) * fraction
    return interpolated


def expand_knots(positions: I64, gains: F32, samples: int) -> F32:
    """The gain of every sample (T,): linear between knots, constant before the first and after the last one."""
    expanded, time = np.full(samples, gains[-1]), np.arange(samples)
    expanded[time < positions[0]] = gains[0]
    for knot in range(len(positions) - 1):
        first, last = positions[knot], positions[knot + 1]
        if first < last:
            slope = (gains[knot + 1] - gains[knot]) / np.float32(last - first)
            span = (time >= first) & (time < last)
            expanded[span] = gains[knot] + slope * (time[span] - first).astype(np.float32)
    return expanded


def _one_of(rows: I64, n: int) -> F32:
    """1 in the rows, elsewhere 0: (n,)."""
    ones = np.zeros(n, np.float32)
    ones[rows] = 1.0
    return ones


def _silence(values: torch.Tensor, padding: torch.Tensor | None) -> torch.Tensor:
    return values if padding is None else values.masked_fill_(padding, 0.0)


def _apply_curve(values: torch.Tensor, curves: torch.Tensor) -> torch.Tensor:
    """Values through odd curves (n, CURVE_ENTRIES) over [0, 1], interpolated, constant beyond 1."""
    x = values.abs().nan_to_num(nan=1.0).clamp_(max=1.0) * float(CURVE_ENTRIES - 1)
    left = x.floor().clamp(max=float(CURVE_ENTRIES - 2))
    low, high = curves.gather(1, left.long()), curves.gather(1, left.long() + 1)
    return torch.copysign(low + (high - low) * (x - left), values)
