"""Fair scheduling, and the memory budget."""

import gc
import threading
import weakref
from concurrent.futures import CancelledError, wait
from contextlib import suppress
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augsvc.engine.fair_queue import FairQueue, Heartbeat
from augsvc.engine.memory_budget import MAX_WAIT_S, RESERVED_S, Chunks, MemoryBudget
from augsvc.errors import Cancelled, EngineLost, Overloaded, TooMuchAtOnce


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def served(tasks, others=()):
    """The order in which a thread runs (job, seconds) tasks that are all there when it begins."""
    clock = Clock()
    queue: FairQueue[None] = FairQueue("test", clock, anticipation=0.0)
    gate, order = threading.Event(), []

    def run(job, seconds):
        clock.now += seconds
        order.append((job, seconds))

    queue.submit("gate", gate.wait)
    futures = [queue.submit(job, lambda job=job, seconds=seconds: run(job, seconds)) for job, seconds in tasks]
    gate.set()
    wait(futures)
    queue.stop()
    return order


def test_a_job_keeps_its_order():
    assert served([("a", cost) for cost in (5, 1, 30, 2)]) == [("a", cost) for cost in (5, 1, 30, 2)]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=40), st.lists(st.integers(1, 40), min_size=1, max_size=40))
def test_two_jobs_get_the_same_seconds_as_long_as_both_want(ours, theirs):
    """Nothing is known of a task before it has run."""
    order = served([("a", cost) for cost in ours] + [("b", cost) for cost in theirs])
    assert sorted(order) == sorted([("a", cost) for cost in ours] + [("b", cost) for cost in theirs])
    got, left = {"a": 0, "b": 0}, {"a": len(ours), "b": len(theirs)}
    for job, cost in order:
        got[job] += cost
        left[job] -= 1
        if not all(left.values()):
            break
        assert abs(got["a"] - got["b"]) <= 40  # a largest task, at any time


def test_a_small_task_does_not_wait_for_all_of_a_greedy_job():
    order = served([("greedy", 100)] * 20 + [("small", 1)])
    assert order.index(("small", 1)) <= 1


@pytest.mark.parametrize("outcome", [Cancelled, ZeroDivisionError])
def test_cancelled_and_failed_work_counts(outcome):
    """Three connections whose requests all timed out left another job 8 batches in 190 s."""
    clock = Clock()
    charged = []
    queue: FairQueue[None] = FairQueue("test", clock, lambda *charge: charged.append(charge), anticipation=0.0)
    gate, order = threading.Event(), []

    def run(job, seconds):
        clock.now += seconds
        order.append(job)
        if job == "greedy":
            raise outcome

    queue.submit("gate", gate.wait)
    futures = [queue.submit("greedy", lambda: run("greedy", 60)) for _ in range(3)]
    futures += [queue.submit("other", lambda: run("other", 1)) for _ in range(100)]
    gate.set()
    wait(futures)
    queue.stop()
    assert order.index("greedy", 1) == 61, "the other job gets its 60 s before the next one"
    assert sum(seconds for job, seconds in charged if job == "greedy") == 180


def test_a_job_that_comes_back_has_saved_little_and_owes_what_it_owes():
    clock = Clock()
    queue: FairQueue[None] = FairQueue("test", clock, anticipation=0.0)

    def spend(job, seconds):
        def run():
            clock.now += seconds

        queue.submit(job, run).result()

    spend("idle", 1)
    for _ in range(100):
        spend("busy", 5)
    gate, begun, order = threading.Event(), threading.Event(), []

    def run(job, seconds):
        clock.now += seconds
        order.append(job)

    queue.submit("gate", lambda: (begun.set(), gate.wait(), None)[2])
    begun.wait()
    futures = [queue.submit(job, lambda job=job: run(job, 1)) for job in ["idle"] * 30 + ["busy"] * 30]
    gate.set()
    wait(futures)
    queue.stop()
    assert order[:30].count("busy") >= 9, "not the 500 s that it did not use"


