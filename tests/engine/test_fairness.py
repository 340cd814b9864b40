"""Who is served next, and who may hold how much."""

import gc
import threading
import weakref
from concurrent.futures import CancelledError, wait

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augsvc.engine.fair_queue import FairThread, Piece
from augsvc.engine.memory_budget import WANTING_S, Room
from augsvc.errors import Cancelled, EngineLost, Overloaded, TooMuchAtOnce


def served(pieces, quantum=10):
    """The order in which a thread does (job, cost) pieces that are all there when it begins."""
    thread: FairThread[None] = FairThread(quantum, "test")
    gate, order = threading.Event(), []
    thread.submit("gate", 0, gate.wait)
    futures = [thread.submit(job, cost, lambda job=job, cost=cost: order.append((job, cost))) for job, cost in pieces]
    gate.set()
    wait(futures)
    thread.stop()
    return order


def test_a_job_keeps_its_order():
    assert served([("a", cost) for cost in (5, 1, 30, 2)]) == [("a", cost) for cost in (5, 1, 30, 2)]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=40), st.lists(st.integers(1, 40), min_size=1, max_size=40))
def test_two_jobs_get_the_same_as_long_as_both_want(ours, theirs):
    order = served([("a", cost) for cost in ours] + [("b", cost) for cost in theirs])
    assert sorted(order) == sorted([("a", cost) for cost in ours] + [("b", cost) for cost in theirs])
    got, left = {"a": 0, "b": 0}, {"a": len(ours), "b": len(theirs)}
    for job, cost in order:
        got[job] += cost
        left[job] -= 1
        if not all(left.values()):
            break
        assert abs(got["a"] - got["b"]) <= 40 + 10  # a largest piece and a quantum, at any time


def test_a_small_piece_does_not_wait_for_all_of_a_greedy_job():
    order = served([("greedy", 100)] * 20 + [("small", 1)], quantum=10)
    assert order.index(("small", 1)) <= 1


def test_what_is_cancelled_is_not_done_and_stop_cancels_the_rest():
    thread: FairThread[None] = FairThread(10, "test")
    gate, begun, cut, done = threading.Event(), threading.Event(), threading.Event(), []

    def hold():
        begun.set()
        gate.wait()

    first = thread.submit("a", 1, hold)
    given_up = thread.submit("a", 1, lambda: done.append("given up"))
    kept = thread.submit("a", 1, lambda: done.append("kept"))
    kept.add_done_callback(lambda _: cut.set())
    assert given_up.cancel()
    begun.wait()
    stopping = threading.Thread(target=thread.stop)
    stopping.start()
    cut.wait()
    gate.set()
    stopping.join()
    assert first.done()
    assert kept.cancelled()
    assert thread.submit("a", 1, lambda: None).cancelled()
    assert done == []


def test_what_is_cancelled_lets_go_of_what_it_would_have_worked_on():
    thread: FairThread[None] = FairThread(10, "test")
    gate, begun = threading.Event(), threading.Event()
    thread.submit("a", 1, lambda: (begun.set(), gate.wait(), None)[2])
    begun.wait()
    held = np.zeros(1000)
    gone = weakref.ref(held)
    future = thread.submit("a", 1, lambda held=held: held.sum() and None)
    del held
    assert gone() is not None
    future.cancel()
    assert gone() is None
    gate.set()
    thread.stop()


def test_a_result_goes_with_the_last_one_who_wants_it():
    """Without a collection: what a batch's memory counts for must come free when it is sent."""
    thread: FairThread[np.ndarray] = FairThread(10, "test")
    gc.disable()
    try:
        future = thread.submit("a", 1, lambda: np.zeros(1000))
        gone = weakref.ref(future.result())
        thread.submit("a", 1, lambda: np.zeros(1)).result()  # its thread holds the next one
        del future
        assert gone() is None
    finally:
        gc.enable()
        thread.stop()


