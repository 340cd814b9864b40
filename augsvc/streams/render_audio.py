"""Renders decoded clips through a plan, into the memory of the batch.

clips → centre crop at the stream's rate → draws → executor.run
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
    """Renders the batches of an audio stream, or of pushed clips."""

    plan: SoundPlan
    executor: SoundExecutor

    @property
    def tensors(self) -> dict[str, TensorSpec]:
        """The rendered tensors of one sample."""
        return {"audio": TensorSpec("float32", (self.plan.clip.samples,))}

    def plain(self) -> "SoundRenderer":
        """The same renderer without operations."""
        return SoundRenderer(SoundPlan.of((), self.plan.clip), self.executor)

    def for_display(self) -> "SoundRenderer":
        """The same renderer: audio has one output form."""
        return self

    @property
    def rows(self) -> int:
        """The number of clips to render together, over all threads."""
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
        """Fills `audio`, in parallel chunks on the executor's threads, as ImageRenderer.fill does."""
        chunks = list(ranges(len(samples), -(-len(samples) // self.executor.threads)))
        chunk_stages = stages.among(len(chunks))

        def fill_chunk(rows: slice) -> None:
            clips = arrays["audio"][rows]
            with chunk_stages.of("decode"):
                for clip, sample in zip(clips, samples[rows], strict=True):
                    clip[:] = self._fit(sample)
            with chunk_stages.of("draw"):
                draws = self.plan.draw(seed, address.take(rows))
            with chunk_stages.of("kernels"):
                self.executor.run(self.plan, clips, draws, check)

        list(workers.map(fill_chunk, chunks))

    def _fit(self, sample: Sample) -> np.ndarray:
        clip, audio = self.plan.clip, required(sample.audio)
        if clip.rate is None or not sample.rate:  # pushed by a client: they have the length already
            return audio
        return fit_clip(audio, sample.rate, clip.samples, clip.rate)
