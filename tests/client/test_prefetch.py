"""Requests in flight: batches in order, a window bounded in number and bytes, threads only as they are needed."""

import itertools
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from augsvc_client import AugsvcError
from augsvc_client.loaders import prefetch
from augsvc_client.loaders.prefetch import HOLD_S, MAX_BATCHES, MAX_BYTES, SLOW_S, DaemonThreads, Prefetcher
from augsvc_client.loaders.shares import Address, Shares


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """The prefetcher's clock stands still unless a test moves it: how long a response took is independent of the machine."""
    clock = SimpleNamespace(now_s=1000.0)
    monkeypatch.setattr(prefetch, "perf_counter", lambda: clock.now_s)
    return clock


@pytest.fixture
def build():
    """Builds prefetchers, and ends their threads."""
    built = []

    def make(*arguments):
        built.append(Prefetcher(*arguments))
        return built[-1]

    yield make
    for prefetcher in built:
        prefetcher.stop()


class Recorder:
    """A fetch that answers `n_bytes` when `wait` returns, and records what is requested and in flight."""

    def __init__(self, n_bytes=8):
        self.n_bytes, self.wait = n_bytes, lambda: None
        self.requested, self.in_flight, self.peak = [], 0, 0
        self._lock = threading.Lock()

    def __call__(self, item, waited_s):
        with self._lock:
            self.requested.append(item)
            self.in_flight += 1
            self.peak = max(self.peak, self.in_flight)
        self.wait()
        with self._lock:
            self.in_flight -= 1
        return {"item": np.array(item), "memory": np.broadcast_to(np.uint8(0), self.n_bytes - 8)}


def steps(prefetcher, n, first=0):
    """Takes `n` batches and checks their order; yields after each."""
    for item in range(first, first + n):
        assert prefetcher.take(item, itertools.count(item))["item"] == item
        yield item


def received(prefetcher):
    """Waits until everything in the window has arrived."""
    for _, future in prefetcher._window:
        future.result()


def test_batches_are_in_order_and_each_is_requested_once(build):
    requested = []
    gate = threading.Event()

    def fetch(address, waited_s):
        requested.append(address)
        if address.start == 0:
            assert gate.wait(30)  # the first one arrives last
        elif len(requested) >= 4:
            gate.set()
        return {"address": np.array(address)}

    prefetcher = build(fetch, 4)
    shares = Shares(12, 2, 0, 1, True)
    addresses = [Address(0, start, 2) for start in range(0, 12, 2)]
    taken = [
        prefetcher.take(address, shares.upcoming(0, address.start, later_epochs=False))["address"]
        for address in addresses
    ]
    assert [Address(*address) for address in taken] == addresses
    assert sorted(requested) == addresses


def test_a_window_that_begins_with_another_item_is_replaced(build):
    prefetcher = build(lambda address, waited_s: {"address": np.array(address)}, 2)
    shares = Shares(12, 2, 0, 1, True)
    for epoch, start in ((0, 0), (3, 6), (3, 8), (0, 2)):
        address = Address(epoch, start, 2)
        taken = prefetcher.take(address, shares.upcoming(epoch, start, later_epochs=True))
        assert Address(*taken["address"]) == address


