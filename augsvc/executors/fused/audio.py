"""The fast way of sound: one call of a compiled kernel for all steps, clip by clip, the same bits on every CPU."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from augsvc.arrays import F32, ranges
from augsvc.executors.fused.kernels import sound_cpu
from augsvc.executors.fused.lower_audio import lower_sound
from augsvc.executors.protocol import resampling_traits
from augsvc.ops.kinds.audio import SoundMove, SoundNoise, SoundTone
from augsvc.ops.operation import Draw, Operation
from augsvc.planning.audio_plan import SoundPlan

_ROWS, _SAMPLES = 512, 1 << 22  # that one thread takes at once: 16 MB
_CALL = 1 << 20  # samples between two checks: some 10 ms


@dataclass(frozen=True, slots=True, eq=False)
class FusedSound:
    """Runs plans over clips on the CPU. Several threads may use it at once."""

    kinds: ClassVar[frozenset[type[Operation]]] = frozenset({SoundMove, SoundTone, SoundNoise})

    threads: int
    quantiles: npt.NDArray[np.int16]

    @property
    def traits(self) -> tuple[str, ...]:
        """The resampler: what the kernel does is IEEE arithmetic, the same on every CPU."""
        return "fused", "cpu", *resampling_traits()

    def rows(self, samples: int) -> int:
        """How many clips of so many samples one thread should run at once."""
        return max(1, min(_ROWS, _SAMPLES // samples))

    def run(self, plan: SoundPlan, clips: F32, draws: Sequence[Draw], check: Callable[[], None]) -> None:
        """All passes over clips (N, T), in place. `check` is called now and then, and may raise."""
        sheet = lower_sound(plan, draws, len(clips), self.quantiles)
        for some in ranges(len(clips), max(1, _CALL // plan.clip.samples)):
            check()
            sound_cpu.render(some.start, some.stop, sheet, clips)
