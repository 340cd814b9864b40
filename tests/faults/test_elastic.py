"""Batch size, world size and the way to the server change mid-epoch; a run resumes at its position."""

import json
from contextlib import ExitStack

import pytest

from augsvc_client import Client, RemoteDataLoader
from tests.faults.epochs import IMAGES, Undisturbed
from tests.faults.fleet import restart
from tests.faults.proxy import Fault, Plan
from tests.http.serving import Serving


def loader_on(urls, spec, **more):
    arguments = {"scale": None, "prefetch": 2, "wait_s": 120, "drop_last": False, **more}
    return RemoteDataLoader(urls, **spec, **arguments)


@pytest.fixture(scope="module")
def near(tmp_path_factory):
    """A replica on a Unix socket."""
    serving = Serving(tmp_path_factory.mktemp("near"), {"uds": str(tmp_path_factory.mktemp("run") / "augsvc.sock")})
    try:
        yield serving.ready()
    finally:
        serving.stop()


def steps(urls, spec, state, how_many, world_size, batch_size):
    """Runs all ranks for some steps from a state; the batches, and the state after them."""
    batches, states = [], []
    for rank in range(world_size):
        with loader_on(urls, spec, rank=rank, world_size=world_size, batch_size=batch_size) as loader:
            if state is not None:
                loader.load_state_dict(json.loads(json.dumps(state)))
            for number, batch in enumerate(loader, 1):
                batches.append(batch)
                states.append(loader.state_dict())
                if number == how_many:
                    break

    return batches, states[-1]


def test_batch_size_and_world_size_change_mid_epoch(calm, before, images):
    """1 rank of 10, 3 ranks of 4, 2 ranks of 7, the rest on 4 ranks of 5; every change meets a connection that breaks."""
    plan = Plan({start: Fault("cut", "body", 700) for start in (0, 10, 22, 45)})
    urls = [before(calm, plan).url]
    found, state = steps(urls, images.spec, None, 1, 1, 10)
    for how_many, world_size, batch_size in ((1, 3, 4), (1, 2, 7), (60, 4, 5)):
        more, state = steps(urls, images.spec, state, how_many, world_size, batch_size)
        found += more
    images.assert_delivered(found)


@pytest.mark.parametrize("position", [0, 1, 29, 59])
def test_a_state_is_resumed_in_one_round_trip_wherever_it_was(calm, before, images, position):
    """The stream is asked for once, as at any start; then data from the position on, the next batch beside the first."""
    plan = Plan({})
    urls = [before(calm, plan).url]
    with loader_on(urls, images.spec, batch_size=60) as loader:
        state = {**loader.state_dict(), "position": position}
    plan.seen.clear()
    with loader_on(urls, images.spec, batch_size=7, prefetch=1) as loader:
        loader.load_state_dict(state)
        first = next(iter(loader))
        assert [exchange.method for exchange in plan.seen[:2]] == ["POST", "GET"]
        assert min(exchange.start for exchange in plan.asked if "/epochs/0" in exchange.path) == position
    assert first["index"].tolist() == images.whole[0]["index"][position : position + 7].tolist()


@pytest.fixture(scope="module")
def larger(calm):
    """16 kB a sample: an answer is long enough to be cut far inside."""
    return Undisturbed.from_server(calm, {**IMAGES, "size": [64, 64]})


def test_batches_frames_and_a_unix_socket_mixed(calm, near, before, larger):
    """Every third of the epoch by another way, each way over TCP broken once."""
    plan = Plan({0: Fault("reset", "body", 999), 1: Fault("cut", "body", 90_000), 2: Fault("truncate")}, by="number")
    far = before(calm, plan).url
    with ExitStack() as stack:
        over_tcp = stack.enter_context(Client(far, wait_s=120)).stream(larger.spec)
        over_unix = stack.enter_context(Client(near.url, wait_s=120)).stream(larger.spec)
        either = stack.enter_context(Client([far, near.url], wait_s=120)).stream(larger.spec)
        assert over_tcp.id == over_unix.id == either.id == larger.id
        found = [
            over_tcp.batch(0, 0, 10),
            *over_tcp.frames(0, 10, 5, frames=2),
            over_unix.batch(0, 20, 7),
            *over_unix.frames(0, 27, 3, frames=4),
            either.batch(0, 39, 11),
            *either.frames(0, 50, 4, frames=9),
        ]
    larger.assert_delivered(found)
    assert not plan.left


def test_a_server_on_a_unix_socket_killed_in_mid_epoch(near, larger):
    with loader_on([near.url], larger.spec, batch_size=6) as loader:
        running = iter(loader)
        found = [next(running) for _ in range(3)]
        restart(near)
        larger.assert_delivered([*found, *running])
