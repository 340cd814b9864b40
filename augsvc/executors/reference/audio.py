"""The reference for sound, part of the `kornia` executor: float32 in torch, on CPU or CUDA.

Every step is elementwise IEEE arithmetic, a look-up or a sum of integers, so that no clip depends on its company.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from augsvc.arrays import F32, I64, ranges
from augsvc.cpus import cores
from augsvc.executors.device_errors import in_halves, is_lost, watched
from augsvc.executors.protocol import resampling_traits
from augsvc.executors.reference.philox import sixteen_bits
from augsvc.numerics.rng import QUANTILE_BITS, quantile_table
from augsvc.ops.kinds.audio import CURVE_ENTRIES, SOUND_BITS, SoundMove, SoundNoise, SoundTone
from augsvc.ops.operation import Draw, Operation
from augsvc.planning.audio_plan import NOISE_BITS, FixedShape, SoundPlan

_UNIT = float(1 << SOUND_BITS)
_CHUNK = {"cpu": 1 << 18, "cuda": 1 << 24}  # values at once: on a CPU they should stay in the cache
_MOST_ROWS = 512
LOUDEST = 2.0**60  # full scales: what gains in a row are held within, so that numbers stay finite
LEVEL_BITS = 18  # of a clip's largest value where its level is measured, so that 2^24 squares stay below 2^62
_EXPONENTS = (-100, 127)  # of the power of 2 above that value: what is softer counts as if it were not


@dataclass(frozen=True, slots=True, eq=False)
class TorchSound:
    """Runs plans over clips on one device. Several threads may use it at once."""

    kinds: ClassVar[frozenset[type[Operation]]] = frozenset({SoundMove, SoundTone, SoundNoise})

    device: torch.device
    quantiles: torch.Tensor
    chunk: int
    threads: int

    @staticmethod
    def on(device: torch.device) -> "TorchSound":
        """With its table on the device."""
        threads = cores() if device.type == "cpu" else 1
        table = torch.from_numpy(quantile_table()).to(device)
        return TorchSound(device, table, _CHUNK[device.type], threads)

    def rows(self, samples: int) -> int:
        """How many clips of so many samples one thread should run at once."""
        return max(1, min(_MOST_ROWS, 8 * self.chunk // samples))

    @property
    def traits(self) -> tuple[str, ...]:
        """What its float arithmetic depends on besides the code: parts of the arithmetic id."""
        cuda = self.device.type == "cuda"
        unit = torch.cuda.get_device_name(self.device) if cuda else torch.backends.cpu.get_cpu_capability()
        return "kornia", torch.__version__, self.device.type, unit, *resampling_traits()

    def run(self, plan: SoundPlan, clips: F32, draws: Sequence[Draw], check: Callable[[], None]) -> None:
        """All passes over clips (N, T), in place. `check` is called now and then, and may raise.

        Raises:
            DeviceOutOfMemory: there is not enough for one clip.
            EngineLost: the device is lost.
        """

        def some(rows: slice) -> None:
            self._run(plan, clips[rows], [draw.part(rows) for draw in draws], check)

        with watched(lambda: is_lost(self.device)):
            in_halves(len(clips), some)

    def _run(self, plan: SoundPlan, clips: F32, draws: Sequence[Draw], check: Callable[[], None]) -> None:
        values = torch.from_numpy(clips).to(self.device)
        for part in plan.passes:
            check()
            if (windows := plan.windows(part, draws)) is not None:
                values = _shifted(values, windows)
            for shape in plan.shapes(part, draws):
                values = self._shaped(values, shape)
            for draw, ratio in plan.noises(part, draws):
                scale = noise_scale(ratio, *measured(values), plan.clip.samples)
                values = self._noisy(values, draw, scale, check)
        torch.from_numpy(clips).copy_(values)

    def _shaped(self, values: torch.Tensor, shape: FixedShape) -> torch.Tensor:
        chosen = values[shape.rows]
        if shape.gain is not None:
            chosen = (chosen * self._column(shape.gain)).clamp(-LOUDEST, LOUDEST)
        if shape.limit is not None:
            limit = self._column(shape.limit)
            chosen = torch.minimum(torch.maximum(chosen, -limit), limit)
        if shape.curve is not None:
            chosen = _bent(chosen, torch.from_numpy(shape.curve).to(self.device).float() / _UNIT)
        if shape.step is not None:
            step = self._column(shape.step)
            chosen = torch.where(step > 0, torch.round(chosen / step) * step, chosen)
        values = values.clone()
        values[shape.rows] = chosen
        return values

    def _noisy(self, values: torch.Tensor, draw: Draw, scale: F32, check: Callable[[], None]) -> torch.Tensor:
        values = values.clone()
        samples = values.shape[1]
        rows = np.flatnonzero(scale)
        for some in ranges(len(rows), max(1, self.chunk // samples)):
            for span in ranges(samples, self.chunk):
                check()
                normal = self.quantiles[sixteen_bits(draw, rows[some], span, self.device)].float()
                values[rows[some], span] += normal * torch.from_numpy(scale[rows[some]]).to(self.device)[:, None]
        return values

    def _column(self, fixed: I64) -> torch.Tensor:
        return torch.from_numpy(fixed).to(self.device).float()[:, None] / _UNIT


def _shifted(values: torch.Tensor, windows: I64) -> torch.Tensor:
    moved = torch.zeros_like(values)
    for row, (shift, first, last) in enumerate(windows.tolist()):
        moved[row, first:last] = values[row, first - shift : last - shift]
    return moved


def _bent(values: torch.Tensor, curves: torch.Tensor) -> torch.Tensor:
    """Through odd curves (n, CURVE_ENTRIES) over [0, 1], interpolated, constant beyond."""
    x = values.abs().clamp(max=1.0) * float(CURVE_ENTRIES - 1)
    left = x.floor().clamp(max=float(CURVE_ENTRIES - 2))
    low, high = curves.gather(1, left.long()), curves.gather(1, left.long() + 1)
    return torch.copysign(low + (high - low) * (x - left), values)


def measured(values: torch.Tensor) -> tuple[I64, I64]:
    """How loud clips (N, T) are: the exponent e (N,) of the power of 2 above each one's largest value, and the sum (N,) of
    round(v · 2^(LEVEL_BITS − e))²: integers, in any order the same.
    """
    largest: F32 = values.abs().amax(dim=1).cpu().numpy()
    exponents = np.clip(np.frexp(largest)[1].astype(np.int64), *_EXPONENTS)
    scale = np.ldexp(1.0, LEVEL_BITS - exponents)
    fixed = torch.round(values.double() * torch.from_numpy(scale).to(values.device)[:, None]).long()
    squares: I64 = (fixed * fixed).sum(dim=1).cpu().numpy()
    return exponents, squares


def noise_scale(ratio: I64, exponents: I64, squares: I64, samples: int) -> F32:
    """What a deviate of the quantile table is multiplied by: (N,), rounded once, then only scaled."""
    rms = np.sqrt(squares / float(samples))
    relative = np.ldexp(rms * ratio.astype(np.float64), -(LEVEL_BITS + NOISE_BITS + QUANTILE_BITS)).astype(np.float32)
    scale: F32 = np.ldexp(relative, exponents)
    return scale
