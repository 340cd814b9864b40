"""What a server may hold: each batch once, every counter within its bound, and jobs the same number of bytes."""

import http.client
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from augsvc_client import Client

LARGE = {"dataset": "photos/train", "pipeline": "light", "size": [512, 512]}
BODY = 128 * 512 * 512 * 3  # 101 MB
BUSY = {"dataset": "photos/train", "pipeline": "strong", "size": [128, 128]}
ROW = 128 * 128 * 3
SMALL = {"dataset": "photos/train", "pipeline": "standard", "size": [64, 64]}
BUDGET, CACHE = 4 * 85 * ROW, 3_000_000


@pytest.fixture(scope="module")
def bounded(serve):
    return serve(max_batch_bytes=85 * ROW, cache_bytes=CACHE).ready()


def grown(server, path, header, take):
    """By how many bytes the server's memory grew at most while an answer was made and taken."""
    before = server.memory()
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5", encoding="ascii")  # the peak counts from here
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("GET", path, headers={"Augsvc-Spec": header})
    n_bytes = take(connection.getresponse())
    connection.close()
    return n_bytes, server.memory("VmHWM") - before


def drained(response):
    buffer, n_bytes = bytearray(1 << 20), 0
    while got := response.readinto(buffer):
        n_bytes += got
    return n_bytes


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_batch_is_in_memory_once_and_two_frames_twice(serve):
    """Written where the socket sends it from: a copy anywhere would be another 101 MB."""
    replica = serve(max_batch_bytes=BODY + 1_000_000).ready()
    stream = replica.open(LARGE)
    replica.batch(stream, 0, 0, 8)
    path = f"/v1/streams/{stream['id']}/epochs/0"
    n_bytes, more = grown(replica, f"{path}?start=0&count=128", stream["header"], drained)
    assert n_bytes > BODY
    assert more < 1.5 * BODY
    n_bytes, more = grown(replica, f"{path}/frames?start=0&count=128&stride=1&frames=3", stream["header"], drained)
    assert n_bytes > 3 * BODY
    assert more < 2.5 * BODY


def test_neither_of_two_jobs_starves_whatever_their_batches(bounded):
    """One asks for 10 samples at a time and the other for 80; both always have some on their way.

    Shares are exact in tests/engine/test_fairness.py, where time is simulated; here they depend on what else the machine does.
    """
    stream = bounded.open(BUSY)
    got, seen, over, lock = {"few": 0, "many": 0}, [], threading.Event(), threading.Lock()

    def walk(job, count, first):
        with Client(bounded.url, job=job) as client:
            own = client.stream(BUSY)
            for epoch in range(10**6):
                for start in range(first * count, stream["samples"] - count, 7 * count):
                    own.batch(epoch, start, count)
                    with lock:
                        got[job] += count
                        if job == "many" and got[job] in (3 * count, 15 * count):
                            seen.append(dict(got))
                    if got["many"] >= 15 * 80:
                        over.set()
                    if over.is_set():
                        return

    with ThreadPoolExecutor(12) as threads:
        walks = [threads.submit(walk, "many", 80, number) for number in range(2)]
        walks += [threads.submit(walk, "few", 10, number) for number in range(10)]
        for one in walks:
            one.result()
    few, many = (seen[1][job] - seen[0][job] for job in ("few", "many"))
    assert many == 12 * 80
    assert 0.3 < few / many < 3


def test_a_job_whose_readers_take_nothing_leaves_room_for_others(serve):
    """Its readers hold what they asked for as long as they are let."""
    replica = serve(max_batch_bytes=20_000_000).ready()
    stream = replica.open({"dataset": "digits/train", "size": [512, 512]})
    path = f"/v1/streams/{stream['id']}/epochs/0?start=0&count=70"  # 18 MB: a socket's buffers take a few
    with ExitStack() as held:
        answers = []
        for _ in range(4):
            asked = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAugsvc-Job: slow\r\n\r\n".encode()
            answers.append(held.enter_context(replica.send(asked)).recv(12))
        for number in range(3):
            assert replica.batch(stream, 1, 0, 70, Augsvc_Job=f"other-{number}").status == 200
    assert answers == [b"HTTP/1.1 200"] * 3 + [b"HTTP/1.1 503"]


def test_64_clients_and_every_counter_within_its_bound(bounded):
    """They want more at once than there is room for."""
    over, seen = threading.Event(), []

    def look():
        while not over.is_set():
            text = bounded.get("/metrics").body.decode().splitlines()
            metrics = dict(line.rsplit(" ", 1) for line in text if not line.startswith("#"))
            names = ("augsvc_in_flight_bytes", "augsvc_cache_bytes")
            seen.append(tuple(float(metrics[name]) for name in names))

    def walk(number):
        with Client(bounded.url, job=f"job-{number}") as client:
            stream = client.stream(SMALL | {"aug_seed": number % 4})
            return sum(len(stream.batch(0, start, 32)["index"]) for start in range(0, 96, 32))

    with ThreadPoolExecutor(65) as threads:
        looking = threads.submit(look)
        found = [one.result() for one in [threads.submit(walk, number) for number in range(64)]]
        over.set()
        looking.result()
    assert found == [96] * 64
    assert max(in_flight for in_flight, _ in seen) <= BUDGET
    assert max(cached for _, cached in seen) <= CACHE
    bounded.until(lambda: bounded.metric("augsvc_in_flight_bytes") == 0)
