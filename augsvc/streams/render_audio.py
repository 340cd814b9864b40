"""Renders decoded clips through a plan, into the memory of the batch.

clips → centre crop or padding at the stream's rate, lengths → draws → executor.run
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor as Workers
from dataclasses import dataclass

import numpy as np

from augsvc.arrays import F32, I64, Arrays, Sample, ranges, required
from augsvc.executors.protocol import SoundExecutor
from augsvc.numerics.rng import Address
from augsvc.ops.kinds.sound_opaque import SoundOpaque
from augsvc.ops.operation import Draw
from augsvc.planning.audio_plan import SoundPlan
from augsvc.streams.mixing import DrawnPartners
from augsvc.streams.partner_clips import describe_partners, draw_partners, label_weights, partner_tracks
from augsvc.timing import Stages
from augsvc_client.decoding.resampling import fit_clip, resampled_length
from augsvc_client.wire import TensorSpec

_TOGETHER = 8  # clips of a thread that have a second track at once


@dataclass(frozen=True, slots=True, eq=False)
class SoundRenderer:
    """Renders the batches of an audio stream, or of pushed clips. `pads`: with `lengths`, as clips may be shorter."""

    plan: SoundPlan
    executor: SoundExecutor
    pads: bool = False

    @property
    def tensors(self) -> dict[str, TensorSpec]:
        """The rendered tensors of one sample."""
        lengths = {"lengths": TensorSpec("int32", ())} if self.pads else {}
        beside = {name: TensorSpec("int32", shape) for name, shape in self.plan.spec_shapes.items()}
        return {"audio": TensorSpec("float32", self._shape), **lengths, **beside}

    @property
    def _shape(self) -> tuple[int, ...]:
        clip = self.plan.clip
        return (clip.samples,) if clip.channels == 1 else (clip.channels, clip.samples)

    def plain(self) -> "SoundRenderer":
        """The same renderer without operations."""
        return SoundRenderer(SoundPlan.of((), self.plan.clip), self.executor, self.pads)

    def for_display(self) -> "SoundRenderer":
        """The same renderer: audio has one output form."""
        return self

    @property
    def most_partners(self) -> int:
        """The partners of a clip, at most."""
        return len(self.plan.partner_operations)

    def draw_partners(self, seed: int, address: Address) -> DrawnPartners:
        """The partners that clips take."""
        return draw_partners(self.plan, seed, address)

    def describe_partners(
        self, draws: Sequence[Draw], _: DrawnPartners, partners: Sequence[Mapping[str, object]]
    ) -> dict[str, object]:
        """What a receipt has of one clip's partners, if it has any."""
        return describe_partners(self.plan, draws, partners)

    @property
    def rows(self) -> int:
        """The number of clips to render together, over all threads."""
        clip = self.plan.clip
        return self.executor.threads * max(1, self.executor.rows(clip.samples) // clip.channels)

    def working_bytes(self, count: int) -> int:
        """Those of partners, of second tracks and one clip's padded samples on every thread, and of opaque operations: clips are
        rendered in the memory of the batch.
        """
        opaque = [op.working_bytes(self.plan.clip) for op in self.plan.operations if isinstance(op, SoundOpaque)]
        partners = count * len(self.plan.partner_operations)
        threads = self.executor.threads
        tracks = min(count, self.rows, _TOGETHER * threads) + min(count, threads) if self.plan.operations else 0
        return 4 * (partners + tracks) * self.plan.elements + threads * int(max(opaque, default=0.0))

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
        """Fills `audio`, `lengths` if clips are padded, and what is done to spectrograms, in parallel chunks on the executor's
        threads, as ImageRenderer.fill does.
        """
        chunks = list(ranges(len(samples), -(-len(samples) // self.executor.threads)))
        chunk_stages = stages.among(len(chunks))

        def fill_chunk(rows: slice) -> None:
            clips = arrays["audio"][rows]
            with chunk_stages.of("draw"):
                draws = self.plan.draw(seed, address.take(rows))
            with chunk_stages.of("decode"):
                whole = np.array([self._samples(sample) for sample in samples[rows]], dtype=np.int64)
                firsts = self.plan.windows(draws, whole)
                for row, sample in enumerate(samples[rows]):
                    clips[row] = self._fit(sample, int(firsts[row]))
                lengths = np.minimum(whole, self.plan.clip.samples)
                tracks = partner_tracks(self.plan, samples[rows], draws)
                results = self.plan.result_lengths(draws, lengths)
                beside = self.plan.spec_numbers(draws, results) | ({"lengths": results} if self.pads else {})
                for name in beside.keys() & arrays.keys():  # a golden value renders the sound alone
                    arrays[name][rows] = beside[name]
                if "mix_weight" in arrays:
                    arrays["mix_weight"][rows] = label_weights(self.plan, draws)
            with chunk_stages.of("kernels"):
                self._run(clips, lengths, draws, tracks, check)

        list(workers.map(fill_chunk, chunks))

    def _run(self, clips: F32, lengths: I64, draws: Sequence[Draw], tracks: F32, check: Callable[[], None]) -> None:
        """In place. Executors take each channel as a clip."""
        n, (samples, channels) = len(clips), (self.plan.clip.samples, self.plan.clip.channels)
        if channels > 1:
            draws, lengths = [draw.in_channels(channels, samples) for draw in draws], np.repeat(lengths, channels)
        rows = clips.view()
        rows.shape = (n * channels, samples)  # refuses to copy
        self.executor.run(
            self.plan, rows, lengths, draws, tracks.reshape(n * channels, tracks.shape[2], samples), check
        )

    def _samples(self, sample: Sample) -> int:
        """The samples of a whole clip at the rate of the stream."""
        wanted = self.plan.clip.rate or 1
        return resampled_length(required(sample.audio).shape[-1], sample.rate or wanted, wanted)

    def _fit(self, sample: Sample, first: int) -> F32:
        """The clip in its window, which begins at its sample `first`."""
        wanted = self.plan.clip.rate or 1
        rate = sample.rate or wanted  # a pushed clip has the rate of its request
        window = self.plan.clip
        return fit_clip(required(sample.audio), rate, window.samples, wanted, first, window.channels)