def test_a_job_whose_next_task_is_on_its_way_is_waited_for_before_a_long_one():
    """A loader requests its next batch when it has this one: without a wait a long task would overtake it every time."""
    queue: FairQueue[None] = FairQueue("test", anticipation=1000.0)
    gate, order = threading.Event(), []
    queue.submit("long", lambda: gate.wait(0.05) and None).result()  # from here on the queue expects long tasks of it
    long = [queue.submit("long", lambda: gate.wait(0.05) or order.append("long")) for _ in range(2)]
    long[0].result()
    for _ in range(5):  # one at a time, as a client
        queue.submit("short", lambda: order.append("short")).result()
    queue.stop()
    assert order.count("short") == 5
    assert order.index("short") + 5 == len(order), "no long task came between"


def test_what_is_cancelled_is_not_done_and_stop_cancels_the_rest():
    thread: FairQueue[None] = FairQueue("test")
    gate, begun, cut, done = threading.Event(), threading.Event(), threading.Event(), []

    def hold():
        begun.set()
        gate.wait()

    first = thread.submit("a", hold)
    cancelled = thread.submit("a", lambda: done.append("cancelled"))
    kept = thread.submit("a", lambda: done.append("kept"))
    kept.add_done_callback(lambda _: cut.set())
    assert cancelled.cancel()
    begun.wait()
    stopping = threading.Thread(target=thread.stop)
    stopping.start()
    cut.wait()
    gate.set()
    stopping.join()
    assert first.done()
    assert kept.cancelled()
    assert thread.submit("a", lambda: None).cancelled()
    assert done == []


def test_a_cancelled_task_releases_its_arguments():
    thread: FairQueue[None] = FairQueue("test")
    gate, begun = threading.Event(), threading.Event()
    thread.submit("a", lambda: (begun.set(), gate.wait(), None)[2])
    begun.wait()
    held = np.zeros(1000)
    gone = weakref.ref(held)
    future = thread.submit("a", lambda held=held: held.sum() and None)
    del held
    assert gone() is not None
    future.cancel()
    assert gone() is None
    gate.set()
    thread.stop()


@pytest.mark.parametrize("cause", [None, ValueError])
@pytest.mark.parametrize("error", [Cancelled, MemoryError])
def test_a_task_that_fails_while_it_runs_releases_its_arguments(error, cause):
    """Without a collection: the body of a push, cancelled or malformed, stayed counted until one ran."""
    queue: FairQueue[None] = FairQueue("test")
    body = np.zeros(1000)
    freed = weakref.ref(body)

    def parse(body):
        raise cause

    def fail(body):
        if cause is None:
            raise error
        try:
            parse(body)
        except ValueError as err:
            raise error from err

    gc.disable()
    try:
        future = queue.submit("a", partial(fail, body))
        del body
        assert isinstance(future.exception(), error)
        queue.submit("a", lambda: None).result()  # the thread has left the first task
        assert freed() is None
    finally:
        gc.enable()
        queue.stop()


def test_a_result_goes_with_the_last_one_who_wants_it():
    """Without a collection: what a batch's memory counts for must come free when it is sent."""
    thread: FairQueue[np.ndarray] = FairQueue("test")
    gc.disable()
    try:
        future = thread.submit("a", lambda: np.zeros(1000))
        gone = weakref.ref(future.result())
        thread.submit("a", lambda: np.zeros(1)).result()  # its thread holds the next one
        del future
        assert gone() is None
    finally:
        gc.enable()
        thread.stop()


