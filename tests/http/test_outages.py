"""Replicas that are not there yet, are killed, come back, or serve something else: the epoch goes on, or says why not."""

import json
import logging
import socket
import threading
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from augsvc_client import Client, RemoteDataLoader, ServerUnavailable, StreamChanged
from tests.http.serving import write_image_folder

SPEC = {"dataset": "digits/train", "pipeline": "standard", "subset": {"per_class": 6, "seed": 0}, "size": [12, 12]}
N, BATCH = 60, 5
TOTAL = "augsvc_samples_total"


@pytest.fixture
def failure():
    """Set when a client has logged that a replica does not respond."""
    warned = threading.Event()

    class Listener(logging.Handler):
        def emit(self, record):
            warned.set()

    listener = Listener()
    logging.getLogger("augsvc_client").addHandler(listener)
    yield warned
    logging.getLogger("augsvc_client").removeHandler(listener)


@pytest.fixture(scope="module")
def undisturbed(server):
    """What every address must give, whatever happens on the way."""
    return server.batch(server.open(SPEC), 0, 0, N).arrays


@pytest.fixture(scope="module")
def pair(serve):
    """Two replicas that a test may kill; it starts them again."""
    both = (serve(), serve())
    return [one.ready() for one in both]


def loader_on(*urls, **more):
    arguments = {**SPEC, "batch_size": BATCH, "scale": None, "prefetch": 2, "wait_s": 120, "drop_last": False, **more}
    return RemoteDataLoader(list(urls), **arguments)


def assert_whole(batches, undisturbed):
    """The epoch, exactly once, in order, in the same bytes."""
    assert batches[0].keys() == undisturbed.keys()
    for key, tensor in undisturbed.items():
        assert np.array_equal(np.concatenate([batch[key].numpy() for batch in batches]), tensor), key
    assert sorted(int(i) for batch in batches for i in batch["index"]) == sorted(undisturbed["index"].tolist())


def test_a_client_waits_for_a_server_that_is_started_after_it(serve, failure, undisturbed):
    with closing(socket.socket()) as reserved:  # bound, not listening: reserves the port for the server
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        starter = threading.Thread(target=lambda: failure.wait(60) and serve(port=port))
        starter.start()
        try:
            with loader_on(f"http://127.0.0.1:{port}") as loader:
                batches = list(loader)
        finally:
            starter.join()
    assert failure.is_set()
    assert_whole(batches, undisturbed)


def test_a_server_that_is_not_there_is_named_when_the_time_is_over():
    with closing(socket.socket()) as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        with Client(url, wait_s=0.2) as client, pytest.raises(ServerUnavailable) as warned:
            client.datasets()
    assert url in str(warned.value)
    assert "augsvc serve" in str(warned.value)


def test_a_server_killed_and_restarted_in_mid_epoch_loses_and_repeats_nothing(pair, failure, undisturbed):
    replica = pair[0]
    with loader_on(replica.url) as loader:
        running = iter(loader)
        batches = [next(running) for _ in range(4)]
        state = json.loads(json.dumps(loader.state_dict()))
        replica.kill()
        starter = threading.Thread(target=lambda: failure.wait(60) and replica.begin())
        starter.start()
        batches += running  # begins with what was read ahead
        starter.join()
    assert failure.is_set()
    assert_whole(batches, undisturbed)
    with loader_on(replica.url, batch_size=7) as resumed:  # and a run that died with it goes on from its checkpoint
        resumed.load_state_dict(state)
        assert_whole([*batches[:4], *resumed], undisturbed)


@pytest.mark.slow
def test_killed_again_and_again(pair, undisturbed):
    """Without reading ahead every request may meet a server that is just starting."""
    replica = pair[0]
    batches = []
    with loader_on(replica.url, prefetch=1, batch_size=20) as loader:
        for batch in loader:
            batches.append(batch)
            if len(batches) < 3:
                replica.kill()
                replica.begin()
    assert_whole(batches, undisturbed)


def test_one_replica_of_two_killed(pair, undisturbed):
    for replica in pair:
        replica.ready()
    before = [replica.metric(TOTAL, dataset="digits/train") for replica in pair]
    with loader_on(*(replica.url for replica in pair)) as loader:
        running = iter(loader)
        batches = [next(running) for _ in range(3)]
        after = [replica.metric(TOTAL, dataset="digits/train") for replica in pair]
        used, spare = (0, 1) if after[0] > before[0] else (1, 0)
        pair[used].kill()
        batches += running
    assert_whole(batches, undisturbed)
    assert pair[spare].metric(TOTAL, dataset="digits/train") > after[spare]
    pair[used].begin()


def test_a_replica_with_other_data_is_passed_over(pair, serve, folders, tmp_path):
    write_image_folder(tmp_path / "pets", {"cat": 11, "dog": 9}, seed=50)
    other = serve(datasets={"pets": {"format": "image_folder", "path": str(tmp_path / "pets")}}).ready()
    right = pair[1].ready()
    spec = {"dataset": "pets", "size": [8, 8], "pipeline": "light"}
    with right.client() as client, other.client() as foreign:
        stream, theirs = client.stream(spec), foreign.stream(spec)
    assert (stream.samples, stream.spec) == (theirs.samples, theirs.spec)
    assert stream.dataset_version != theirs.dataset_version
    assert stream.id != theirs.id
    wanted = right.batch({"id": stream.id, "header": stream.header}, 0, 0, 20).arrays

    def passed_over():
        return other.metric("augsvc_errors_total", code="stream_mismatch") > 0

    for _ in range(30):  # a client begins at a replica of its choice
        with Client([other.url, right.url], wait_s=60) as both:
            arrays = replace(stream, client=both).batch(0, 0, 20)
            assert all(np.array_equal(arrays[key], wanted[key]) for key in wanted)
            pinned = both.stream(spec, id=stream.id)
            assert pinned.identity == stream.identity
        if passed_over():
            break
    assert passed_over()

    with other.client(wait_s=60) as alone, pytest.raises(StreamChanged) as changed:
        replace(stream, client=alone).batch(0, 0, 20)
    assert stream.dataset_version in str(changed.value)
    assert theirs.dataset_version in str(changed.value)
    with (
        loader_on(other.url, **spec, subset=None, id=stream.id, wait_s=60) as loader,
        pytest.raises(StreamChanged),
    ):
        next(iter(loader))
    right.kill()
    with (
        Client([right.url, other.url], wait_s=1) as left,
        pytest.raises(StreamChanged),
    ):
        replace(stream, client=left).batch(0, 0, 20)
    right.begin()
