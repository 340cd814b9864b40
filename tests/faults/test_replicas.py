"""Servers killed, restarted, moved, added and stopped in the middle of an epoch, and what comes out all the same."""

import signal
import threading
from contextlib import ExitStack

import pytest

from augsvc_client import Client, RemoteDataLoader, StreamChanged
from tests.faults.fleet import fleet, killed_at, restart
from tests.faults.proxy import Fault, Plan, Proxy
from tests.http.serving import Serving

BATCH = 10


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    with fleet(tmp_path_factory.mktemp("fleet"), 4) as found:
        yield found


def loader_on(urls, images, **more):
    arguments = {"batch_size": BATCH, "scale": None, "prefetch": 2, "wait_s": 120, "drop_last": False, **more}
    return RemoteDataLoader(urls, **images.spec, **arguments)


def behind(before, taken, plan=None):
    """The addresses of proxies in front of these servers, all under one plan."""
    return [before(serving, plan).url for serving in taken]


@pytest.mark.parametrize("replicas", [1, 2, 4])
def test_each_rank_on_replicas_of_its_choice(servers, images, replicas):
    urls = [serving.url for serving in servers.take(replicas)]
    with ExitStack() as stack:
        ranks = [stack.enter_context(loader_on(urls, images, rank=rank, world_size=4)) for rank in range(4)]
        assert len({loader.id for loader in ranks} | {images.id}) == 1
        images.assert_delivered([batch for loader in ranks for batch in loader])


@pytest.mark.parametrize("start", [0, 30, 50])
def test_a_replica_killed_in_the_first_a_middle_and_the_last_batch(servers, before, images, start):
    plan = Plan({start: killed_at(500)})
    with loader_on(behind(before, servers.take(2), plan), images) as loader:
        images.assert_delivered(loader)
    assert not plan.left


def test_a_replica_killed_within_a_frame(servers, before, images):
    taken = servers.take(2)
    with Client(taken[0].url) as client:
        size = client.stream(images.spec).layout.size(BATCH) + 16
    plan = Plan({0: killed_at(3 * size + 1000)})
    with Client(behind(before, taken, plan), wait_s=120) as client:
        images.assert_delivered(client.stream(images.spec).frames(0, 0, BATCH, frames=images.samples))
    first, *again = [exchange.start for exchange in plan.asked]
    assert first == 0
    assert set(again) == {3 * BATCH}  # more than once where both are only starting


def test_both_replicas_restarted_in_turn(servers, before, images):
    first, second = taken = servers.take(2)
    plan = Plan(
        {10: Fault("cut", "body", 9, then=lambda _: restart(first)), 40: Fault("cut", then=lambda _: restart(second))}
    )
    with loader_on(behind(before, taken, plan), images) as loader:
        images.assert_delivered(loader)
    assert not plan.left


def test_a_replica_that_is_added_takes_over_when_the_first_goes(servers, before, images):
    early, late = servers.take(2)
    late.kill()

    def gone(_):
        early.kill()

    plan = Plan({20: Fault("throttle", then=lambda _: late.begin()), 40: Fault("reset", "header", then=gone)})
    later = Plan({})
    urls = [before(late, later).url, before(early, plan).url]
    try:
        with loader_on(urls, images) as loader:
            images.assert_delivered(loader)
    finally:
        early.begin()
    assert not plan.left
    assert {exchange.start for exchange in later.asked} >= {40}


def test_a_client_that_was_there_before_the_server(servers, before, images):
    (only,) = servers.take(1)
    proxy = before(only)
    only.kill()
    begun = threading.Event()

    def plan(*_):
        if not begun.is_set():  # not listening yet: the connection is reset
            begun.set()
            only.begin()

    proxy.plan = plan
    with loader_on([proxy.url], images) as loader:
        images.assert_delivered(loader)
    assert begun.is_set()


def test_a_server_that_comes_back_on_another_port_behind_the_same_name(servers, before, images):
    ports = []

    def move(proxy: Proxy) -> None:
        serving = proxy.owner
        ports.append(serving.port)
        serving.kill()
        serving.port = 0
        serving.begin()
        proxy.target = ("127.0.0.1", int(serving.url.rpartition(":")[2]))
        ports.append(serving.port)

    plan = Plan({30: Fault("cut", "header", 10, then=move)})
    with loader_on(behind(before, servers.take(1), plan), images) as loader:
        images.assert_delivered(loader)
    assert len(set(ports)) == 2


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("by_frames", [False, True])
def test_a_replica_that_stops_in_mid_request_is_passed_over_and_does_no_harm_later(servers, before, images, by_frames):
    stopped = []

    def halt(proxy: Proxy) -> None:
        proxy.owner.signal(signal.SIGSTOP)
        stopped.append(proxy.owner)

    # the request has come in by half when the process stops, or an answer of frames has begun to come out
    fault = Fault("stall", "body", 30_000, then=halt) if by_frames else Fault("throttle", "request", 40, then=halt)
    plan = Plan({0: fault} if by_frames else {30: fault})
    with ExitStack() as stack:
        urls = behind(before, servers.take(2), plan)
        if by_frames:
            client = stack.enter_context(Client(urls, wait_s=120))
            images.assert_delivered(client.stream(images.spec).frames(0, 0, BATCH, frames=images.samples))
        else:
            loader = stack.enter_context(loader_on(urls, images))
            images.assert_delivered(loader)
        assert stopped
        stopped[0].signal(signal.SIGCONT)
        with loader_on([stopped[0].url], images) as again:
            images.assert_delivered(again)
        stopped[0].until(lambda: stopped[0].metric("augsvc_in_flight_bytes") == 0)


def test_replicas_replaced_one_by_one_under_load(servers, before, images):
    """SIGTERM, a new process at another port, and the next one: no epoch fails, none differs."""
    proxies = [before(serving) for serving in servers.take(2)]
    enough = threading.Event()

    def replace() -> None:
        try:
            for proxy in proxies:
                old = proxy.owner
                old.signal(signal.SIGTERM)
                old.wait()
                old.port = 0
                old.begin()
                proxy.target = ("127.0.0.1", int(old.url.rpartition(":")[2]))
                old.ready()
        finally:
            enough.set()

    replacing = threading.Thread(target=replace)
    with loader_on([proxy.url for proxy in proxies], images) as loader:
        replacing.start()
        epochs = 0
        while not enough.is_set() or epochs < 2:
            loader.set_epoch(epochs % 2)
            images.assert_delivered(loader, epochs % 2)
            epochs += 1
    replacing.join()


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """A replica with another executor: other bytes for the same specification."""
    serving = Serving(tmp_path_factory.mktemp("foreign"), {"executor": "kornia"})
    try:
        yield serving.ready(wait_for_self_test=False)
    finally:
        serving.stop()


def test_replicas_replaced_by_ones_of_another_arithmetic(servers, foreign, before, images):
    """The client ends its epoch on the old one; when that is gone too, it stops with one clear error."""
    (old,) = servers.take(1)
    proxy = before(old)
    urls = [foreign.url, proxy.url]
    with loader_on(urls, images, id=images.id) as loader:
        images.assert_delivered(loader)
    with loader_on(urls, images, id=images.id, prefetch=1) as loader:
        running = iter(loader)
        next(running)
        proxy.target = ("127.0.0.1", foreign.port)
        proxy.break_off()
        with pytest.raises(StreamChanged, match="arithmetic is"):
            list(running)