def test_an_error_belongs_to_its_piece():
    thread: FairQueue[int] = FairQueue("test")
    bad, good = thread.submit("a", lambda: 1 // 0), thread.submit("a", lambda: 7)
    with pytest.raises(ZeroDivisionError):
        bad.result()
    assert good.result() == 7
    thread.stop()


def test_seconds_since_the_heartbeat_of_the_running_task():
    clock = Clock()
    thread: FairQueue[None] = FairQueue("test", clock)
    gate, begun = threading.Event(), threading.Event()
    heartbeat = Heartbeat()
    piece = thread.submit("a", lambda: (begun.set(), gate.wait(), None)[2], heartbeat=heartbeat)
    begun.wait()
    clock.now += 7
    assert thread.seconds_since_heartbeat == 7
    thread.report_progress(heartbeat)
    assert thread.seconds_since_heartbeat == 0
    clock.now += 3
    assert thread.seconds_since_heartbeat == 3
    gate.set()
    piece.result()
    thread.stop()
    clock.now += 100
    thread.report_progress(heartbeat)  # of something that is over
    clock.now += 100
    assert thread.seconds_since_heartbeat == 0


def test_of_what_rendering_takes_the_most_counts():
    budget = MemoryBudget(100)
    first, second = budget.lease("a", 10, working=30), budget.lease("a", 10, working=40)
    assert budget.in_flight == 60
    with pytest.raises(Overloaded):
        budget.lease("b", 56)
    with pytest.raises(Overloaded):
        budget.lease("c", 56, working=71)
    second.release()
    second.release()
    assert budget.in_flight == 40
    first.release()
    assert budget.in_flight == 0
    budget.lease("d", 10, working=1000)  # nothing else is in flight


def test_what_rendering_takes_is_returned_before_the_bytes():
    """A job whose body waited in a slow socket kept others from reading."""
    budget = MemoryBudget(100)
    chunks = Chunks(budget, 20)
    leases = [budget.lease("a", 10, working=200), budget.lease("a", 10, working=200)]
    assert chunks.begin()
    for lease in leases:
        assert not chunks.begin()
        lease.end_rendering()
        lease.end_rendering()
    assert chunks.begin()
    assert budget.in_flight == 60
    leases[0].release()
    assert budget.in_flight == 50


@pytest.mark.parametrize("working", [0, 20, 25, 1000])
@pytest.mark.parametrize("n_bytes", [20, 30, 49, 50, 51, 70])
def test_a_job_that_takes_much_to_render_is_admitted_beside_one_that_always_has_some(n_bytes, working):
    """The bytes were reserved, but not what rendering takes."""
    budget, light = MemoryBudget(100), []
    for _ in range(40):
        for _ in range(10):  # it requests as much as it gets
            try:
                light.append(budget.lease("light", 5))
            except (Overloaded, TooMuchAtOnce):
                break
        try:
            budget.lease("heavy", n_bytes, working=working)
            return
        except Overloaded:
            light.pop(0).release()
    pytest.fail("it starves")


@pytest.mark.parametrize("n_bytes", [80, 100, 1000])
def test_a_job_that_needs_the_whole_budget_is_served_beside_jobs_that_take_turns(n_bytes):
    """None of them holds anything when it asks, and one of the others always did."""
    clock = Clock()
    budget, held = MemoryBudget(100, clock), None
    for step in range(300):
        clock.now += 0.1
        try:
            following = budget.lease("ab"[step % 2], 10)
        except Overloaded:
            following = None
        if held is not None:
            held.release()
        held = following
        with suppress(Overloaded):
            budget.lease("large", n_bytes).release()
            assert clock.now < MAX_WAIT_S + 1
            break
    else:
        pytest.fail("it starves")
    budget.lease("a", 10)  # afterwards the others are served again


def test_chunks_beyond_the_free_ones_count():
    budget = MemoryBudget(100, free_chunk_bytes=60)
    chunks = Chunks(budget, 20)
    assert [chunks.begin() for _ in range(3)] == [True] * 3
    assert budget.in_flight == 0
    lease = budget.lease("a", 70)
    assert chunks.begin()
    assert not chunks.begin()
    assert budget.in_flight == 90
    with pytest.raises(Overloaded):
        budget.lease("b", 20)
    lease.release()
    chunks.hold(200)  # a sample may be larger than a chunk
    assert not chunks.begin()
    for _ in range(4):
        chunks.end()
    assert budget.in_flight == 140
    chunks.release(200)
    budget.lease("a", 100)
    assert chunks.begin(), "one chunk is always read"


def test_a_job_alone_may_hold_three_quarters_and_the_rest_is_for_the_next_one():
    budget = MemoryBudget(100)
    leases = [budget.lease("a", 5) for _ in range(15)]
    with pytest.raises(Overloaded):
        budget.lease("a", 1)
    for _ in range(10):  # "a" returns nothing
        budget.lease("b", 25).release()
        budget.lease("c", 25).release()
    leases.pop().release()
    budget.lease("a", 5)
    assert budget.in_flight == 75


def test_one_batch_is_admitted_however_large():
    budget = MemoryBudget(100)
    large = budget.lease("a", 500)
    with pytest.raises(Overloaded):
        budget.lease("b", 1)
    large.release()
    budget.lease("b", 1)


def test_a_lease_is_returned_once():
    budget = MemoryBudget(100)
    first, second = budget.lease("a", 10), budget.lease("a", 10)
    first.release()
    first.release()
    assert budget.in_flight == 10
    second.release()
    assert budget.in_flight == 0


def test_a_lease_that_is_released_within_another_is_not_counted_any_more():
    """The garbage collector may run a finalizer at any point of `lease`: here between its reading and its writing a sum."""

    class Collecting(int):
        def __radd__(self, other):
            first.release()
            return other + int(self)

    budget = MemoryBudget(100)
    first = budget.lease("a", 10)
    second = budget.lease("a", Collecting(10))
    second.release()
    assert budget.in_flight == 0
    budget.lease("a", 100)  # admitted to a job that holds nothing


def test_a_lease_ends_with_the_last_reference_to_its_array():
    budget, array = MemoryBudget(100), np.zeros(10, np.uint8)
    budget.lease("a", 10).release_with(array)
    view = array[2:]
    del array
    assert budget.in_flight == 10
    del view
    assert budget.in_flight == 0


def test_freed_bytes_go_to_the_job_that_has_fewest():
    clock = Clock()
    budget = MemoryBudget(100, clock)
    greedy = [budget.lease("greedy", 10) for _ in range(7)]
    with pytest.raises(Overloaded):
        budget.lease("new", 40)
    for _ in range(2):
        greedy.pop().release()
        with pytest.raises(TooMuchAtOnce):
            budget.lease("greedy", 10)  # these are reserved for the new one
    new = [budget.lease("new", 40), budget.lease("new", 10)]
    with pytest.raises(TooMuchAtOnce):
        budget.lease("new", 10)
    for lease in new:
        lease.release()
    budget.lease("greedy", 10)  # no other job wants any
    with pytest.raises(Overloaded):
        budget.lease("late", 90)
    with pytest.raises(TooMuchAtOnce):
        budget.lease("greedy", 10)
    clock.now += RESERVED_S + 1  # it did not retry
    budget.lease("greedy", 10)


def test_a_large_batch_is_not_starved_by_many_small_ones():
    clock = Clock()
    budget = MemoryBudget(100, clock)
    jobs = [f"small-{number}" for number in range(5)]
    small = {job: [budget.lease(job, 10), budget.lease(job, 10)] for job in jobs}
    for turn in range(10):  # each retries with its next batch as soon as one is done
        try:
            large = budget.lease("large", 60)
            break
        except Overloaded:
            small[jobs[turn % 5]].pop().release()
            with pytest.raises(TooMuchAtOnce):
                budget.lease(jobs[(turn + 1) % 5], 10)
    assert turn <= 6
    with pytest.raises(Overloaded):
        budget.lease("other", 80)
    large.release()


def test_the_bytes_of_a_request_do_not_count_against_its_own_response():
    budget = MemoryBudget(100)
    budget.lease("a", 60)
    budget.lease("b", 10)
    with pytest.raises(TooMuchAtOnce):
        budget.lease("a", 20)
    budget.lease("a", 20, beside=60)
    assert budget.in_flight == 90


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 60)), max_size=60))
def test_never_over_its_bytes_but_for_one_large_batch(wishes):
    budget, held = MemoryBudget(100), []
    for job, size in wishes:
        try:
            held.append(budget.lease(job, size))
        except (Overloaded, TooMuchAtOnce):
            if held:
                held.pop(0).release()
        assert budget.in_flight == sum(lease.n_bytes for lease in held) <= 100


def test_what_a_failed_piece_held_goes_at_once():
    """Without a collection: the error's frames lead to the future, and the future to the error."""
    thread: FairQueue[None] = FairQueue("test")
    gone = []

    def fail():
        held = np.zeros(1000)
        gone.append(weakref.ref(held))
        raise Cancelled

    gc.disable()
    try:
        future = thread.submit("a", fail)
        assert isinstance(future.exception(), Cancelled)
        assert gone[0]() is None
    finally:
        gc.enable()
        thread.stop()


def test_a_task_that_ends_the_engine_ends_the_thread_and_all_waits():
    thread: FairQueue[None] = FairQueue("test")
    gate = threading.Event()

    def lose():
        gate.wait()
        raise EngineLost("the device is lost")

    lost, behind = thread.submit("a", lose), thread.submit("b", lambda: None)
    gate.set()
    assert isinstance(lost.exception(), EngineLost)
    with pytest.raises(CancelledError):
        behind.result()
    thread.stop()
    assert not thread.alive
    assert thread.submit("a", lambda: None).cancelled()
