"""The fast executor for audio: one call of a compiled kernel for all steps of a clip, the same bits on every CPU."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from augsvc.arrays import F32, I64, ranges
from augsvc.executors.fused.kernels import sound_cpu
from augsvc.executors.fused.kernels.lanes import LANES
from augsvc.executors.fused.lower_audio import lower_sound
from augsvc.executors.opaque_clips import change_clips, cut_at_opaque
from augsvc.executors.protocol import resampling_traits
from augsvc.ops.kinds.sound import SOUND_KINDS
from augsvc.ops.operation import Draw, Operation
from augsvc.planning.audio_plan import SoundPlan, lengths_after

_ROWS, _SAMPLES = 512, 1 << 22  # of one call: 16 MB
_CHUNK = 1 << 20  # samples between two checks, or those of LANES clips: some 10 ms


@dataclass(frozen=True, slots=True, eq=False)
class FusedSound:
    """Runs audio plans on the CPU. Thread-safe."""

    kinds: ClassVar[frozenset[type[Operation]]] = SOUND_KINDS

    threads: int
    quantiles: npt.NDArray[np.int16]

    @property
    def traits(self) -> tuple[str, ...]:
        """The resampler: the kernel itself is IEEE arithmetic, the same on every CPU."""
        return "fused", "cpu", *resampling_traits()

    def rows(self, samples: int) -> int:
        """The recommended number of clips per call, for clips of `samples` samples."""
        return max(1, min(_ROWS, _SAMPLES // samples))

    def run(
        self, plan: SoundPlan, clips: F32, lengths: I64, draws: Sequence[Draw], tracks: F32, check: Callable[[], None]
    ) -> None:
        """As SoundExecutor.run."""
        for segment in cut_at_opaque(plan.lower(draws, lengths), lengths):
            args = lower_sound(plan, segment.steps, segment.lengths, tracks, self.quantiles)
            for rows in ranges(len(clips), plan.clip.channels * max(LANES, _CHUNK // plan.elements)):
                check()
                sound_cpu.render(rows.start, rows.stop, args, clips)
            if segment.opaque:
                change_clips(segment.opaque, clips, lengths_after(segment.steps, segment.lengths), check)
