"""A job whose files are slow to read or decode: what other jobs get meanwhile."""

import gc
import threading
import time
from concurrent.futures import CancelledError

import numpy as np
import pytest

from augsvc.arrays import Sample
from augsvc.data.cache import DecodedCache
from augsvc.data.catalog import Catalog
from augsvc.engine import fair_queue
from augsvc.engine.engine import Engine
from augsvc.engine.limits import Limits
from augsvc.errors import Cancelled, DatasetUnavailable
from augsvc.ops.registry import registry
from augsvc.planning.spec import validate_spec
from augsvc.streams import reading
from augsvc.streams.stream import Range, Stream
from augsvc_client.wire import parse
from tests.harness import ListSource, executor

WAIT_S = 60
SAMPLES = [Sample(np.full((8, 8, 3), index, np.uint8), 0) for index in range(200)]


class Gated(ListSource):
    """Samples whose reading waits: `begun` counts the reads, and each takes one permit."""

    def __init__(self):
        super().__init__(SAMPLES)
        self.begun, self.permits = threading.Semaphore(0), threading.Semaphore(0)
        self.read_by: list[int] = []

    def read(self, index):
        self.read_by.append(index)
        self.begun.release()
        assert self.permits.acquire(timeout=WAIT_S)
        return super().read(index)

    def open(self):
        for _ in range(10_000):
            self.permits.release()


@pytest.fixture
def slow():
    return Gated()


@pytest.fixture
def charges():
    return []


@pytest.fixture
def engine(charges, slow):
    made = Engine(
        Catalog((), DecodedCache(0)), executor(), registry(()), Limits(1 << 20), lambda *charge: charges.append(charge)
    )
    yield made
    slow.open()
    made.stop()


def opened(source, **fields):
    spec = {"dataset": "list", "shuffle": False, "size": [8, 8], "pipeline": [], **fields}
    return Stream.open(validate_spec(spec), source, executor())


def wait_until(condition):
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


QUICK = opened(ListSource(SAMPLES))
BATCH = Range(0, 0, 8, 0)


@pytest.mark.parametrize("fields", [{}, {"pipeline": [{"op": "mixup", "p": 1.0}]}, {"subset": {"per_class": 16}}])
def test_a_batch_is_served_while_files_of_another_job_are_read(engine, slow, fields):
    stream = opened(slow, **fields)
    stuck = [engine.produce(stream, BATCH, "slow") for _ in range(4)]
    assert slow.begun.acquire(timeout=WAIT_S)
    for _ in range(20):
        assert engine.produce(QUICK, BATCH, "quick").future.result(WAIT_S).samples == 8
    assert not any(work.future.done() for work in stuck)
    slow.open()
    assert len({work.future.result(WAIT_S).digest for work in stuck}) == 1


def test_the_bytes_of_a_batch_are_returned_while_files_of_another_job_are_read(engine, slow, monkeypatch):
    """A call that waited for a helping thread kept each batch in memory, until the job was at its limit: 429 for 23 s."""
    monkeypatch.setattr(reading, "cores", lambda: 9)  # more calls than there are threads to help
    works = [engine.produce(opened(slow), BATCH, "slow") for _ in range(2)]
    assert slow.begun.acquire(timeout=WAIT_S)
    held = engine.in_flight_bytes
    gc.disable()
    try:
        for _ in range(3):
            engine.produce(QUICK, BATCH, "quick").future.result(WAIT_S)
        wait_until(lambda: engine.in_flight_bytes == held)
    finally:
        gc.enable()
    assert not any(work.future.done() for work in works)


