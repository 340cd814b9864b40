"""The fused executor for audio on a GPU: one launch for consecutive shifts and tones, two for a white noise, one for each other
step; in chunks, as images.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from augsvc.arrays import F32, I64
from augsvc.executors.cuda.lane_pool import LanePool, cut
from augsvc.executors.cuda.staging import StagingBuffer
from augsvc.executors.fused.kernels import sound_cuda as grids
from augsvc.executors.fused.kernels.philox import ELEMENTS_PER_BLOCK
from augsvc.executors.fused.kernels.sound import NOISE, SHAPE, SHIFT, SoundArgs
from augsvc.executors.fused.kernels.sound_cuda import Levels, Tape, Transform
from augsvc.executors.fused.lower_audio import lower_sound
from augsvc.executors.opaque_clips import change_clips, cut_at_opaque
from augsvc.executors.protocol import resampling_traits
from augsvc.ops.kinds.sound import SOUND_KINDS
from augsvc.ops.operation import Draw, Operation
from augsvc.planning.audio_plan import SoundPlan, lengths_after

_ROWS, _SAMPLES = 512, 1 << 22  # of a chunk: 262 clips of a second at 16 kHz
_CHUNKS_PER_CALL = 4
_MAX_LEVEL_BLOCKS = 64  # that measure the level of one clip


@dataclass(frozen=True, slots=True, eq=False)
class FusedCudaSound:
    """Runs plans over clips on one GPU. Thread-safe: each thread leases a lane."""

    kinds: ClassVar[frozenset[type[Operation]]] = SOUND_KINDS

    lanes: LanePool
    quantiles: npt.NDArray[np.int16]
    threads: int = 1

    @property
    def traits(self) -> tuple[str, ...]:
        """Not those of the CPU: by IEEE 754 a GPU rounds alike, but that is not verified on one."""
        return "fused", "cuda", *resampling_traits()

    def rows(self, samples: int) -> int:
        """The recommended number of clips per call, for clips of `samples` samples."""
        return _CHUNKS_PER_CALL * _chunk_rows(samples)

    def run(
        self, plan: SoundPlan, clips: F32, lengths: I64, draws: Sequence[Draw], tracks: F32, check: Callable[[], None]
    ) -> None:
        """As SoundExecutor.run.

        Raises:
            DeviceOutOfMemory: there is not enough memory for one clip.
        """

        channels = plan.clip.channels  # of a sample, which come into one chunk

        def start(staging: StagingBuffer, samples: slice) -> Callable[[], None]:
            check()
            rows = slice(samples.start * channels, samples.stop * channels)
            drawn, chunk = [draw.take(rows) for draw in draws], clips[rows]
            for segment in cut_at_opaque(plan.lower(drawn, lengths[rows]), lengths[rows]):
                args = lower_sound(plan, segment.steps, segment.lengths, tracks[rows], self.quantiles)
                result = AudioChunk(staging, chunk, args).start()
                if segment.opaque:
                    chunk[...] = result()
                    change_clips(segment.opaque, chunk, lengths_after(segment.steps, segment.lengths), check)

            def finish() -> None:
                clips[rows] = result()

            return finish

        with self.lanes.lease() as lane:
            sizes = [plan.elements] * (len(clips) // channels)
            lane.run(cut(sizes, _chunk_rows(plan.elements), _SAMPLES), plan.elements, start)


@dataclass(slots=True, eq=False)
class AudioChunk:
    """Some clips of a batch. They are in the buffer `first` or `second`: a shift needs another one to write to."""

    staging: StagingBuffer
    clips: F32  # N,T
    args: SoundArgs
    tape: str = "first"

    def start(self) -> Callable[[], F32]:
        """Starts all steps. The result waits for the clips (N, T), valid until the staging buffer's next use."""
        n, noises = self.args.ratios.shape
        buffer = self.staging.reserve("first", self.clips.nbytes, copied=True)
        buffer.bytes[: self.clips.nbytes].view(np.float32).reshape(self.clips.shape)[...] = self.clips
        self.staging.device.upload(buffer, self.clips.nbytes)
        levels = Levels(np.zeros((n, noises), np.uint32), np.zeros((n, noises), np.int64))
        table = self.args.quantiles if noises else self.args.quantiles[:1]
        on_cpu = self.args.first_stairs[:, :0]
        sent = self.args._replace(quantiles=table[:0], first_stairs=on_cpu)
        args, levels = self.staging.send("sound", (sent, levels))
        args = args._replace(quantiles=self.staging.send_constant(f"quantiles {len(table)}", table))
        begin = 0
        for step, (kind, column) in enumerate(self.args.steps.tolist()):
            if kind == NOISE and self.args.ratios[:, column].any():
                self._shape(begin, step, column, args, levels)
                self._add_noise(step, column, args, levels)
                begin = step + 1
            elif kind == SHIFT and step > begin:
                self._shape(begin, step, -1, args, levels)
                begin = step
            elif kind not in (NOISE, SHIFT, SHAPE):
                if begin < step:
                    self._shape(begin, step, -1, args, levels)
                self._run_serial(step, args)
                begin = step + 1
        if begin < len(self.args.steps):
            self._shape(begin, len(self.args.steps), -1, args, levels)
        return self._download()

    def _download(self) -> Callable[[], F32]:
        buffer = self.staging.reserve(self.tape, self.clips.nbytes, copied=True)
        wait = self.staging.device.download(buffer, self.clips.nbytes)

        def clips() -> F32:
            wait()
            values: F32 = buffer.bytes[: self.clips.nbytes].view(np.float32).reshape(self.clips.shape)
            return values

        return clips

    def _shape(self, first: int, last: int, noise: int, args: SoundArgs, levels: Levels) -> None:
        """Steps first … last − 1, and the largest values for the noise in column `noise`; −1: no noise follows."""
        before = self._clips()
        if first < last and self.args.steps[first, 0] == SHIFT:
            self.tape = "second" if self.tape == "first" else "first"
        self._launch(grids.shape_clips, self._blocks(1), first, last, noise, args, Tape(before, self._clips()), levels)

    def _run_serial(self, step: int, args: SoundArgs) -> None:
        """A step whose samples depend on one another: a thread per clip."""
        n, device = len(self.clips), self.staging.device
        side = self.staging.array("side", (n, self.args.side_samples), np.float32)
        work = self.staging.array("work", (n, 2 * len(self.args.twiddles), 2), np.float64)
        tape = Tape(self._clips(), side)
        device.launch(grids.run_serial, (-(-n // device.threads), 1), step, args, tape, Transform(work))

    def _add_noise(self, step: int, column: int, args: SoundArgs, levels: Levels) -> None:
        tape = Tape(self._clips(), self._clips())
        self._launch(grids.measure_levels, min(_MAX_LEVEL_BLOCKS, self._blocks(8)), column, tape, levels)
        self._launch(grids.add_noise, self._blocks(ELEMENTS_PER_BLOCK), step, args, tape, levels)

    def _clips(self) -> Any:
        return self.staging.array(self.tape, self.clips.shape, np.float32, copied=True)

    def _blocks(self, samples_per_thread: int) -> int:
        samples: int = self.clips.shape[1]
        return -(-samples // (samples_per_thread * self.staging.device.threads))

    def _launch(self, kernel: Any, blocks: int, *arguments: Any) -> None:
        self.staging.device.launch(kernel, (blocks, len(self.clips)), *arguments)


def _chunk_rows(samples: int) -> int:
    return max(1, min(_ROWS, _SAMPLES // samples))
