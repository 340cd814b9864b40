"""Whose turn it is on a device, and how much is asked of one whose memory has ended."""

from contextlib import nullcontext

import numpy as np
import pytest

from augsvc.errors import DeviceOutOfMemory
from augsvc.executors.cuda import scheduler as seats
from augsvc.executors.cuda.scheduler import Seat, Seats


class Counting:
    """A lane with memory for so many elements at once, and for `kept` of sources."""

    threads = 16

    def __init__(self, room, kept=1 << 20):
        self.room, self.kept, self.released = room, kept, 0
        self.started = []

    def open(self):
        return nullcontext()

    def is_lost(self):
        return False

    def ran_out_of_memory(self, error):
        return isinstance(error, MemoryError)

    def release(self):
        self.released += 1

    def buffer(self, size, copied):
        if size > self.kept:
            raise MemoryError
        return np.zeros(size, np.uint8)

    def ask(self, seat, rows, elements=1, slab=100):
        """A batch of so many samples; the sizes of the slabs that were started, and how often all memory was let go."""
        before, self.started, done = self.released, [], []

        def start(slot, part):
            self.started.append(part.stop - part.start)
            if (part.stop - part.start) * elements > self.room:
                raise MemoryError
            return lambda: done.extend(range(part.start, part.stop))

        slabs = [slice(at, min(at + slab, rows)) for at in range(0, rows, slab)]
        seat.run(slabs, elements, start)
        assert done == list(range(rows)), "each once, in order"
        return self.started, self.released - before


def test_what_did_not_fit_once_is_not_asked_for_with_every_batch():
    lane = Counting(room=40)
    seat = Seat.at(lane, 0, 0)
    assert lane.ask(seat, 400) == ([100, 50, *[25] * 16], 2)
    for _ in range(3):
        assert lane.ask(seat, 400) == ([25] * 16, 0)


def test_after_a_while_more_is_asked_for_again(caplog):
    lane = Counting(room=40)
    seat = Seat.at(lane, 0, 0)
    lane.ask(seat, 100)
    found = [lane.ask(seat, 100)[1] for _ in range(seats._CALM + 10)]
    assert found[: seats._CALM + 1] == [*[0] * seats._CALM, 1] and sum(found) == 1, "one try in vain"
    lane.room = 1000
    for _ in range(3 * seats._CALM):
        slabs, released = lane.ask(seat, 100)
        assert released == 0
    assert slabs == [100]
    assert [record.levelname for record in caplog.records] == ["WARNING"], "told once"


def test_samples_of_another_size_are_asked_for_by_theirs():
    lane = Counting(room=40)
    seat = Seat.at(lane, 0, 0)
    lane.ask(seat, 8, elements=20)
    assert lane.ask(seat, 100, elements=1)[0] == [40, 40, 20]
    with pytest.raises(DeviceOutOfMemory):
        lane.ask(seat, 1, elements=1000)
    assert lane.ask(seat, 100, elements=1)[0] == [40, 40, 20], "one that is too large takes nothing from the others"


def picture():
    made = np.zeros((10, 10, 1), np.uint8)
    made.setflags(write=False)
    return made


def test_sources_stay_again_after_a_while():
    lane = Counting(room=40)
    seat = Seat.at(lane, 0, 1000)
    assert seat.resident._has_arena()
    assert lane.ask(seat, 100) == ([100, 100, 50, 25, 25, 25, 25], 3), "sources are let go first"
    for _ in range(seats._CALM):
        lane.ask(seat, 100)
        assert seat.resident.closed
    lane.ask(seat, 20)
    assert not seat.resident.closed and seat.resident._has_arena()


def test_the_seat_that_has_the_sources_is_taken_before_others():
    opened = []
    ours = Seats.on(lambda: opened.append(Counting(room=1)) or opened[-1], 100)
    with ours.one() as first, ours.one() as second:
        assert (first.resident.most, second.resident.most) == (100, 0)
    for _ in range(4):
        with ours.one() as seat:
            assert seat is first
    one, other = ours.one(), ours.one()
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    other.__exit__(None, None, None)
    with ours.one() as seat:
        assert seat is first
    assert len(opened) == 2
