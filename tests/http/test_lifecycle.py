"""When a server counts its engine as lost: long after the request that holds it has ended."""

from types import SimpleNamespace

import pytest

from augsvc.http.lifecycle import Lifecycle


@pytest.mark.parametrize(
    ("request_timeout_s", "silence_s", "lost"),
    [(1.0, 29.0, False), (1.0, 31.0, True), (60.0, 119.0, False), (60.0, 121.0, True), (600.0, 1199.0, False)],
)
def test_a_request_ends_before_the_process(request_timeout_s, silence_s, lost):
    """A request is answered with deadline_exceeded, and its work cancelled, at half of this silence."""
    engine = SimpleNamespace(alive=True, ready=True, seconds_since_heartbeat=silence_s)
    assert Lifecycle(engine, SimpleNamespace(), request_timeout_s).must_exit() == lost
