"""Decoded clips through a plan, into a batch's own memory.

clips → middle, at the stream's rate → draws → executor.run
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor as Workers
from dataclasses import dataclass

import numpy as np

from augsvc.arrays import Arrays, Sample, ranges, required
from augsvc.executors.protocol import SoundExecutor
from augsvc.numerics.rng import Address
from augsvc.planning.audio_plan import SoundPlan
from augsvc.timing import Stages
from augsvc_client.decoding.resampling import fit_clip
from augsvc_client.wire import TensorSpec


@dataclass(frozen=True, slots=True, eq=False)
class SoundRenderer:
    """What a stream of sound, or a push of it, computes its batches with."""

    plan: SoundPlan
    executor: SoundExecutor

    @property
    def tensors(self) -> dict[str, TensorSpec]:
        """What it makes of a sample."""
        return {"audio": TensorSpec("float32", (self.plan.clip.samples,))}

    def plain(self) -> "SoundRenderer":
        """The same without operations."""
        return SoundRenderer(SoundPlan.of((), self.plan.clip), self.executor)

    def for_display(self) -> "SoundRenderer":
        """The same: sound has one form."""
        return self

    @property
    def rows(self) -> int:
        """How many samples should be run at once, on all threads together."""
        return self.executor.threads * self.executor.rows(self.plan.clip.samples)

    def fill(
        self,
        samples: Sequence[Sample],
        address: Address,
        seed: int,
        arrays: Arrays,
        workers: Workers,
        check: Callable[[], None],
        stages: Stages,
    ) -> None:
        """Fills the rows of `audio`, in ranges side by side on the executor's threads, as ImageRenderer.fill does."""

        parts = list(ranges(len(samples), -(-len(samples) // self.executor.threads)))
        share = stages.among(len(parts))

        def some(part: slice) -> None:
            clips = arrays["audio"][part]
            with share.of("decode"):
                for clip, sample in zip(clips, samples[part], strict=True):
                    clip[:] = self._fitted(sample)
            with share.of("draw"):
                draws = self.plan.draw(seed, address.part(part))
            with share.of("kernels"):
                self.executor.run(self.plan, clips, draws, check)

        list(workers.map(some, parts))

    def _fitted(self, sample: Sample) -> np.ndarray:
        clip, audio = self.plan.clip, required(sample.audio)
        if clip.rate is None or not sample.rate:  # a client's own: they have the length already
            return audio
        return fit_clip(audio, sample.rate, clip.samples, clip.rate)
