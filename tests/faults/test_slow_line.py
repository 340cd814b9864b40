"""Batches that take longer than an attempt's patience, over a line that carries them: each is asked for once."""

import numpy as np
import pytest

from augsvc_client import AugmentingDataLoader, Client, RemoteDataLoader, ServerUnavailable
from tests.faults.line import Line
from tests.faults.proxy import Plan

BATCH, BATCHES = 64, 4
SPEC = {"dataset": "photos/train", "shuffle": False, "size": [96, 96]}
BYTES_PER_S = 40_000.0  # a batch of 1.8 MB takes 44 s; the first patience is 30 s
TOO_SLOW = 10_000.0


@pytest.fixture
def line(monkeypatch):
    return lambda bytes_per_s: Line(monkeypatch, bytes_per_s)


@pytest.fixture
def proxied(calm, before):
    """A server behind a proxy that does nothing but count."""
    plan = Plan({})
    return before(calm, plan).url, plan


def test_batches_of_a_loader(proxied, line):
    url, plan = proxied
    line(BYTES_PER_S)
    with RemoteDataLoader(url, **SPEC, batch_size=BATCH) as loader:
        steps = iter(loader)
        taken = [next(steps) for _ in range(BATCHES)]
    assert {batch["image"].shape for batch in taken} == {(BATCH, 3, 96, 96)}
    starts = [exchange.start for exchange in plan.asked]
    assert len(starts) == len(set(starts))


def test_frames(proxied, line):
    url, plan = proxied
    line(BYTES_PER_S)
    with Client(url) as client:
        assert len(list(client.stream(SPEC).frames(0, 0, BATCH, frames=BATCHES))) == BATCHES
    assert len(plan.asked) == 1


def test_samples_that_are_pushed(proxied, line):
    """They need the line in both directions."""
    url, plan = proxied
    line(BYTES_PER_S)
    image = np.zeros((BATCH, 96, 96, 3), np.uint8)
    with AugmentingDataLoader([(image,)] * BATCHES, url, fields=("image",)) as loader:
        assert len(list(loader)) == BATCHES
    assert len(plan.asked) == BATCHES


def test_a_line_that_hardly_carries_anything_times_out(proxied, line):
    """After 30 s, after 60 s, and at the call's end."""
    url, plan = proxied
    line(TOO_SLOW)
    with Client(url, wait_s=100) as client:
        stream = client.stream(SPEC)
        with pytest.raises(ServerUnavailable, match="no complete response in time"):
            stream.batch(0, 0, BATCH)
    assert len(plan.asked) == 3


def test_a_line_that_carries_too_little_for_a_call_ends_with_it(proxied, line):
    url, plan = proxied
    line(BYTES_PER_S)
    with Client(url, wait_s=40) as client:
        stream = client.stream(SPEC)
        with pytest.raises(ServerUnavailable, match="within 40 s"):
            stream.batch(0, 0, BATCH)
    assert len(plan.asked) == 1
