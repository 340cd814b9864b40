"""The fast way of sound on a GPU: a launch for all moves and tones in a row, two for a noise; in slabs, as pictures go."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from augsvc.arrays import F32
from augsvc.executors.cuda.scheduler import Seats, cut
from augsvc.executors.cuda.staging import Slot
from augsvc.executors.fused.kernels import sound_cuda as grids
from augsvc.executors.fused.kernels.philox import ELEMENTS_PER_BLOCK
from augsvc.executors.fused.kernels.sound import NOISE, SHIFT, SoundArgs
from augsvc.executors.fused.kernels.sound_cuda import Levels, Tape
from augsvc.executors.fused.lower_audio import lower_sound
from augsvc.executors.protocol import resampling_traits
from augsvc.ops.kinds.audio import SoundMove, SoundNoise, SoundTone
from augsvc.ops.operation import Draw, Operation
from augsvc.planning.audio_plan import SoundPlan

_ROWS, _SAMPLES = 512, 1 << 22  # of a slab: 262 clips of a second at 16 kHz
_READ = 4  # slabs' worth of clips that are asked for at once
_MEASURED = 64  # blocks that a clip is measured by, at most


@dataclass(frozen=True, slots=True, eq=False)
class FusedCudaSound:
    """Runs plans over clips on one GPU. Several threads may use it at once, each on a lane of its own."""

    kinds: ClassVar[frozenset[type[Operation]]] = frozenset({SoundMove, SoundTone, SoundNoise})

    seats: Seats
    quantiles: npt.NDArray[np.int16]
    threads: int = 1

    @property
    def traits(self) -> tuple[str, ...]:
        """Not those of the CPU: that a GPU rounds alike follows from IEEE 754, but has not been seen."""
        return "fused", "cuda", *resampling_traits()

    def rows(self, samples: int) -> int:
        """How many clips of so many samples one thread should run at once."""
        return _READ * _rows(samples)

    def run(self, plan: SoundPlan, clips: F32, draws: Sequence[Draw], check: Callable[[], None]) -> None:
        """All passes over clips (N, T), in place. `check` is called now and then, and may raise.

        Raises:
            DeviceOutOfMemory: there is not enough for one clip.
        """

        def start(slot: Slot, rows: slice) -> Callable[[], None]:
            check()
            drawn = [draw.part(rows) for draw in draws]
            found = SoundSlab(slot, clips[rows], lower_sound(plan, drawn, len(clips[rows]), self.quantiles)).start()

            def finish() -> None:
                clips[rows] = found()

            return finish

        with self.seats.one() as seat:
            samples = plan.clip.samples
            seat.run(cut([clip.size for clip in clips], _rows(samples), _SAMPLES), samples, start)


@dataclass(slots=True, eq=False)
class SoundSlab:
    """Some clips of a batch. They lie in `first` or `second`: a shift needs another one to write to."""

    slot: Slot
    clips: F32  # N,T
    sheet: SoundArgs
    tape: str = "first"

    def start(self) -> Callable[[], F32]:
        """Sends and launches everything. The answer waits for the clips, the slot's until its next use."""
        n, noises = self.sheet.ratios.shape
        room = self.slot.room("first", self.clips.nbytes, copied=True)
        room.bytes[: self.clips.nbytes].view(np.float32).reshape(self.clips.shape)[...] = self.clips
        self.slot.lane.upload(room, self.clips.nbytes)
        levels = Levels(np.zeros((n, noises), np.uint32), np.zeros((n, noises), np.int64))
        table = self.sheet.quantiles if noises else self.sheet.quantiles[:1]
        sheet, levels = self.slot.send("sound", (self.sheet._replace(quantiles=table[:0]), levels))
        sheet = sheet._replace(quantiles=self.slot.keep(f"quantiles {len(table)}", table))
        begin = 0
        for step, (kind, place) in enumerate(self.sheet.steps.tolist()):
            if kind == NOISE and self.sheet.ratios[:, place].any():
                self._bend(begin, step, place, sheet, levels)
                self._noise(place, sheet, levels)
                begin = step + 1
            elif kind == SHIFT and step > begin:
                self._bend(begin, step, -1, sheet, levels)
                begin = step
        if begin < len(self.sheet.steps):
            self._bend(begin, len(self.sheet.steps), -1, sheet, levels)
        return self._found()

    def _found(self) -> Callable[[], F32]:
        room = self.slot.room(self.tape, self.clips.nbytes, copied=True)
        arrived = self.slot.lane.download(room, self.clips.nbytes)

        def found() -> F32:
            arrived()
            values: F32 = room.bytes[: self.clips.nbytes].view(np.float32).reshape(self.clips.shape)
            return values

        return found

    def _bend(self, first: int, last: int, place: int, sheet: SoundArgs, levels: Levels) -> None:
        """The steps first … last − 1, and the largest values for the noise at `place`."""
        before = self._clips()
        if first < last and self.sheet.steps[first, 0] == SHIFT:
            self.tape = "second" if self.tape == "first" else "first"
        self._launch(grids.shape_clips, self._blocks(1), first, last, place, sheet, Tape(before, self._clips()), levels)

    def _noise(self, place: int, sheet: SoundArgs, levels: Levels) -> None:
        tape = Tape(self._clips(), self._clips())
        self._launch(grids.measure_levels, min(_MEASURED, self._blocks(8)), place, tape, levels)
        self._launch(grids.add_noise, self._blocks(ELEMENTS_PER_BLOCK), place, sheet, tape, levels)

    def _clips(self) -> Any:
        return self.slot.array(self.tape, self.clips.shape, np.float32, copied=True)

    def _blocks(self, each: int) -> int:
        """Of threads that do so many samples each."""
        samples: int = self.clips.shape[1]
        return -(-samples // (each * self.slot.lane.threads))

    def _launch(self, kernel: Any, blocks: int, *arguments: Any) -> None:
        self.slot.lane.launch(kernel, (blocks, len(self.clips)), *arguments)


def _rows(samples: int) -> int:
    return max(1, min(_ROWS, _SAMPLES // samples))
