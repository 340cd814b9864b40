"""Who computes on which lane: slabs of samples one after the other, some under way at once.

Where the device has not enough memory, a slab is cut in two and tried again.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, repeat
from queue import Empty, SimpleQueue

from augsvc.executors.device import halves, watched
from augsvc.executors.resident import Resident
from augsvc.executors.slabs import Lane, Slot

_SLABS = 3  # under way: one is prepared and sent, one computed, one comes back

Start = Callable[[Slot, slice], Callable[[], None]]  # begins a slab; the answer waits for its end


@dataclass(frozen=True, slots=True, eq=False)
class Seats:
    """Lanes of one device, each for one thread at a time: as many as threads ever asked at once."""

    open_lane: Callable[[], Lane]
    resident_bytes: "Iterator[int]"  # what each new one may keep on the device
    free: "SimpleQueue[Seat]" = field(default_factory=SimpleQueue)

    @staticmethod
    def on(open_lane: Callable[[], Lane], resident_bytes: int) -> "Seats":
        """The first one may keep so many bytes of sources, the others none: one thread at a time is the rule."""
        return Seats(open_lane, chain([resident_bytes], repeat(0)))

    @contextmanager
    def one(self) -> Iterator["Seat"]:
        """A lane that nobody else uses, opened.

        Raises:
            EngineLost: its device is lost.
        """
        try:
            seat = self.free.get_nowait()
        except Empty:
            seat = Seat.at(self.open_lane(), next(self.resident_bytes))
        try:
            with watched(seat.lane.is_lost), seat.lane.open():
                seat.resident.begin()
                yield seat
        finally:
            self.free.put(seat)


@dataclass(frozen=True, slots=True, eq=False)
class Seat:
    """A lane, and memory for the slabs that are under way on it."""

    lane: Lane
    resident: Resident
    slots: list[Slot]

    @staticmethod
    def at(lane: Lane, resident_bytes: int) -> "Seat":
        """One that has no memory yet."""
        resident = Resident(lane, resident_bytes)
        return Seat(lane, resident, [Slot(lane, resident) for _ in range(_SLABS)])

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
            todo.extendleft(reversed(self._smaller(rows)))

    def _smaller(self, rows: slice) -> list[slice]:
        """A slab that there was not enough memory for, as two, or whole without what stays; the memory of all is given back."""
        for slot in self.slots:
            slot.clear()
        made_room = self.resident.close()
        self.lane.release()
        return [rows] if made_room else halves(rows)


def cut(sizes: Sequence[int], rows: int, most: int) -> list[slice]:
    """Samples of such sizes into slabs of at most so many rows, and so many bytes if it is more than one sample."""
    slabs, begin, room = [], 0, most
    for at, size in enumerate(sizes):
        if at > begin and (at - begin == rows or size > room):
            slabs.append(slice(begin, at))
            begin, room = at, most
        room -= size
    return [*slabs, slice(begin, len(sizes))] if sizes else []