@pytest.mark.parametrize(
    ("size", "n_bytes", "limit"),
    [(4, 8, MAX_BATCHES), (4, MAX_BYTES // 7, 7), (4, MAX_BYTES, 4), (2, MAX_BYTES // 2, 2), (50, 8, 50)],
)
def test_the_window_grows_by_one_a_batch_to_its_limit_and_counts_what_was_received(build, size, n_bytes, limit):
    """However slow the trainer is, no more than the limit is held for it."""
    fetch = Recorder(n_bytes)
    prefetcher = build(fetch, size)
    for item in steps(prefetcher, 60):
        received(prefetcher)
        ahead = len(fetch.requested) - item - 1
        assert ahead == min(size + item, limit)


def test_slow_responses_narrow_the_window_to_prefetch_again(build, monkeypatch):
    """A slow line is not shared by more and more, and a server that answers 429 or 503 is asked less."""
    fetch = Recorder()
    prefetcher = build(fetch, 3)
    list(steps(prefetcher, 40))
    received(prefetcher)
    monkeypatch.setattr(prefetch, "SLOW_S", 0.0)
    list(steps(prefetcher, MAX_BATCHES + 40, first=40))  # those already received were fast
    assert len(prefetcher._window) == 3
    list(steps(prefetcher, 20, first=MAX_BATCHES + 80))
    assert len(prefetcher._window) == 3


def test_a_slow_response_halves_the_window_and_it_does_not_grow_for_a_while(build, clock):
    """A server that refuses requests would refuse the next ones too if the window grew immediately."""
    fetch = Recorder()
    prefetcher = build(fetch, 4)
    list(steps(prefetcher, 40))
    received(prefetcher)

    def pass_slowly():
        clock.now_s += SLOW_S

    fetch.wait = pass_slowly
    list(steps(prefetcher, 1, first=40))  # requests one batch
    received(prefetcher)
    fetch.wait = lambda: None
    list(steps(prefetcher, MAX_BATCHES + 30, first=41))
    assert len(prefetcher._window) == MAX_BATCHES // 2
    received(prefetcher)
    clock.now_s += HOLD_S
    list(steps(prefetcher, 40, first=MAX_BATCHES + 71))
    assert len(prefetcher._window) == MAX_BATCHES


def test_larger_batches_do_not_fill_the_window_of_the_smaller_ones(build):
    """The bytes count when a batch is received, not when it is handed out, a whole window later."""
    fetch = Recorder()
    prefetcher = build(fetch, 1)
    for _ in steps(prefetcher, 40):
        received(prefetcher)
    fetch.n_bytes = MAX_BYTES // 2 - MAX_BATCHES * 8
    for _ in steps(prefetcher, 2 * MAX_BATCHES, first=40):
        received(prefetcher)
        n_bytes = sum(future.result().n_bytes for _, future in prefetcher._window)
        assert n_bytes <= MAX_BYTES
    fetch.n_bytes = 8
    list(steps(prefetcher, 60, first=40 + 2 * MAX_BATCHES))
    assert len(prefetcher._window) == MAX_BATCHES


def test_smaller_batches_never_leave_a_window_above_the_bytes(build):
    fetch = Recorder()
    prefetcher = build(fetch, 1)
    list(steps(prefetcher, 40))
    assert len(prefetcher._window) == MAX_BATCHES
    fetch.n_bytes = MAX_BYTES // 2
    list(steps(prefetcher, 2 * MAX_BATCHES, first=40))
    assert len(prefetcher._window) == 2


def test_bytes_that_were_sent_count_too(build):
    prefetcher = build(Recorder(MAX_BYTES // 10), 1, lambda item: MAX_BYTES // 10)
    list(steps(prefetcher, 40))
    assert len(prefetcher._window) == 5


def threads_of(prefetcher):
    return prefetcher._threads._threads


def test_a_trainer_that_is_never_behind_keeps_the_threads_of_the_start(build):
    """The window is full, and each step makes one or two requests, which idle threads take."""
    prefetcher = build(Recorder(), 4)
    for _ in steps(prefetcher, 200):
        received(prefetcher)
        assert threads_of(prefetcher) <= 5
    assert len(prefetcher._window) == MAX_BATCHES


def test_a_thread_is_started_for_each_request_that_finds_all_others_busy(build):
    fetch = Recorder()
    prefetcher = build(fetch, 2)
    list(steps(prefetcher, 40))
    received(prefetcher)
    all_busy = threading.Event()

    def wait_for_all():
        if fetch.in_flight == MAX_BATCHES:
            all_busy.set()
        assert all_busy.wait(30)

    fetch.wait, fetch.peak = wait_for_all, 0
    list(steps(prefetcher, 2 * MAX_BATCHES, first=40))
    assert fetch.peak == threads_of(prefetcher) == MAX_BATCHES


def test_a_cancelled_call_does_not_run_and_its_thread_is_idle_again():
    threads, gate, ran = DaemonThreads(1), threading.Event(), []
    first = threads.submit(lambda: gate.wait(30))
    cancelled = threads.submit(lambda: ran.append("cancelled"))
    assert cancelled.cancel()
    gate.set()
    assert first.result(30)
    threads.submit(lambda: ran.append("last")).result(30)
    assert ran == ["last"]
    assert threads._unfinished == 0
    threads.stop()
    with pytest.raises(AugsvcError, match="closed"):
        threads.submit(lambda: None)
