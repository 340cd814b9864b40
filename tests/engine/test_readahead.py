"""What is computed before it is asked for: whose, how much, and that nothing of it stays."""

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augsvc.engine.readahead import IDLE_S, ReadAhead
from augsvc.streams.stream import Range
from tests.harness import run

STREAM = run([], list(np.zeros((100, 8, 8, 3), np.uint8)), shuffle=True).stream
ONE = STREAM.layout.size(10)
WORKERS = ThreadPoolExecutor(2)


def part(start, epoch=0, count=10):
    return Range(epoch, start, count, 0)


def compute(ahead):
    """What the engine does with one idle moment: the start of what it computed, or None."""
    guess = ahead.begin()
    if guess is None:
        return None
    body = STREAM.produce(*(getattr(guess.part, name) for name in ("epoch", "start", "count", "view")), WORKERS, int)
    ahead.finished(guess, body)
    guess.future.set_result(body)
    return guess.part.start


def ask(ahead, start, job="a", **where):
    """One request that is answered at once."""
    guess = ahead.asked(job, STREAM, part(start, **where))
    ahead.answered(job, STREAM, part(start, **where))
    return guess


def test_the_next_one_is_computed_kept_and_taken_once():
    ahead = ReadAhead(10 * ONE)
    assert [ask(ahead, start) for start in (0, 10)] == [None, None]
    assert compute(ahead) == 20
    assert compute(ahead) is None  # one request at a time wants one ahead
    assert ahead.taken == ONE
    found = ask(ahead, 20).future.result()
    assert found.buffer.tobytes() == STREAM.produce(0, 20, 10, 0, WORKERS, int).buffer.tobytes()
    assert (ahead.taken, ahead.hits) == (0, 1)
    assert ask(ahead, 20) is None


def test_off_it_does_nothing():
    ahead = ReadAhead(0)
    for start in range(0, 100, 10):
        assert ask(ahead, start) is None
        assert compute(ahead) is None


def test_as_many_ahead_as_were_asked_for_at_once():
    ahead = ReadAhead(10 * ONE)
    for start in (0, 10, 20):
        ahead.asked("a", STREAM, part(start))
    assert [compute(ahead) for _ in range(4)] == [30, 40, 50, None]


def test_a_job_gets_its_share_and_others_theirs():
    ahead = ReadAhead(4 * ONE)
    for start in range(0, 80, 10):
        ahead.asked("greedy", STREAM, part(start, epoch=5))
    assert [compute(ahead) for _ in range(5)] == [80, 90, 0, 10, None]
    assert ahead.taken == 4 * ONE
    for start in (0, 10, 20):
        ahead.asked("late", STREAM, part(start))
    assert [compute(ahead) for _ in range(3)] == [30, 40, None]
    assert (ahead.taken, ahead.wasted) == (4 * ONE, 2)
    assert ahead.asked("late", STREAM, part(30)) is not None


def test_what_is_in_hand_is_the_request_s_own_when_it_comes():
    ahead = ReadAhead(10 * ONE)
    ask(ahead, 0), ask(ahead, 10)
    guess = ahead.begin()
    assert ahead.taken == ONE
    assert ask(ahead, 20) is guess
    assert ahead.taken == 0  # the room of what was asked for counts it now
    assert not ahead.give_way(guess)


def test_what_is_in_hand_gives_way_and_is_begun_again():
    ahead = ReadAhead(10 * ONE)
    ask(ahead, 0), ask(ahead, 10)
    guess = ahead.begin()
    assert ahead.give_way(guess)
    ahead.failed(guess)  # its work ends by Cancelled
    assert ahead.taken == 0
    assert ask(ahead, 20) is None
    assert compute(ahead) == 30


def test_what_cannot_be_computed_is_not_tried_again_and_hides_no_error():
    ahead = ReadAhead(10 * ONE)
    ask(ahead, 0), ask(ahead, 10)
    ahead.failed(ahead.begin())
    assert compute(ahead) is None
    assert ahead.taken == 0
    assert ask(ahead, 20) is None  # the request computes it, and hears why


def test_a_job_that_jumps_or_ends_leaves_nothing_behind():
    now = [0.0]
    ahead = ReadAhead(10 * ONE, lambda: now[0])
    ask(ahead, 0), ask(ahead, 10), compute(ahead)
    ask(ahead, 50, epoch=9)
    assert (ahead.taken, ahead.wasted) == (0, 1)
    ask(ahead, 60, epoch=9), compute(ahead)
    assert ahead.taken == ONE
    now[0] += IDLE_S + 1
    assert compute(ahead) is None
    assert (ahead.taken, ahead.wasted) == (0, 2)


def test_a_body_goes_with_who_took_it_without_a_collection():
    ahead = ReadAhead(10 * ONE)
    gc.disable()
    try:
        ask(ahead, 0), ask(ahead, 10), compute(ahead)
        kept = ask(ahead, 20).future.result()
        gone = weakref.ref(kept.buffer)
        del kept
        assert gone() is None
    finally:
        gc.enable()


STEPS = st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.integers(0, 9), st.sampled_from([5, 10, 30]))


@pytest.mark.parametrize("most", [ONE // 2, ONE, 3 * ONE])
@settings(max_examples=25, deadline=None)
@given(steps=st.lists(STEPS, max_size=30))
def test_never_over_its_bytes_and_all_come_back(most, steps):
    now = [0.0]
    ahead, asked = ReadAhead(most, lambda: now[0]), dict.fromkeys("abc", 0)
    for job, idle, jump, count in steps:
        start = asked[job] = (asked[job] + (count if jump else 70)) % 90
        ask(ahead, start, job, count=count)
        for _ in range(idle):
            compute(ahead)
            assert 0 <= ahead.taken <= most
    now[0] += IDLE_S + 1
    assert compute(ahead) is None
    assert ahead.taken == 0
