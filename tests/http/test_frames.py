"""Many batches in one answer: the very bodies of the single ones, cut cleanly, asked for again where it breaks."""

import asyncio
import http.client
import signal
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import pytest
import xxhash

from augsvc.engine.work import Work
from augsvc.http.routes.frames import FramesResponse
from augsvc.streams.stream import Body
from augsvc_client import Client, RequestRefused
from tests.http.serving import Serving

SPEC = {"dataset": "digits/test", "pipeline": "standard", "size": [24, 24], "aug_seed": 4}


@pytest.fixture(scope="module")
def stream(server):
    return server.open(SPEC)


def ask(server, stream, query, epoch=2):
    return server.get(f"/v1/streams/{stream['id']}/epochs/{epoch}/frames?{query}", Augsvc_Spec=stream["header"])


def cut(body):
    """Frames by the contract's words: u64 length, body, u64 xxh3, little-endian."""
    found = []
    while body:
        length = int.from_bytes(body[:8], "little")
        found.append(body[8 : 8 + length])
        assert int.from_bytes(body[8 + length : 16 + length], "little") == xxhash.xxh3_64_intdigest(found[-1])
        body = body[16 + length :]
    return found


def test_frames_are_the_bodies_of_the_batches(server, stream):
    reply = ask(server, stream, "start=5&count=16&stride=40&frames=4&view=3")
    assert reply.status == 200
    assert int(reply.headers["content-length"]) == len(reply.body)
    expected = [server.batch(stream, 2, start, 16, 3).body for start in (5, 45, 85, 125)]
    assert cut(reply.body) == expected


def test_the_last_is_short_and_those_past_the_end_are_left_out(server, stream):
    n = stream["samples"]
    frames = cut(ask(server, stream, f"start={n - 30}&count=16&stride=20&frames=9").body)
    assert frames == [server.batch(stream, 2, start, 16).body for start in (n - 30, n - 10)]
    ask(server, stream, f"start={n}&count=16&stride=20&frames=9").refused(416, "past_the_end")


@pytest.mark.parametrize(
    "query",
    [
        "start=0&count=0&stride=1&frames=1",
        "start=0&count=1&stride=0&frames=1",
        "start=0&count=1&stride=1&frames=0",
        "start=0&count=1&stride=1&frames=4097",
        "start=-1&count=1&stride=1&frames=1",
        "start=0&count=1&stride=1",
    ],
)
def test_a_range_that_is_none(server, stream, query):
    ask(server, stream, query).refused(422, "spec_invalid")


def test_the_client_reads_them(server):
    with Client(server.url) as client:
        stream = client.stream(SPEC)
        frames = list(stream.frames(1, 3, 50, stride=100, frames=99))
        starts = range(3, stream.samples, 100)
        assert len(frames) == len(starts)
        for start, arrays in zip(starts, frames, strict=True):
            for name, array in stream.batch(1, start, 50).items():
                assert array.tobytes() == arrays[name].tobytes(), name
        assert frames[0]["image"].flags.writeable
        with pytest.raises(RequestRefused, match="epoch"):
            next(stream.frames(2**24, 0, 1, frames=1))
        assert list(stream.frames(0, stream.samples, 1, frames=3)) == []
        rest = [arrays["index"] for arrays in stream.frames(1, 3, 50)]
        assert np.array_equal(np.concatenate(rest), stream.batch(1, 3, stream.samples)["index"])
        with pytest.raises(ValueError, match="stride"):
            stream.frames(0, 0, 1, stride=0, frames=1)


def test_a_client_that_leaves_is_noticed(server, stream):
    """Of 445 frames that there are, the ones that are on their way are made, and no others."""
    before = server.metric("augsvc_batch_seconds_count")
    connection = http.client.HTTPConnection("127.0.0.1", int(server.url.rpartition(":")[2]))
    path = f"/v1/streams/{stream['id']}/epochs/0/frames?start=0&count=400&stride=1&frames=4096"
    connection.request("GET", path, headers={"Augsvc-Spec": stream["header"]})
    response = connection.getresponse()
    assert response.read(100_000)
    connection.close()
    server.until(lambda: server.metric("augsvc_in_flight_bytes") == 0)
    assert 1 <= server.metric("augsvc_batch_seconds_count") - before <= 30


@pytest.fixture
def small(tmp_path):
    """A server with room for four batches of 2 MB."""
    server = Serving(tmp_path, {"max_batch_bytes": 2_000_000}).ready()
    yield server
    server.stop()


ONE = 40 * 128 * 128 * 3


def reading(server, stream, job):
    """An answer of many frames of nearly 2 MB, of which nothing is read yet."""
    path = f"/v1/streams/{stream['id']}/epochs/0/frames?start=0&count=40&stride=20&frames=40"
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    connection.request("GET", path, headers={"Augsvc-Spec": stream["header"], "Augsvc-Job": job})
    return connection, connection.getresponse()


