"""Many clients at once, and one that reads slowly."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from augsvc_client import Client, RemoteDataLoader
from tests.faults.epochs import Undisturbed
from tests.faults.proxy import Fault, Plan
from tests.http.serving import Serving

CLIENTS = 64
LARGE = {"dataset": "photos/train", "pipeline": "none", "size": [128, 128], "shuffle": False}
MB = 1 << 20


def test_64_clients_on_one_server(calm, images):
    """Each is a separate run, half of them by frames; two epochs differ, and no client gets a batch of another."""

    def run(number: int) -> int:
        epoch = number % 2
        with Client(calm.url, wait_s=240, job=f"run-{number}") as client:
            stream = client.stream(images.spec)
            if number % 4 < 2:
                batches = list(stream.frames(epoch, 0, 15, frames=4))
            else:
                batches = [stream.batch(epoch, start, 15) for start in range(0, 60, 15)]
        images.assert_delivered(batches, epoch)
        return len(batches)

    with ThreadPoolExecutor(CLIENTS) as threads:
        assert list(threads.map(run, range(CLIENTS))) == [4] * CLIENTS
    calm.until(lambda: calm.metric("augsvc_in_flight_bytes") == 0)


@pytest.fixture
def bounded(tmp_path):
    """A server without other clients, whose memory shows the cost of its readers."""
    serving = Serving(tmp_path, {})
    try:
        yield serving.ready()
    finally:
        serving.stop()


def test_a_slow_reader_loses_nothing_and_costs_its_window(bounded, before):
    """It takes nothing while others read 160 MB beside it; the server holds two of its batches and no more."""
    count, n_batches = 20, 40  # of 1 MB
    whole = Undisturbed.from_server(bounded, LARGE, epochs=1).first(count * n_batches)
    size = len(bounded.batch(bounded.open(LARGE), 0, 0, count).body)
    proxy = before(bounded, Plan({0: Fault("stall", "body", 3 * MB)}, by="number"), 256 << 10)

    def read_all(job: str, url: str) -> list:
        with Client(url, wait_s=240, job=job) as client:
            return list(client.stream(LARGE).frames(0, 0, count, frames=n_batches))

    with ThreadPoolExecutor(1) as thread:
        reading = thread.submit(read_all, "slow", proxy.url)
        try:
            assert proxy.stalled.wait(120)
            used = bounded.memory()
            for number in range(4):
                whole.assert_delivered(read_all(f"fast-{number}", bounded.url))
            assert bounded.memory() - used < 32 * MB
            bounded.until(lambda: bounded.metric("augsvc_in_flight_bytes") <= 2 * size)
        finally:
            proxy.released.set()
        whole.assert_delivered(reading.result())
    bounded.until(lambda: bounded.metric("augsvc_in_flight_bytes") == 0)


def test_a_throttled_loader_beside_a_fast_one(calm, before, images):
    plan = Plan({start: Fault("throttle") for start in range(0, 60, 20)})
    slow_url = before(calm, plan).url
    arguments = {**images.spec, "batch_size": 20, "scale": None, "wait_s": 120}
    with RemoteDataLoader(slow_url, **arguments) as slow, RemoteDataLoader(calm.url, **arguments) as fast:
        running = iter(slow)
        found = [next(running)]
        images.assert_delivered(fast)
        images.assert_delivered([*found, *running])
    assert not plan.left