@pytest.mark.parametrize("jobs", [2, 5])
def test_a_batch_is_served_while_files_of_several_jobs_are_read(engine, slow, jobs, monkeypatch):
    """Jobs whose last task was long leave a thread to the others."""
    monkeypatch.setattr(fair_queue, "LONG_S", 0.0)
    stream, names = opened(slow), [f"slow {job}" for job in range(jobs)]
    for name in names:
        slow.permits.release()
        engine.produce(stream, Range(0, 0, 1, 0), name).future.result(WAIT_S)
        assert slow.begun.acquire(timeout=WAIT_S)
    stuck = [engine.produce(stream, BATCH, name) for name in names * 3]
    assert slow.begun.acquire(timeout=WAIT_S)
    assert engine.produce(QUICK, BATCH, "quick").future.result(WAIT_S).samples == 8
    assert not any(work.future.done() for work in stuck)


def test_a_receipt_is_served_while_files_of_another_job_are_read_for_one(engine, slow):
    def describe(stream, position, job):
        return engine.describe(lambda check: b"%d" % stream.receipt(0, position, 0, check)["index"], job)

    stuck = [describe(opened(slow), 0, "slow") for _ in range(2)]
    assert slow.begun.acquire(timeout=WAIT_S)
    assert describe(QUICK, 3, "quick").future.result(WAIT_S).tobytes() == b"3"
    assert not any(work.future.done() for work in stuck)


@pytest.mark.parametrize("request_of", ["produce", "preview"])
def test_a_preview_is_served_while_files_of_another_job_are_read(engine, slow, request_of):
    stuck = [getattr(engine, request_of)(opened(slow), BATCH, "slow") for _ in range(3)]
    assert slow.begun.acquire(timeout=WAIT_S)
    assert engine.preview(QUICK, BATCH, "quick").future.result(WAIT_S).samples == 8
    assert not any(work.future.done() for work in stuck)
    slow.open()
    assert all(work.future.result(WAIT_S).samples == 8 for work in stuck)


def test_where_all_threads_read_slow_files_another_job_waits_for_a_chunk_not_for_a_batch(engine, slow, monkeypatch):
    """As it is for jobs that were not slow before, one file at a time here."""
    monkeypatch.setattr(fair_queue, "LONG_S", WAIT_S)
    monkeypatch.setattr(reading, "CHUNK_S", 0.0)
    monkeypatch.setattr(reading, "cores", lambda: 1)
    stuck = [engine.produce(opened(slow), BATCH, f"slow {n % 2}") for n in range(6)]
    for _ in range(3):
        assert slow.begun.acquire(timeout=WAIT_S)
    quick = engine.produce(QUICK, Range(0, 0, 1, 0), "quick")
    for _ in range(2):
        assert not quick.future.done()
        slow.permits.release()  # ends one chunk
        wait_until(lambda: quick.future.done() or slow.begun.acquire(blocking=False))
        if quick.future.done():
            break
    assert quick.future.result(WAIT_S).samples == 1
    slow.open()
    images = [parse(work.future.result(WAIT_S).buffer)[0]["image"] for work in stuck]
    assert all((batch[:, 0, 0, 0] == range(8)).all() for batch in images)


def test_a_batch_that_is_read_when_the_device_is_lost_is_cancelled(engine, slow):
    """As queued ones are: the response is `engine_lost`, not an internal error."""
    work = engine.produce(opened(slow), BATCH, "slow")
    assert slow.begun.acquire(timeout=WAIT_S)
    engine._queues.rendering.stop()
    slow.open()
    assert isinstance(work.future.exception(WAIT_S), CancelledError)
    wait_until(lambda: engine.in_flight_bytes == 0)
    with pytest.raises(CancelledError):
        engine.produce(QUICK, BATCH, "quick").future.result(WAIT_S)


