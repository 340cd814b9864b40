"""Opening streams: a slow one delays no other, and threads that request the same one share the work."""

import threading
import time
from concurrent.futures import CancelledError, wait
from contextlib import suppress
from typing import ClassVar, Literal

import numpy as np
import pytest

from augsvc.data.catalog import open_catalog
from augsvc.engine.engine import Engine
from augsvc.engine.fair_queue import FairQueue, Threads
from augsvc.engine.limits import Limits
from augsvc.engine.opening import OpenStreams
from augsvc.engine.work import OPENING
from augsvc.errors import Cancelled, NotAvailable
from augsvc.ops.kinds.image import Tone
from augsvc.ops.registry import registry
from augsvc.planning.spec import validate_spec
from augsvc.streams.stream import Stream
from tests.harness import open_cpu

TIMEOUT_S = 60  # exceeding it is a failure


class Slow(Tone):
    """Its self-test waits at a gate."""

    op: Literal["slow"] = "slow"
    gate: ClassVar[threading.Event] = threading.Event()
    begun: ClassVar[threading.Event] = threading.Event()

    def table(self, draw, canvas, statistics):
        self.begun.set()
        assert self.gate.wait(TIMEOUT_S)


@pytest.fixture
def slow(monkeypatch):
    monkeypatch.setattr(Slow, "gate", threading.Event())
    monkeypatch.setattr(Slow, "begun", threading.Event())
    yield Slow
    Slow.gate.set()


@pytest.fixture
def operations():
    return {**registry(), "slow": Slow}


@pytest.fixture
def engine(slow, operations):
    """Ready, without the background part of its self-test."""
    made = Engine(open_catalog({}, 0), open_cpu("fused"), operations, Limits(1 << 20))
    made._whole_arithmetic = lambda: None
    made.start()
    yield made
    slow.gate.set()
    made.stop()


@pytest.fixture
def queue_opening(engine, operations):
    """Queues the opening of a stream of a few operations."""

    def queue(op="gamma", job="a", **fields):
        spec = validate_spec({"dataset": "digits/train", "pipeline": [{"op": op}], **fields}, operations)
        return engine.run_opening(lambda: engine.open(spec, wait=False), job)

    return queue


def test_a_slow_self_test_delays_no_other_stream(queue_opening, slow):
    slow_work = queue_opening("slow")
    assert slow.begun.wait(TIMEOUT_S)
    for job in ("a", "b"):
        assert queue_opening(job=job, aug_seed=ord(job)).future.result(TIMEOUT_S).id
    assert not slow_work.future.done()
    slow.gate.set()
    assert slow_work.future.result(TIMEOUT_S).arithmetic


def test_streams_that_wait_for_the_same_self_test_hold_no_thread(queue_opening, slow):
    """Of any number of jobs, and whatever else differs between them."""
    waiting = [queue_opening("slow", f"job {n}", aug_seed=n) for n in range(4 * OPENING.total)]
    assert slow.begun.wait(TIMEOUT_S)
    assert queue_opening(job="other").future.result(TIMEOUT_S).id
    assert not any(work.future.done() for work in waiting)
    slow.gate.set()
    streams = [work.future.result(TIMEOUT_S) for work in waiting]
    assert len({stream.id for stream in streams}) == len(streams)
    assert len({stream.arithmetic for stream in streams}) == 1


def test_a_stream_that_is_requested_many_times_is_opened_once(queue_opening, slow, monkeypatch):
    opened, opening = [], Stream.open

    def counted(spec, source, *more):
        if source.info.name == "digits/train":  # not a probe of the self-test
            opened.append(spec)
        return opening(spec, source, *more)

    monkeypatch.setattr(Stream, "open", staticmethod(counted))
    works = [queue_opening("slow", f"job {n % 3}") for n in range(20)]
    assert slow.begun.wait(TIMEOUT_S)
    slow.gate.set()
    streams = {id(work.future.result(TIMEOUT_S)) for work in works}
    streams.add(id(queue_opening("slow", "late").future.result(TIMEOUT_S)))
    assert len(streams) == len(opened) == 1


def test_a_client_that_disconnects_does_not_take_the_stream_from_the_others(queue_opening, slow):
    works = [queue_opening("slow", f"job {n}") for n in range(3)]
    assert slow.begun.wait(TIMEOUT_S)
    for work in works[:2]:
        work.cancel()
    slow.gate.set()
    assert works[2].future.result(TIMEOUT_S).id
    for work in works[:2]:
        with pytest.raises(CancelledError):
            work.future.result(TIMEOUT_S)


