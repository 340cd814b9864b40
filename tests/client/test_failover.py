"""Clients spread over replicas: from the start, when one goes, and when it comes back."""

import random
from collections import Counter
from contextlib import ExitStack

import pytest
from replica import Replica

from augsvc_client import Client
from augsvc_client.client import failover
from augsvc_client.client.failover import RETURN_AFTER_S, ReplicaSet
from augsvc_client.transport.address import Replica as Address

FOUR = [Address.parse(f"http://127.0.0.1:{port}") for port in range(1, 5)]
SPEC = {"dataset": "digits/train"}


@pytest.fixture
def many(monkeypatch):
    """600 clients of four replicas."""
    monkeypatch.setattr(failover, "_RANDOM", random.Random(0))
    now_s = [0.0]
    clients = [ReplicaSet(FOUR, lambda: now_s[0]) for _ in range(600)]
    return clients, now_s


def loads(clients):
    return Counter(one.order()[0] for one in clients)


def test_clients_that_begin_together_spread(many):
    clients, _ = many
    found = loads(clients)
    assert set(found) == set(FOUR)
    assert all(120 <= count <= 180 for count in found.values())  # 150 with a standard deviation of 11


def test_those_of_one_that_goes_spread_over_the_others_and_go_back_when_it_does(many):
    clients, now_s = many
    gone, before = FOUR[2], loads(clients)
    theirs = [one for one in clients if one.order()[0] == gone]
    for one in theirs:
        one.took_over(one.order()[1])
    more = loads(clients) - before
    assert set(more) == {FOUR[0], FOUR[1], FOUR[3]}
    assert all(30 <= count <= 70 for count in more.values())
    assert not any(one.due_for_return() for one in clients)
    now_s[0] = RETURN_AFTER_S
    looking = [one for one in clients if one.due_for_return() == gone]
    assert 0 < len(looking) < len(theirs)  # not all at the same time
    assert not any(one.due_for_return() for one in looking)  # and each once
    for number in range(2, 4):
        now_s[0] = number * 1.5 * RETURN_AFTER_S
        for one in clients:
            if one.due_for_return() is not None:
                one.return_to_preferred()
    assert loads(clients) == before


def test_a_client_goes_back_to_its_own_replica_when_that_can_serve_and_not_before():
    with ExitStack() as stack:
        running = [stack.enter_context(Replica()) for _ in range(2)]
        client = stack.enter_context(Client([one.url for one in running], wait_s=60))
        own, other = sorted(running, key=lambda one: one.url != client._replicas.replicas[0].url)
        now_s = [0.0]
        client._replicas._clock = lambda: now_s[0]
        stream = client.stream(SPEC)
        own.always = "503"
        stream.batch(0, 0, 1)
        for ready in (False, True):
            own.always = None if ready else "503"
            now_s[0] += 2 * RETURN_AFTER_S
            own.requests.clear()
            asked = len(other.batches())
            stream.batch(0, 1, 1)
            assert own.requests[0][1] == "/readyz"
            assert own.batches() == [(0, 1, 1)] * ready
            assert len(other.batches()) == asked + (not ready)