def test_an_error_belongs_to_its_piece():
    thread: FairThread[int] = FairThread(10, "test")
    bad, good = thread.submit("a", 1, lambda: 1 // 0), thread.submit("a", 1, lambda: 7)
    with pytest.raises(ZeroDivisionError):
        bad.result()
    assert good.result() == 7
    thread.stop()


def test_how_long_the_piece_in_hand_has_given_no_sign():
    clock = Clock()
    thread: FairThread[None] = FairThread(10, "test", clock=clock)
    gate, begun = threading.Event(), threading.Event()
    piece = thread.submit("a", 1, lambda: (begun.set(), gate.wait(), None)[2])
    begun.wait()
    clock.now += 7
    assert thread.silent_s == 7
    thread.sign()
    assert thread.silent_s == 0
    clock.now += 3
    assert thread.silent_s == 3
    gate.set()
    piece.result()
    thread.stop()
    clock.now += 100
    thread.sign()  # of something that is over
    clock.now += 100
    assert thread.silent_s == 0


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_job_alone_may_take_three_quarters_and_the_rest_is_for_whoever_comes():
    room = Room(100)
    for _ in range(15):
        room.take("a", 5)
    with pytest.raises(Overloaded):
        room.take("a", 1)
    for _ in range(10):  # "a" gives nothing back
        room.take("b", 25)
        room.release("b", 25)
        room.take("c", 25)
        room.release("c", 25)
    room.release("a", 5)
    room.take("a", 5)
    assert room.taken == 75


def test_one_batch_is_let_in_however_large():
    room = Room(100)
    room.take("a", 500)
    with pytest.raises(Overloaded):
        room.take("b", 1)
    room.release("a", 500)
    room.take("b", 1)


def test_what_comes_free_goes_to_who_has_less():
    clock = Clock()
    room = Room(100, clock)
    for _ in range(7):
        room.take("greedy", 10)
    with pytest.raises(Overloaded):
        room.take("new", 40)
    for _ in range(2):
        room.release("greedy", 10)
        with pytest.raises(TooMuchAtOnce):
            room.take("greedy", 10)  # its share is kept for the new one
    room.take("new", 40)
    room.take("new", 10)
    with pytest.raises(TooMuchAtOnce):
        room.take("new", 10)
    room.release("new", 40)
    room.release("new", 10)
    room.take("greedy", 10)  # nobody else wants any
    with pytest.raises(Overloaded):
        room.take("late", 90)
    with pytest.raises(TooMuchAtOnce):
        room.take("greedy", 10)
    clock.now += WANTING_S + 1  # it did not come back
    room.take("greedy", 10)


def test_a_large_piece_is_not_starved_by_many_small_ones():
    clock = Clock()
    room = Room(100, clock)
    jobs = [f"small-{number}" for number in range(5)]
    for job in jobs * 2:
        room.take(job, 10)
    for turn in range(10):  # each comes back with the next piece as soon as one is done
        try:
            room.take("large", 60)
            break
        except Overloaded:
            room.release(jobs[turn % 5], 10)
            with pytest.raises(TooMuchAtOnce):
                room.take(jobs[(turn + 1) % 5], 10)
    assert turn <= 6
    with pytest.raises(Overloaded):
        room.take("other", 80)
    room.release("large", 60)


def test_what_a_piece_of_work_holds_does_not_stand_in_its_own_way():
    room = Room(100)
    room.take("a", 60)
    room.take("b", 10)
    with pytest.raises(TooMuchAtOnce):
        room.take("a", 20)
    room.take("a", 20, beside=60)
    assert room.taken == 90


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 60)), max_size=60))
def test_never_over_its_bytes_but_for_one_large_batch(wishes):
    room, held = Room(100), []
    for job, size in wishes:
        try:
            room.take(job, size)
            held.append((job, size))
        except (Overloaded, TooMuchAtOnce):
            if held:
                room.release(*held.pop(0))
        assert room.taken == sum(size for _, size in held) <= 100


def test_who_is_idle_does_what_nobody_asked_for_and_only_then():
    done, ideas = [], [Piece(0, lambda: done.append("idle")) for _ in range(2)]
    thread: FairThread[None] = FairThread(10, "test", lambda: ideas.pop() if ideas else None)
    gate, begun = threading.Event(), threading.Event()
    thread.submit("a", 1, lambda: (begun.set(), gate.wait(), done.append("first"))[2])
    begun.wait()
    ideas[:] = [Piece(0, lambda: done.append("idle"))]
    last = ideas[0].future
    thread.submit("a", 1, lambda: done.append("second"))
    assert thread.wanted
    done.clear()
    gate.set()
    last.result()
    assert done == ["first", "second", "idle"]
    ideas.append(Piece(0, lambda: done.append("woken")))
    woken = ideas[0].future
    thread.wake()
    woken.result()
    assert done[-1] == "woken"
    thread.stop()


def test_what_a_failed_piece_held_goes_at_once():
    """Without a collection: the error's frames lead to the future, and the future to the error."""
    thread: FairThread[None] = FairThread(10, "test")
    gone = []

    def fail():
        held = np.zeros(1000)
        gone.append(weakref.ref(held))
        raise Cancelled

    gc.disable()
    try:
        future = thread.submit("a", 1, fail)
        assert isinstance(future.exception(), Cancelled)
        assert gone[0]() is None
    finally:
        gc.enable()
        thread.stop()


def test_a_piece_that_the_engine_does_not_survive_ends_the_thread_and_nobody_waits():
    thread: FairThread[None] = FairThread(10, "test")
    gate = threading.Event()

    def lose():
        gate.wait()
        raise EngineLost("the device is lost")

    lost, behind = thread.submit("a", 1, lose), thread.submit("b", 1, lambda: None)
    gate.set()
    assert isinstance(lost.exception(), EngineLost)
    with pytest.raises(CancelledError):
        behind.result()
    thread.stop()
    assert not thread.alive
    assert thread.submit("a", 1, lambda: None).cancelled()
