"""How many requests are kept in flight, over links, engines and trainers of any deadline: simulated, with a clock of its own."""

import threading
from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augsvc_client.loaders.prefetch import Address, ReadAhead, Shares
from augsvc_client.loaders.window import MOST, MOST_BYTES, InFlight


class Run:
    """A consumer, a link, and an engine that computes one batch after the other."""

    def __init__(self, link_s, engine_s, *, least=4, n_bytes=1):
        self.now_s = self.free_s = 0.0
        self.link_s, self.engine_s, self.n_bytes = link_s, engine_s, n_bytes
        self.window = InFlight(least, lambda: self.now_s)
        self.asked, self.flying = 0, deque()

    def steps(self, times, step_s):
        """Seconds that the consumer waited for each, and how many were to be in flight at each."""
        waits, wanted = [], []
        for _ in range(times):
            self._fill()
            self.asked -= 1
            self._fill()
            begun_s = self.now_s
            while len(self.flying) > self.asked:
                self._pass(self.flying[0][0])
            waits.append(self.now_s - begun_s)
            wanted.append(self.window.wanted)
            self._pass(self.now_s + step_s)
        return waits, wanted

    def _fill(self):
        while self.asked < self.window.wanted:
            self.free_s = max(self.free_s, self.now_s + self.link_s / 2) + self.engine_s
            self.flying.append((self.free_s + self.link_s / 2, self.window.sent()))
            self.asked += 1

    def _pass(self, until_s):
        while self.flying and self.flying[0][0] <= until_s:
            self.now_s, sent = self.flying.popleft()
            self.window.answered(sent, self.n_bytes)
        self.now_s = until_s


MS = st.integers(0, 100).map(lambda ms: ms / 1000)


@settings(max_examples=200, deadline=None)
@given(link_s=MS, engine_s=MS, step_s=MS, least=st.integers(1, 6))
def test_the_trainer_waits_for_the_engine_alone_and_no_more_is_in_flight_than_that_takes(
    link_s, engine_s, step_s, least
):
    pace_s = max(engine_s, step_s, 1e-3)
    holds = (link_s + engine_s) / pace_s
    if holds > MOST / 2:
        return
    waits, wanted = Run(link_s, max(engine_s, 1e-3), least=least).steps(400, step_s)
    assert max(wanted[50:]) <= max(least, 2 * holds + 3)
    assert sum(waits[200:]) / 200 == pytest.approx(pace_s - step_s, abs=2e-4)


def test_it_grows_over_a_far_link_within_some_round_trips():
    run = Run(0.1, 0.002)
    waits, _ = run.steps(100, 0.01)
    assert waits[0] > 0.1
    assert run.now_s < 100 * 0.01 + 1.0
    assert max(run.steps(100, 0.01)[0]) == 0.0
    assert 18 <= run.window.wanted <= 23


@pytest.mark.parametrize("step_s", [0.0, 0.005, 0.1])
def test_a_slow_engine_or_trainer_nearby_changes_nothing(step_s):
    assert set(Run(0.0001, 0.005).steps(300, step_s)[1]) == {4}


def test_it_shrinks_when_the_trainer_slows_down_and_survives_a_pause():
    run = Run(0.1, 0.002)
    run.steps(200, 0.01)
    assert run.window.wanted >= 18
    run.steps(1, 60.0)
    assert max(run.steps(200, 0.01)[0][150:]) == 0.0
    run.steps(100, 0.1)
    assert run.window.wanted == 4


def test_it_is_bounded_by_bytes_and_by_number_but_keeps_what_was_asked_for():
    for n_bytes, least, most in ((1, 4, MOST), (MOST_BYTES // 7, 4, 7), (MOST_BYTES, 4, 4), (1, 50, 50)):
        assert max(Run(0.1, 1e-4, least=least, n_bytes=n_bytes).steps(300, 0.0)[1]) == most


class Set(InFlight):
    """As many as the test says."""

    def answered(self, sent, n_bytes):
        """Changes nothing."""


def test_a_window_that_grows_and_shrinks_keeps_order_and_starts_threads_as_they_are_needed():
    asked, together, in_flight = [], threading.Barrier(9), Set(2)

    def fetch(address, waited_s):
        asked.append(address.start)
        if 20 <= address.start < 29:
            together.wait(30)
        return {"at": np.array(address)}

    before = threading.active_count()
    window = ReadAhead(fetch, in_flight)
    for start in range(29):
        if start == 19:
            assert threading.active_count() == before + 2
            in_flight.wanted = 9
        elif start == 20:
            assert threading.active_count() == before + 9
            in_flight.wanted = 1
        place = Address(0, start, 1)
        ahead = Shares(100, 1, 0, 1, True).ahead(0, start, onward=False)
        assert Address(*window.take(place, ahead)["at"]) == place
    assert max(asked) <= 29
    window.stop()


def test_a_slow_line_is_not_shared_by_more_and_more():
    """Each waits for the bytes of all: a server gives up readers below 16 kB/s."""
    now_s = [0.0]
    window = InFlight(4, lambda: now_s[0])
    for _ in range(50):
        sent = [window.sent() for _ in range(window.wanted)]
        now_s[0] += 2.0 * len(sent)
        for one in sent:
            window.answered(one, 100_000)
        assert window.wanted == 4
