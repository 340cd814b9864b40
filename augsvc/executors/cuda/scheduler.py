"""Who computes on which lane: slabs of samples one after the other, some under way at once.

Where the device has not enough memory, slabs are cut in two until they fit; how much fitted is remembered for a while.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, count, repeat
from queue import Empty, PriorityQueue

from augsvc.executors.cuda.source_cache import Resident
from augsvc.executors.cuda.staging import Lane, Slot
from augsvc.executors.device_errors import halves, watched

logger = logging.getLogger("augsvc")
_SLABS = 3  # under way: one is prepared and sent, one computed, one comes back
_ALL = 1 << 62
_CALM = 64  # runs without a shortage, then twice as much is asked for: a try in vain lets all memory go once

Start = Callable[[Slot, slice], Callable[[], None]]  # begins a slab; the answer waits for its end


@dataclass(frozen=True, slots=True, eq=False)
class Seats:
    """Lanes of one device, each for one thread at a time: as many as threads ever asked at once."""

    open_lane: Callable[[], Lane]
    numbers: "Iterator[tuple[int, int]]"  # of each new one, and what it may keep on the device
    free: "PriorityQueue[Seat]" = field(default_factory=PriorityQueue)  # the first one that is: it has the sources

    @staticmethod
    def on(open_lane: Callable[[], Lane], resident_bytes: int) -> "Seats":
        """The first one may keep so many bytes of sources, the others none: one thread at a time is the rule."""
        return Seats(open_lane, zip(count(), chain([resident_bytes], repeat(0)), strict=False))

    @contextmanager
    def one(self) -> Iterator["Seat"]:
        """A lane that nobody else uses, opened.

        Raises:
            EngineLost: its device is lost.
        """
        try:
            seat = self.free.get_nowait()
        except Empty:
            seat = Seat.at(self.open_lane(), *next(self.numbers))
        try:
            with watched(seat.lane.is_lost), seat.lane.open():
                seat.resident.begin()
                yield seat
        finally:
            self.free.put(seat)


@dataclass(slots=True, eq=False)
class Seat:
    """A lane, and memory for the slabs that are under way on it. It is less than another one whose number is greater."""

    number: int
    lane: Lane
    resident: Resident
    slots: list[Slot]
    most: int = _ALL  # elements of a slab that is more than one sample
    calm: int = 0  # runs since then
    short: bool = False  # whether there ever was one

    @staticmethod
    def at(lane: Lane, number: int, resident_bytes: int) -> "Seat":
        """One that has no memory yet."""
        resident = Resident(lane, resident_bytes)
        return Seat(number, lane, resident, [Slot(lane, resident) for _ in range(_SLABS)])

    def __lt__(self, other: "Seat") -> bool:
        return self.number < other.number

    def run(self, slabs: Sequence[slice], elements: int, start: Start) -> None:
        """One slab after the other, as many under way as there are slots; of samples that have so many elements each.

        Raises:
            DeviceOutOfMemory: there is not enough for one sample.
        """
        self._grow()
        todo, under_way = deque(slabs), deque[Callable[[], None]]()
        started = 0
        while todo or under_way:
            if not todo or len(under_way) == len(self.slots):
                under_way.popleft()()
                continue
            rows, rest = _parted(todo.popleft(), max(1, self.most // elements))
            todo.extendleft(rest)
            try:
                under_way.append(start(self.slots[started % len(self.slots)], rows))
                started += 1
                continue
            except Exception as err:
                if not self.lane.ran_out_of_memory(err):
                    raise
            while under_way:
                under_way.popleft()()
            todo.appendleft(rows)
            self._shrink(rows, elements)

    def _shrink(self, rows: slice, elements: int) -> None:
        """Gives all memory back, for a slab that there was not enough for: it is half as large next, or without what stays."""
        if not self.short:
            self.short = True
            logger.warning("the device's memory ended: less is asked of it at once, and more again after a while")
        for slot in self.slots:
            slot.clear()
        self.calm = 0
        made_room = self.resident.close()
        self.lane.release()
        if not made_room:
            first, _ = halves(rows)
            self.most = (first.stop - first.start) * elements

    def _grow(self) -> None:
        self.calm += self.short
        if self.calm > _CALM:
            self.calm, self.most = 0, min(2 * self.most, _ALL)
            self.resident.open()


def _parted(rows: slice, most: int) -> tuple[slice, list[slice]]:
    """The first samples of a slab, at most so many, and the others, if there are."""
    middle = min(rows.start + most, rows.stop)
    return slice(rows.start, middle), [slice(middle, rows.stop)] if middle < rows.stop else []


def cut(sizes: Sequence[int], rows: int, most: int) -> list[slice]:
    """Samples of such sizes into slabs of at most so many rows, and so many bytes if it is more than one sample."""
    slabs, begin, room = [], 0, most
    for at, size in enumerate(sizes):
        if at > begin and (at - begin == rows or size > room):
            slabs.append(slice(begin, at))
            begin, room = at, most
        room -= size
    return [*slabs, slice(begin, len(sizes))] if sizes else []
