"""Who computes on which lane: slabs of samples one after the other, some under way at once.

Where the device has not enough memory, a slab is cut in two and tried again.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from augsvc.errors import DeviceOutOfMemory
from augsvc.executors.slabs import Lane, Slot

_SLABS = 3  # under way: one is prepared and sent, one computed, one comes back

Start = Callable[[Slot, slice], Callable[[], None]]  # begins a slab; the answer waits for its end


@dataclass(frozen=True, slots=True, eq=False)
class Seats:
    """Lanes of one device, each for one thread at a time: as many as threads ever asked at once."""

    open_lane: Callable[[], Lane]
    free: "SimpleQueue[Seat]" = field(default_factory=SimpleQueue)

    @contextmanager
    def one(self) -> Iterator["Seat"]:
        """A lane that nobody else uses, opened."""
        try:
            seat = self.free.get_nowait()
        except Empty:
            seat = Seat.at(self.open_lane())
        try:
            with seat.lane.open():
                yield seat
        finally:
            self.free.put(seat)


@dataclass(frozen=True, slots=True, eq=False)
class Seat:
    """A lane, and memory for the slabs that are under way on it."""

    lane: Lane
    slots: list[Slot]

    @staticmethod
    def at(lane: Lane) -> "Seat":
        """One that has no memory yet."""
        return Seat(lane, [Slot(lane) for _ in range(_SLABS)])

    def run(self, slabs: Sequence[slice], start: Start) -> None:
        """One slab after the other, as many under way as there are slots.

        Raises:
            DeviceOutOfMemory: there is not enough for one sample.
        """
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
