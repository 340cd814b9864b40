"""Read-ahead on a real server: seen in /metrics, the same bytes, bounded, off by a setting."""

from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import pytest

from augsvc_client import Client, RemoteDataLoader

SPEC = {"dataset": "photos/train", "pipeline": "standard", "size": [64, 64], "aug_seed": 2}
ROW = 64 * 64 * 3


@pytest.fixture(scope="module")
def ahead(serve):
    return serve(read_ahead_bytes=20 * 50 * ROW, max_batch_bytes=100 * ROW).ready()


@pytest.fixture(scope="module")
def without(serve):
    return serve(read_ahead_bytes=0).ready()


def steps(server, how_many, prefetch=1, **ranks):
    """Index and pixels of some steps of a loader on one server."""
    with RemoteDataLoader(
        server.url, dataset="photos/train", pipeline="standard", size=(64, 64), aug_seed=2, batch_size=50,
        prefetch=prefetch, scale=None, **ranks
    ) as loader:  # fmt: skip
        found = []
        while len(found) < how_many:
            found += [
                (b["index"].tolist(), b["image"].numpy().tobytes()) for b in islice(loader, how_many - len(found))
            ]
        return found


def test_a_loader_is_served_what_was_computed_before_it_asked(ahead):
    before = ahead.metric("augsvc_read_ahead_hits")
    with ahead.client() as client:
        stream = client.stream(SPEC)
        steps_of_epoch = stream.samples // 50
        for epoch in range(2):
            for start in range(0, 50 * steps_of_epoch, 50):
                stream.batch(epoch, start, 50)
                if (epoch, start) > (0, 0):  # from the second request on the next one is computed
                    ahead.until(lambda: ahead.metric("augsvc_read_ahead_bytes") > 0)
    hits = ahead.metric("augsvc_read_ahead_hits") - before
    assert hits == 2 * steps_of_epoch - 2


@pytest.mark.parametrize("prefetch", [1, 4])
def test_the_same_bytes_with_and_without_over_the_end_of_an_epoch(ahead, without, prefetch):
    assert steps(ahead, 30, prefetch) == steps(without, 30, prefetch)
    assert without.metric("augsvc_read_ahead_hits") == 0
    assert without.metric("augsvc_read_ahead_bytes") == 0


def test_two_ranks_of_one_job(ahead):
    with ThreadPoolExecutor(2) as threads:
        walks = [threads.submit(steps, ahead, 12, rank=rank, world_size=2) for rank in range(2)]
        found = [one.result() for one in walks]
    alone = steps(ahead, 24)
    assert [index for pair in zip(*found, strict=True) for index, _ in pair][:24] == [index for index, _ in alone][:24]


def test_what_two_ranks_of_one_job_will_ask_is_computed_before(serve):
    """A server of its own: what was read ahead for other jobs is kept for a minute, and counts in its bytes."""
    ahead = serve(read_ahead_bytes=20 * 50 * ROW, max_batch_bytes=100 * ROW).ready()
    with Client(ahead.url, job="two") as client:
        stream = client.stream(SPEC)
        for start in range(0, 1000, 100):
            for rank in range(2):
                stream.batch(7, start + 50 * rank, 50)
            if start > 0:  # from the second step on there is something to go by
                ahead.until(lambda: ahead.metric("augsvc_read_ahead_bytes") > 0)
    assert ahead.metric("augsvc_read_ahead_hits") > 0


def test_it_stays_within_its_bytes_and_makes_nobody_wait_for_room(serve):
    """Clients may have four batches under way; read-ahead has room for two more, and takes none of theirs."""
    most = int(2.5 * 50 * ROW)
    small = serve(read_ahead_bytes=most, max_batch_bytes=51 * ROW).ready()
    seen = []

    def look(number):
        with Client(small.url, job=f"job-{number}") as client:
            stream = client.stream(SPEC | {"aug_seed": number})
            for start in range(0, 500, 50):
                stream.batch(0, start, 50)
                seen.append(small.metric("augsvc_read_ahead_bytes"))

    with ThreadPoolExecutor(3) as threads:
        for one in [threads.submit(look, number) for number in range(3)]:
            one.result()
    assert max(seen) <= most
    assert small.metric("augsvc_pending_bytes") == 0
    assert small.metric("augsvc_errors_total", code="overloaded") == 0
    assert small.metric("augsvc_errors_total", code="too_much_at_once") == 0
