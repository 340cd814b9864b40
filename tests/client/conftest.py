"""Deadlines that expire after events instead of times, so that no test depends on the machine's speed."""

import socket
import time

import pytest

from augsvc_client.client.retry import RetryState
from augsvc_client.transport.connection import Connections
from augsvc_client.transport.deadline import Deadline


@pytest.fixture
def impatient(monkeypatch):
    """The deadline of every call expires once each replica has failed."""
    failed = RetryState.failed

    def fail(state, replica, err):
        cause = failed(state, replica, err)
        if len(state._causes) == len(state._replicas):
            state._end_s = time.monotonic()
        return cause

    monkeypatch.setattr(RetryState, "failed", fail)


@pytest.fixture
def hurry(monkeypatch):
    """Attempts at one address time out after 0.2 s, those at others do not."""
    exchange = Connections.exchange

    def begin(url):
        def brief(connections, replica, request, deadline):
            return exchange(
                connections, replica, request, Deadline(0.2, float("inf")) if replica.url == url else deadline
            )

        monkeypatch.setattr(Connections, "exchange", brief)

    return begin


@pytest.fixture
def unused_port():
    """A port of 127.0.0.1 that is bound but not listening, so that no other process gets it."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the test may start a server there later
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
