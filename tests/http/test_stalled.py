"""A client that stops reading, or reads below the minimum rate, is disconnected; one that is only slow is not."""

import asyncio
import socket
from pathlib import Path

import pytest

from augsvc.http.server.protocol import READ_WINDOW_S, Protocol
from tests.http import serving

LEAST = 100  # bytes, over a window


class Loop:
    """Time that passes when the test says so."""

    def __init__(self):
        self.due = []

    def call_later(self, after_s, function, *arguments):
        assert after_s == READ_WINDOW_S
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
    made.loop, made.transport, made.flow, made._window, made.client = Loop(), Transport(1000), Flow(), None, None
    made._min_window_bytes = LEAST
    return made


def test_a_reader_that_takes_nothing_is_disconnected(protocol):
    protocol.pause_writing()
    protocol.loop.pass_by()
    assert protocol.transport.aborted


def test_a_slow_reader_is_kept_as_long_as_it_takes_enough(protocol):
    protocol.pause_writing()
    for left in (1000 - LEAST, 500, 500 - LEAST, 1):
        protocol.transport.left = left
        protocol.loop.pass_by()
        assert not protocol.transport.aborted
    protocol.loop.pass_by()
    assert protocol.transport.aborted


def test_one_that_takes_a_byte_now_and_then_is_disconnected(protocol):
    protocol.pause_writing()
    protocol.transport.left = 1000 - LEAST + 1
    protocol.loop.pass_by()
    assert protocol.transport.aborted


@pytest.mark.parametrize(("taken", "kept"), [(99_999, False), (100_000, True)])
def test_a_large_answer_is_taken_within_ten_minutes(protocol, taken, kept):
    """At the least pace, 256 MB would lie in the server for hours."""
    protocol.transport.left = 1_000_000
    protocol.pause_writing()
    protocol.transport.left -= taken
    protocol.loop.pass_by()
    assert protocol.transport.aborted == (not kept)


@pytest.mark.parametrize(("pace", "kept"), [(10**9, False), (0, True)])
def test_a_real_reader_against_the_setting(serve, monkeypatch, pace, kept):
    """It takes 49 MB in small pieces, always some, for longer than a window; its batch's memory goes with it."""
    monkeypatch.setattr(serving, "CLEAN", serving.CLEAN | {"PYTHONPATH": str(Path(__file__).parent)})
    replica = serve(operations=["impatient"], min_client_bytes_per_s=pace).ready()
    stream = replica.open({"dataset": "shapes/train", "size": [128, 128]})
    path = f"/v1/streams/{stream['id']}/epochs/0?start=0&count=1000"
    taken = 0
    with replica.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 17)
        try:
            while taken < 1000 * 128 * 128 * 3 and (piece := connection.recv(1 << 17)):
                taken += len(piece)
                replica.get("/healthz")  # some time
        except ConnectionError:
            pass
    assert (taken >= 1000 * 128 * 128 * 3) == kept
    replica.until(lambda: replica.metric("augsvc_in_flight_bytes") == 0)


def test_one_that_took_all_is_not_watched_any_more(protocol):
    protocol.pause_writing()
    protocol.transport.left = 0
    protocol.resume_writing()
    protocol.loop.pass_by()
    assert not protocol.transport.aborted
    assert not protocol.loop.due


@pytest.mark.parametrize("taken", [0, 1])
def test_one_that_never_takes_the_last_bytes_is_disconnected(protocol, taken):
    """They keep the whole batch in memory, though writing goes on."""
    protocol.pause_writing()
    protocol.transport.left = 10
    protocol.resume_writing()
    protocol.transport.left -= taken
    protocol.loop.pass_by()
    assert protocol.transport.aborted == (not taken)
    protocol.transport.left = 0
    protocol.loop.pass_by()
    assert protocol.transport.aborted == (not taken)
    assert not protocol.loop.due
