"""The client waits for a server that starts as long as its start makes progress, and no longer than `wait_s` without any."""

import time
from types import SimpleNamespace

import pytest
from replica import Replica

from augsvc_client import Client, ServerUnavailable
from augsvc_client.client import retry

SPEC = {"dataset": "digits/train"}
STEP_S = 100.0  # from one request to the next


def at(step, done):
    return "starting", {"step": step, "done": done, "total": 120, "seconds_left": None}


@pytest.fixture
def starting(monkeypatch):
    """A replica whose start is as given at each request, and a client that waits 250 s on a clock that requests advance."""
    now_s, reported = [0.0], []
    monkeypatch.setattr(retry, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + now_s[0]))
    monkeypatch.setattr(retry, "_MAX_PAUSE_S", 0.001)

    def begin(reports):
        reported[:] = reports
        return client, replica

    with Replica() as replica, Client(replica.url, wait_s=250) as client:

        def advance(_path):
            now_s[0] += STEP_S
            replica.always = reported.pop(0) if len(reported) > 1 else reported[0]

        replica.on_request = advance
        yield begin


def test_a_start_that_makes_progress_is_waited_for(starting):
    kernels, self_test = ([at(step, done) for done in range(5)] for step in ("kernels", "self_test"))
    client, replica = starting([*kernels, *self_test, None])
    client.stream(SPEC)
    assert len(replica.requests) == 11


def test_a_start_that_begins_late_in_the_wait_is_waited_for(starting):
    """A server that was not there is there now: it is further than ever."""
    client, replica = starting(
        [("draining", None), ("draining", None), *(at("kernels", done) for done in range(5)), None]
    )
    client.stream(SPEC)
    assert len(replica.requests) == 8


def test_a_start_without_progress_is_abandoned_after_the_wait(starting):
    client, replica = starting([at("kernels", 3)])
    with pytest.raises(ServerUnavailable, match="no good response within 250 s of the last progress of a start"):
        client.stream(SPEC)
    assert len(replica.requests) == 3


def test_a_server_that_starts_over_and_over_makes_no_progress(starting):
    client, replica = starting([at("kernels", done) for done in (0, 1, 0, 1, 0, 1, 0, 1)])
    with pytest.raises(ServerUnavailable):
        client.stream(SPEC)
    assert len(replica.requests) == 5  # 250 s after the second


def test_a_server_that_only_counts_is_abandoned_after_an_hour(starting):
    client, replica = starting([at("kernels", done) for done in range(1000)])
    with pytest.raises(ServerUnavailable):
        client.stream(SPEC)
    assert len(replica.requests) == 39  # 3,600 s and 250


@pytest.mark.parametrize("progress", [None, 7, [], {"step": 1, "done": 2}, {"step": "kernels"}, {"done": "many"}])
def test_progress_of_another_form_is_none(starting, progress):
    client, replica = starting([("starting", progress)])
    with pytest.raises(ServerUnavailable, match=r"within 250 s \("):
        client.stream(SPEC)
    assert len(replica.requests) == 3
