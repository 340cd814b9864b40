"""A body's memory is the caller's own for as long as any array of it lives, and used again after that."""

import gc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from augsvc_client.transport.buffers import Buffers

MB = 1 << 20


def place(array) -> int:
    return array.__array_interface__["data"][0]


def test_memory_is_used_again_only_when_the_last_view_is_gone():
    buffers = Buffers()
    body = buffers.take(2 * MB)
    view, there = body[5:9].view(np.uint32), place(body)
    del body
    gc.collect()
    other = buffers.take(2 * MB)
    assert place(other) != there
    del view
    assert place(buffers.take(2 * MB - 100)) == there


def test_buffers_much_larger_or_smaller_than_requested_are_dropped():
    buffers = Buffers()
    for n_bytes in (2 * MB, 5 * MB, 2 * MB):
        assert len(buffers.take(n_bytes)) == n_bytes
    assert [len(memory) for memory in buffers._idle] == [2 * MB]
    buffers.clear()
    assert not buffers._idle


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([100, MB, 2 * MB])), max_size=40))
def test_no_two_bodies_that_live_share_memory(steps):
    buffers, living = Buffers(), []
    for number, (drop, n_bytes) in enumerate(steps):
        if drop and living:
            living.pop(0)
        body = buffers.take(n_bytes)
        body[:] = number
        living.append((number, body[: n_bytes // 2]))
    assert all((body == number).all() for number, body in living)
    assert len(buffers._idle) <= 8
