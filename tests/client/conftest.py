"""Deadlines that pass when something has happened, not when a clock says so: no test depends on the machine's speed."""

import socket
import time

import pytest

from augsvc_client.client.retry import RetryState
from augsvc_client.transport.connection import Connections
from augsvc_client.transport.deadline import Deadline


@pytest.fixture
def impatient(monkeypatch):
    """The deadline of every call passes as soon as each replica has failed once."""
    failed = RetryState.failed

    def fail(state, replica, err):
        cause = failed(state, replica, err)
        if len(state._causes) == len(state._replicas):
            state._end_s = time.monotonic()
        return cause

    monkeypatch.setattr(RetryState, "failed", fail)


@pytest.fixture
def hurry(monkeypatch):
    """Lets attempts at one address end after a moment, and those at others take their time."""
    exchange = Connections.exchange

    def begin(url):
        def brief(connections, replica, request, deadline):
            return exchange(
                connections, replica, request, Deadline(0.2, float("inf")) if replica.url == url else deadline
            )

        monkeypatch.setattr(Connections, "exchange", brief)

    return begin


@pytest.fixture
def nobody():
    """A port of 127.0.0.1 that is taken, so that no other process gets it, and where nobody listens."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a server of the test's own may come later
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