def test_a_slow_reader_costs_two_batches(small):
    stream = small.open({"dataset": "photos/train", "pipeline": "none", "size": [128, 128]})
    connection, response = reading(small, stream, "slow")
    got = response.read(3 * ONE)  # some frames in
    small.until(lambda: small.metric("augsvc_in_flight_bytes") >= 2 * ONE)
    for _ in range(50):
        assert small.metric("augsvc_in_flight_bytes") < 2.2 * ONE
    assert len(cut(got + response.read())) == 40
    connection.close()


def test_the_next_but_one_is_not_asked_for_while_the_socket_holds_this_one():
    """uvicorn's `send` returns while the last 16 kB, and with them the whole batch, still wait in the socket's buffer."""
    held, asked = [], []

    async def send(message):
        if len(message.get("body", b"")) > 16:
            held.append(message["body"])

    async def receive():
        await asyncio.Event().wait()

    def queue(part):
        asked.append(part)
        future = Future()
        future.set_result(Body(np.zeros(100, np.uint8), "00", 1, ()))
        return Work(future)

    async def until_idle():
        for _ in range(50):
            await asyncio.sleep(0)

    async def answer():
        first = Body(np.zeros(100, np.uint8), "00", 1, ())
        response = FramesResponse(first, [1, 2, 3, 4], [100] * 5, queue, lambda body: None, lambda: 0.0)
        del first
        sending = asyncio.ensure_future(response({}, receive, send))
        for number in (1, 2, 3):
            await until_idle()
            assert asked == [1, 2, 3, 4][:number]
            assert len(held) == 1
            held.clear()  # the socket has taken the last byte
        await sending

    asyncio.run(answer())


def test_who_owes_waits_without_holding_a_batch():
    """Other requests need the memory; an occasional empty piece restarts the deadline."""
    bodies, signs, asked, owed = [], [], [], [5.0]
    paid = asyncio.Event()

    async def send(message):
        bodies.extend([len(message["body"])] if len(message.get("body", b"")) > 16 else [])
        if message["type"] == "http.response.body" and not message["body"]:
            assert (bodies, asked) == ([100], [])  # the one that was ready is sent, and no other is asked for
            signs.append(message)
            if len(signs) == 2:
                owed[0] = 0.0
                paid.set()

    async def receive():
        await asyncio.Event().wait()

    def queue(part):
        asked.append(part)
        future = Future()
        future.set_result(Body(np.zeros(100, np.uint8), "00", 1, ()))
        return Work(future)

    async def answer():
        response = FramesResponse(
            Body(np.zeros(100, np.uint8), "00", 1, ()), [1], [100] * 2, queue, lambda body: None, lambda: owed[0]
        )
        await response({}, receive, send)
        assert paid.is_set()

    asyncio.run(answer())
    assert (bodies, asked) == ([100, 100], [1])


def test_readers_of_frames_and_others_all_come_to_their_end(small):
    """More of them than the budget holds: none waits for memory while holding some."""
    stream = small.open({"dataset": "photos/train", "pipeline": "none", "size": [128, 128]})
    with ThreadPoolExecutor(6) as threads:

        def frames(number):
            with Client(small.url, job=f"frames-{number}") as client:
                one = client.stream({"dataset": "photos/train", "pipeline": "none", "size": [128, 128]})
                return sum(len(arrays["index"]) for arrays in one.frames(0, 0, 40, frames=12))

        def batches(number):
            with Client(small.url, job=f"batches-{number}") as client:
                one = client.stream({"dataset": "photos/train", "pipeline": "none", "size": [128, 128]})
                return sum(len(one.batch(0, start, 40)["index"]) for start in range(0, 480, 40))

        found = [threads.submit(frames, number) for number in range(4)]
        found += [threads.submit(batches, number) for number in range(2)]
        assert [one.result() for one in found] == [480] * 6
    small.until(lambda: small.metric("augsvc_in_flight_bytes") == 0)
    assert small.batch(stream, 0, 0, 4).status == 200


@pytest.mark.slow
def test_a_server_killed_in_the_middle_loses_and_repeats_nothing(tmp_path):
    servers = [Serving(tmp_path / str(number)).ready() for number in range(2)]
    try:
        with Client([server.url for server in servers], wait_s=60) as client:
            stream = client.stream(SPEC)
            whole = stream.batch(0, 0, stream.samples)
            seen = []
            for number, arrays in enumerate(stream.frames(0, 0, 7, frames=stream.samples)):
                seen.append(arrays["index"])
                if number == 5:
                    servers[0].signal(signal.SIGKILL)
                if number == 20:
                    servers[0].wait()
                    servers[0].begin()
                    servers[0].ready()
                    servers[1].signal(signal.SIGKILL)
            assert np.concatenate(seen).tolist() == whole["index"].tolist()
    finally:
        for server in servers:
            server.stop()
