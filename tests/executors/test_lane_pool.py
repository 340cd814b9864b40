"""Lanes of a device: which one a thread gets, and how chunks shrink when memory runs out and grow again."""

from contextlib import nullcontext

import numpy as np
import pytest

from augsvc.errors import DeviceOutOfMemory
from augsvc.executors import device_errors
from augsvc.executors.cuda.lane_pool import Lane, LanePool

CALM = device_errors._CALM_RUNS


class CountingDevice:
    """A device with memory for chunks of `room` elements, and for buffers of `kept` bytes."""

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

    def run(self, lane, samples, elements=1, chunk=100):
        """One batch: the sizes of the chunks that were started, and how often all memory was freed."""
        before, self.started, done = self.released, [], []

        def start(staging, rows):
            self.started.append(rows.stop - rows.start)
            if (rows.stop - rows.start) * elements > self.room:
                raise MemoryError
            return lambda: done.extend(range(rows.start, rows.stop))

        lane.run([slice(at, min(at + chunk, samples)) for at in range(0, samples, chunk)], elements, start)
        assert done == list(range(samples)), "each once, in order"
        return self.started, self.released - before


def test_a_size_that_did_not_fit_is_not_tried_with_every_batch():
    device = CountingDevice(room=40)
    lane = Lane.on(device)
    assert device.run(lane, 400) == ([100, 50, *[25] * 16], 2)
    for _ in range(3):
        assert device.run(lane, 400) == ([25] * 16, 0)


def test_after_a_while_chunks_grow_again(caplog):
    device = CountingDevice(room=40)
    lane = Lane.on(device)
    device.run(lane, 100)
    released = [device.run(lane, 100)[1] for _ in range(CALM + 10)]
    assert released[: CALM + 1] == [*[0] * CALM, 1] and sum(released) == 1, "one failed attempt"
    device.room = 1000
    for _ in range(3 * CALM):
        chunks, released = device.run(lane, 100)
        assert released == 0
    assert chunks == [100]
    assert [record.levelname for record in caplog.records] == ["WARNING"], "logged once"


def test_the_limit_counts_elements_so_samples_of_another_size_have_their_own_chunks():
    device = CountingDevice(room=40)
    lane = Lane.on(device)
    device.run(lane, 8, elements=20)
    assert device.run(lane, 100, elements=1)[0] == [40, 40, 20]
    with pytest.raises(DeviceOutOfMemory):
        device.run(lane, 1, elements=1000)
    assert device.run(lane, 100, elements=1)[0] == [40, 40, 20], "one that is too large leaves the limit as it is"


def test_the_source_cache_is_freed_before_chunks_shrink_and_used_again_after_a_while():
    device = CountingDevice(room=40)
    lane = Lane.on(device, source_bytes=1000)
    assert lane.sources._allocate() is not None
    assert device.run(lane, 100) == ([100, 100, 50, 25, 25, 25, 25], 3)
    for _ in range(CALM):
        device.run(lane, 100)
        assert lane.sources.closed
    device.run(lane, 20)
    assert not lane.sources.closed and lane.sources._allocate() is not None


def test_after_a_shortage_that_freeing_the_source_cache_ended_it_is_used_again_too():
    device = CountingDevice(room=100)
    lane = Lane.on(device, source_bytes=1000)
    assert lane.sources._allocate() is not None
    device.room = 99
    failed_once = device.release

    def release():
        failed_once()
        device.room = 100

    device.release = release
    assert device.run(lane, 100) == ([100, 100], 1)
    for _ in range(CALM + 1):
        assert lane.sources.closed
        assert device.run(lane, 100) == ([100], 0)
    assert not lane.sources.closed


def test_the_lane_that_has_the_sources_is_leased_before_others():
    opened = []
    pool = LanePool.on(lambda: opened.append(CountingDevice(room=1)) or opened[-1], 100)
    with pool.lease() as first, pool.lease() as second:
        assert (first.sources.capacity, second.sources.capacity) == (100, 0)
    for _ in range(4):
        with pool.lease() as lane:
            assert lane is first
    one, other = pool.lease(), pool.lease()
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    other.__exit__(None, None, None)
    with pool.lease() as lane:
        assert lane is first
    assert len(opened) == 2
