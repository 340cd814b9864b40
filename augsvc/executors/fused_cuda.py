"""The fast executor on a GPU: one to three launches for all stages of a pass, the bits of the CPU.

A batch goes in slabs of samples. While one is computed, the next is prepared and sent, and the last one comes back. Where
the device has not enough memory, a slab is cut in two and tried again.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue

import numpy as np
import numpy.typing as npt
import torch

from augsvc.batch import U8
from augsvc.errors import DeviceOutOfMemory
from augsvc.executors.base import float_traits, use_one_torch_thread
from augsvc.executors.cuda_slab import Slab
from augsvc.executors.fused import flat
from augsvc.executors.slabs import Lane, Slot
from augsvc.geometry import Camera
from augsvc.ops.base import Draw
from augsvc.plan import Plan
from augsvc.rng import quantile_table

_ROWS, _ELEMENTS = 512, 1 << 24  # of a slab: some 100 pictures of 224 × 224
_SOURCE_BYTES = 64 << 20
_SLABS = 3  # under way: one is prepared and sent, one computed, one comes back
_READ = 4  # slabs' worth of samples that are asked for at once

Start = Callable[[Slot, slice], Callable[[], None]]


@dataclass(frozen=True, slots=True, eq=False)
class FusedCudaExecutor:
    """Runs plans on one GPU. Several threads may use it at once, each on a lane of its own."""

    device: torch.device
    open_lane: Callable[[], Lane]
    quantiles: npt.NDArray[np.int16]
    free: "SimpleQueue[_Seat]" = field(default_factory=SimpleQueue)
    threads: int = 1
    name: str = "fused"

    @staticmethod
    def on(device: torch.device, open_lane: Callable[[], Lane]) -> "FusedCudaExecutor":
        """An executor that opens a lane when a thread finds none free."""
        use_one_torch_thread()
        return FusedCudaExecutor(device, open_lane, quantile_table().astype(np.int16))

    @property
    def traits(self) -> tuple[str, ...]:
        """Those of the CPU: integers are the same everywhere."""
        return (self.name,)

    @property
    def opaque_traits(self) -> tuple[str, ...]:
        """What opaque operations, which are float, depend on besides the code."""
        return float_traits(self.device)

    def rows(self, elements: int) -> int:
        """How many samples of so many canvas elements one thread should run at once."""
        return _READ * _rows(elements)

    def render(
        self,
        plan: Plan,
        images: Sequence[U8],
        cameras: Sequence[Camera | None],
        draws: Sequence[Draw],
        out: U8,
        check: Callable[[], None],
    ) -> None:
        """All passes over sources uint8 (H, W, C) of any sizes, into `out` (N, C, H, W), which may be a view of N,H,W,C.

        `cameras` has one entry a pass, as plan.cameras gives them. `check` is called now and then, and may raise.

        Raises:
            DeviceOutOfMemory: there is not enough for one sample.
        """

        def start(slot: Slot, rows: slice) -> Callable[[], None]:
            pixels, target, interleaved = flat(out[rows])
            some = [camera and camera.part(rows) for camera in cameras]
            drawn = [_draw_of(draw, rows) for draw in draws]
            slab = Slab(plan, images[rows], some, drawn, slot, self.quantiles, interleaved)
            found = slab.start(check)

            def finish() -> None:
                pixels[...] = found()
                if target is not None:
                    out[rows] = target

            return finish

        elements = plan.canvas.channels * plan.canvas.height * plan.canvas.width
        with self._seat() as seat:
            seat.run(cut([image.size for image in images], _rows(elements), _SOURCE_BYTES), start)

    @contextmanager
    def _seat(self) -> Iterator["_Seat"]:
        """A lane that nobody else uses, opened."""
        try:
            seat = self.free.get_nowait()
        except Empty:
            seat = _Seat.at(self.open_lane())
        try:
            with seat.lane.open():
                yield seat
        finally:
            self.free.put(seat)


@dataclass(frozen=True, slots=True, eq=False)
class _Seat:
    """A lane, and memory for the slabs that are under way on it."""

    lane: Lane
    slots: list[Slot]

    @staticmethod
    def at(lane: Lane) -> "_Seat":
        """One that has no memory yet."""
        return _Seat(lane, [Slot(lane) for _ in range(_SLABS)])

    def run(self, slabs: Sequence[slice], start: Start) -> None:
        """One slab after the other, as many under way as there are slots."""
        todo, under_way = deque(slabs), deque[Callable[[], None]]()
        started = 0
        while todo or under_way:
            if not todo or len(under_way) == len(self.slots):
                under_way.popleft()()
                continue
            rows = todo.popleft()
            try:
                under_way.append(start(self.slots[started % len(self.slots)], rows))
                started += 1
                continue
            except Exception as err:
                if not self.lane.ran_out_of_memory(err):
                    raise
            while under_way:
                under_way.popleft()()
            todo.extendleft(reversed(self._halves(rows)))

    def _halves(self, rows: slice) -> list[slice]:
        """A slab that there was not enough memory for, as two; the memory of all is given back."""
        for slot in self.slots:
            slot.clear()
        self.lane.release()
        if rows.stop - rows.start == 1:
            raise DeviceOutOfMemory("the device has not enough memory left for one sample of this stream")
        middle = (rows.start + rows.stop) // 2
        return [slice(rows.start, middle), slice(middle, rows.stop)]


def cut(sizes: Sequence[int], rows: int, most: int) -> list[slice]:
    """Samples of such sizes into slabs of at most so many rows, and so many bytes if it is more than one sample."""
    slabs, begin, room = [], 0, most
    for at, size in enumerate(sizes):
        if at > begin and (at - begin == rows or size > room):
            slabs.append(slice(begin, at))
            begin, room = at, most
        room -= size
    return [*slabs, slice(begin, len(sizes))] if sizes else []


def _rows(elements: int) -> int:
    return max(1, min(_ROWS, _ELEMENTS // elements))


def _draw_of(draw: Draw, rows: slice) -> Draw:
    words = {name: found[rows] for name, found in draw.words.items()}
    return replace(draw, selected=draw.selected[rows], words=words, address=draw.address.part(rows))
