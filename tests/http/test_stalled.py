"""A reader that stopped is let go, one that is only slow is not."""

import asyncio

import pytest

from augsvc.http.server import STALLED_S, Protocol


class Loop:
    """Time that passes when the test says so."""

    def __init__(self):
        self.due = []

    def call_later(self, after_s, function, *arguments):
        assert after_s == STALLED_S
        handle = asyncio.TimerHandle(0.0, function, arguments, asyncio.new_event_loop())
        handle._loop.close()
        self.due.append(handle)
        return handle

    def pass_by(self):
        due, self.due = self.due, []
        for handle in due:
            if not handle.cancelled():
                handle._callback(*handle._args)


class Transport:
    def __init__(self, left):
        self.left, self.aborted = left, False

    def get_write_buffer_size(self):
        return self.left

    def abort(self):
        self.aborted = True


class Flow:
    def pause_writing(self):
        pass

    resume_writing = pause_writing


@pytest.fixture
def protocol():
    made = Protocol.__new__(Protocol)  # without a server behind it: only the watch is looked at
    made.loop, made.transport, made.flow, made._stalled = Loop(), Transport(1000), Flow(), None
    return made


def test_a_reader_that_takes_nothing_is_let_go(protocol):
    protocol.pause_writing()
    protocol.loop.pass_by()
    assert protocol.transport.aborted


def test_a_slow_reader_is_kept_as_long_as_it_takes_some(protocol):
    protocol.pause_writing()
    for left in (999, 500, 1):
        protocol.transport.left = left
        protocol.loop.pass_by()
        assert not protocol.transport.aborted
    protocol.loop.pass_by()
    assert protocol.transport.aborted


def test_one_that_took_all_is_not_watched_any_more(protocol):
    protocol.pause_writing()
    protocol.resume_writing()
    protocol.loop.pass_by()
    assert not protocol.transport.aborted
    assert not protocol.loop.due