def test_an_error_reaches_all_that_wait(queue_opening, slow, monkeypatch):
    def broken(self, draw, canvas, statistics):
        self.begun.set()
        self.gate.wait(TIMEOUT_S)
        raise ZeroDivisionError

    monkeypatch.setattr(Slow, "table", broken)
    works = [queue_opening("slow", f"job {n}") for n in range(6)]
    assert slow.begun.wait(TIMEOUT_S)
    slow.gate.set()
    for work in works:
        with pytest.raises(NotAvailable, match="'slow'"):
            work.future.result(TIMEOUT_S)


def test_stopping_ends_the_waits(engine, queue_opening, slow):
    works = [queue_opening("slow", f"job {n}", aug_seed=n) for n in range(6)]
    assert slow.begun.wait(TIMEOUT_S)
    stopping = threading.Thread(target=engine.stop)
    stopping.start()
    engine._stopping.wait(TIMEOUT_S)
    slow.gate.set()
    stopping.join(TIMEOUT_S)
    assert not stopping.is_alive()
    for work in works:
        with suppress(Cancelled, CancelledError):  # `wait` would not return for a future that was cancelled
            work.future.result(TIMEOUT_S)


# --- pushes


@pytest.fixture
def queue_push(engine):
    """Queues the validation of a push of one image through an operation."""

    def queue(op="gamma", job="a"):
        arrays = {"image": np.zeros((1, 8, 8, 3), np.uint8), "index": np.zeros(1, np.int64)}
        return engine.run_validation(lambda: engine.push({"pipeline": [{"op": op}]}, arrays, job, wait=False), job)

    return queue


def rendered(validation):
    return validation.future.result(TIMEOUT_S).future.result(TIMEOUT_S)


def test_a_slow_self_test_delays_no_other_push(queue_push, slow):
    waiting = [queue_push("slow", f"job {n}") for n in range(4 * OPENING.total)]
    assert slow.begun.wait(TIMEOUT_S)
    for job in ("job 0", "other"):
        assert rendered(queue_push(job=job)).samples == 1
    assert not any(work.future.done() for work in waiting)
    waiting.pop().cancel()
    slow.gate.set()
    assert {rendered(work).digest for work in waiting} == {rendered(queue_push("slow")).digest}


# --- the queue


def test_a_job_leaves_a_thread_to_the_others():
    queue: FairQueue[None] = FairQueue("test", threads=OPENING)
    gate, lock, now, most = threading.Event(), threading.Lock(), [0], [0]

    def hold():
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        assert gate.wait(TIMEOUT_S)
        with lock:
            now[0] -= 1

    greedy = [queue.submit("greedy", hold) for _ in range(20)]
    while most[0] < OPENING.per_job:
        time.sleep(0)
    for n in range(10):
        queue.submit(f"other {n}", lambda: None).result(TIMEOUT_S)
    assert not any(future.done() for future in greedy)
    gate.set()
    wait(greedy, TIMEOUT_S)
    assert most[0] == OPENING.per_job < OPENING.total
    queue.stop()


def test_every_task_of_a_pool_runs_and_is_charged_to_its_job():
    charged, lock = [], threading.Lock()

    def charge(job, seconds):
        with lock:
            charged.append(job)

    queue: FairQueue[int] = FairQueue("test", charge=charge, threads=Threads(4, per_job=2))
    futures = [queue.submit(f"job {n % 5}", lambda n=n: n) for n in range(500)]
    assert [future.result(TIMEOUT_S) for future in futures] == list(range(500))
    queue.stop()
    assert sorted(charged) == sorted(f"job {n % 5}" for n in range(500))
    assert queue.seconds_since_heartbeat == 0


def test_streams_of_a_mixture_share_it_and_its_keys():
    streams = OpenStreams(open_catalog({}, 0), None, None, Limits(1 << 20))
    parts = [{"dataset": "digits/train"}, {"dataset": "digits/test"}]
    specs = [validate_spec({"mixture": parts, "pipeline": [], "aug_seed": seed}) for seed in range(2)]
    one, other = (streams._join(spec, streams._find_current(spec)) for spec in specs)
    assert one is other and one.keys is other.keys