@pytest.mark.parametrize("moment", ["queued", "read"])
def test_a_cancelled_batch_returns_its_bytes_and_reads_no_further(engine, slow, moment):
    gc.disable()
    try:
        stream = opened(slow)
        works = [engine.produce(stream, BATCH, "slow") for _ in range(4)]
        assert slow.begun.acquire(timeout=WAIT_S)
        work = works[3 if moment == "queued" else 0]
        held = engine.in_flight_bytes
        work.cancel()
        slow.open()
        if moment == "read":
            assert isinstance(work.future.exception(WAIT_S), Cancelled)
        else:
            assert work.future.cancelled()
        wait_until(lambda: engine.in_flight_bytes <= held * 3 // 4)
        for other in works:
            wait_until(other.future.done)
        del work, works, other
        engine.produce(QUICK, BATCH, "quick").future.result(WAIT_S)  # the threads have left the last tasks
        wait_until(lambda: engine.in_flight_bytes == 0)
    finally:
        gc.enable()


def test_the_seconds_of_a_cancelled_read_are_charged(engine, slow, charges):
    work = engine.produce(opened(slow), BATCH, "slow")
    assert slow.begun.acquire(timeout=WAIT_S)
    work.cancel()
    slow.open()
    wait_until(lambda: any(job == "slow" and seconds > 0 for job, seconds in charges))


def test_a_failed_read_fails_its_batch_alone(engine):
    class Broken(ListSource):
        def read(self, index):
            if index in (3, 5):
                raise DatasetUnavailable(f"sample {index}")
            return super().read(index)

    for _ in range(5):  # both threads fail, in any order
        error = engine.produce(opened(Broken(SAMPLES)), BATCH, "a").future.exception(WAIT_S)
        assert error.message == "sample 3"
    assert engine.produce(QUICK, BATCH, "a").future.result(WAIT_S).samples == 8


def test_a_read_that_does_not_end_is_noticed_while_others_go_on(engine, slow):
    """One heartbeat for all running tasks would hide it."""
    engine.produce(opened(slow), Range(0, 0, 1, 0), "slow")
    assert slow.begun.acquire(timeout=WAIT_S)
    began = engine.seconds_since_heartbeat
    for _ in range(3):
        engine.produce(QUICK, BATCH, "quick").future.result(WAIT_S)
        now = engine.seconds_since_heartbeat
        assert now > began
        began = now


def test_decoded_samples_wait_for_the_device_in_bounded_numbers(engine, slow):
    """A job reads one chunk ahead of the one that is rendered, however many batches it requests."""
    device, busy = threading.Event(), threading.Event()
    push = engine._queues.submit(
        engine._queues.rendering, "other", lambda check, _: (busy.set(), device.wait(WAIT_S), None)[2]
    )
    assert busy.wait(WAIT_S)
    slow.open()
    works = [engine.produce(opened(slow), BATCH, "slow") for _ in range(10)]
    for _ in range(16):
        assert slow.begun.acquire(timeout=WAIT_S)
    assert not slow.begun.acquire(timeout=0.3)
    device.set()
    assert all(work.future.result(WAIT_S).samples == 8 for work in works)
    push.future.result(WAIT_S)


@pytest.mark.parametrize("jobs", [2, 6])
def test_jobs_whose_batches_wait_for_the_device_leave_the_reading_to_others(engine, slow, jobs):
    """Two jobs with long renders kept the three reading threads: another job had 15 batches in 12 s, beside one of them 805."""
    device, busy = threading.Event(), threading.Event()
    push = engine._queues.submit(
        engine._queues.rendering, "other", lambda check, _: (busy.set(), device.wait(WAIT_S), None)[2]
    )
    assert busy.wait(WAIT_S)
    slow.open()
    works = [engine.produce(opened(slow), BATCH, f"heavy {n % jobs}") for n in range(4 * jobs)]
    for _ in range(8 * max(3, jobs)):  # three chunks, and the first one of each job
        assert slow.begun.acquire(timeout=WAIT_S)
    assert not slow.begun.acquire(timeout=0.3)
    light = Gated()
    light.open()
    work = engine.produce(opened(light), BATCH, "light")
    assert all(light.begun.acquire(timeout=WAIT_S) for _ in range(8))
    device.set()
    assert all(done.future.result(WAIT_S).samples == 8 for done in [work, *works])
    push.future.result(WAIT_S)
