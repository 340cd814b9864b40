"""Limits of a request: the time until its response, and the bytes beside its body."""

import asyncio
import errno
import os
from pathlib import Path

import pytest

from augsvc.errors import AugsvcError, DeadlineExceeded
from augsvc.http.middleware.admission import AdmittedRequest
from augsvc.http.middleware.tokens import RateLimiter
from tests.faults import awkward
from tests.http import serving
from tests.http.serving import replies

HELD = {"dataset": "digits/train", "size": [8, awkward.WAITS], "pipeline": [{"op": "awkward"}]}
SMALL = {"dataset": "digits/train", "size": [8, 8]}
HEAD = b"POST /v1/streams HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


def family(kind=AugsvcError):
    return {kind}.union(*(family(each) for each in kind.__subclasses__()))


def test_every_refusal_for_now_says_when_to_come_back():
    passing = {kind for kind in family() if kind.status in (429, 503)}
    assert {kind.code for kind in passing} >= {"over_quota", "overloaded", "deadline_exceeded", "draining"}
    for kind in passing:
        error = kind("later", 0.2) if kind.code == "over_quota" else kind("later")
        assert error.retry_after_s >= 1, kind


# --- the deadline


@pytest.fixture(scope="module")
def gate(tmp_path_factory):
    """A FIFO on which a pipeline blocks until `release`, however fast the machine is."""
    path = tmp_path_factory.mktemp("gate") / "gate"
    os.mkfifo(path)
    return path


@pytest.fixture(scope="module")
def hasty(serve, gate):
    surroundings = {"PYTHONPATH": str(Path(awkward.__file__).parent), awkward.GATE: str(gate)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serving, "CLEAN", serving.CLEAN | surroundings)
        return serve(request_timeout_s=1, max_request_bytes=1 << 20, operations=["awkward"]).ready()


def release(server, gate):
    """Unblocks one reader of the gate, and waits until there is one."""

    def came():
        try:
            os.close(os.open(gate, os.O_WRONLY | os.O_NONBLOCK))
        except OSError as err:
            assert err.errno == errno.ENXIO
            server.get("/healthz")  # some time
            return False
        return True

    server.until(came)


def test_work_that_takes_longer_is_cancelled(hasty, gate):
    path = f"/v1/streams/{hasty.open(HELD)['id']}/epochs/0?start=0&count=1"
    before = hasty.metric("augsvc_errors_total", code="deadline_exceeded")
    for _ in range(2):
        reply = hasty.get(path)
        reply.refused(503, "deadline_exceeded")
        assert int(reply.headers["retry-after"]) >= 1
        release(hasty, gate)
        hasty.until(lambda: hasty.metric("augsvc_in_flight_bytes") == 0)
    assert hasty.metric("augsvc_errors_total", code="deadline_exceeded") == before + 2
    assert hasty.metric("augsvc_samples_total", dataset="digits/train") == 0
    assert hasty.batch(hasty.open(SMALL), 0, 0, 8).status == 200


@pytest.mark.parametrize(
    ("path", "kind", "begun"),
    [("/v1/streams", "application/json", b'{"dataset": '), ("/v1/augment", "application/x-safetensors", b"\0" * 1000)],
)
def test_a_body_that_does_not_come_to_its_end_is_not_waited_for(hasty, path, kind, begun):
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: 100000\r\n\r\n".encode()
    with hasty.send(head + begun) as connection:
        replies(connection)[0].refused(503, "deadline_exceeded")
    hasty.until(lambda: hasty.metric("augsvc_in_flight_bytes") == 0)


def test_a_reader_that_takes_its_time_is_not_under_it(hasty, gate):
    """The deadline is the server's own: 17 MB that wait for their reader stay whole, though others come and go meanwhile."""
    stream = hasty.open({"dataset": "digits/train", "size": [512, 512]})
    path = f"GET /v1/streams/{stream['id']}/epochs/0?start=0&count=64 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with hasty.send(path.encode()) as connection:
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        hasty.get(f"/v1/streams/{hasty.open(HELD)['id']}/epochs/0?start=0&count=1").refused(503, "deadline_exceeded")
        release(hasty, gate)
        taken = 0
        while taken < 64 * 512 * 512:
            piece = connection.recv(1 << 20)
            assert piece, "it was cut"
            taken += len(piece)


class Clock(asyncio.SelectorEventLoop):
    """A loop whose time passes when the test says so."""

    now = 0.0

    def time(self):
        return self.now


@pytest.mark.parametrize(("paces", "whole"), [([0.9] * 5, True), ([0.9, 0.9, 1.1], False)])
def test_each_piece_of_an_answer_restarts_the_deadline(paces, whole):
    loop, sent = Clock(), []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})
        for pace in paces:
            loop.now += 10 * pace
            for _ in range(3):
                await asyncio.sleep(0)
            await send({"type": "http.response.body", "body": b"x", "more_body": True})

    async def send(message):
        loop.now += 1000  # a reader takes its time, which is not the server's
        for _ in range(3):
            await asyncio.sleep(0)
        sent.append(message)

    try:
        passing = AdmittedRequest(None, send, RateLimiter(None), 10).run(app, {})
        if whole:
            loop.run_until_complete(passing)
        else:
            with pytest.raises(DeadlineExceeded, match="within 10 s"):
                loop.run_until_complete(passing)
    finally:
        loop.close()
    assert len(sent) == 1 + (len(paces) if whole else 2)


# --- chunked bodies


def chunked(*chunks):
    return HEAD + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)


def test_bodies_in_chunks_are_taken_as_they_come(server):
    body = b'{"dataset": "digits/train"' + b" " * 2000 + b"}"
    with server.send(chunked(*(body[at : at + 1] for at in range(len(body)))) + b"0\r\n\r\n") as connection:
        assert replies(connection)[0].json["spec"]["dataset"] == "digits/train"


def test_a_body_of_very_many_very_small_chunks_is_broken_off(server):
    before = server.metric("augsvc_errors_total", code="request_too_large")
    with server.send(chunked(*[b" "] * 50_000)) as connection:
        replies(connection)[0].refused(413, "request_too_large")
    assert server.metric("augsvc_errors_total", code="request_too_large") == before + 1


@pytest.mark.parametrize(
    "endless", [b"1;" + b"x" * (1 << 20), b"0\r\nX-Trailer: " + b"x" * (1 << 20), b"0\r\n" + b"X-T: x\r\n" * 100_000]
)
def test_extensions_and_trailers_without_end_are_broken_off(server, endless):
    memory = server.memory()
    with server.send(HEAD) as connection:
        try:
            for _ in range(64):
                connection.sendall(endless)
            taken = True
        except ConnectionError:
            taken = False
    assert not taken, "all of it was taken in"
    assert server.memory() - memory < 32 << 20


def test_bodies_in_large_chunks_are_bounded_by_their_bytes_alone(serve):
    replica = serve(max_request_bytes=4 << 20).ready()
    with replica.send(chunked(*[b" " * 60_000] * 17)) as connection:  # 1.02 MB: a specification has 16 × 64 kB
        pass
    blanks = [b" " * 1000] * 60 + [b'{"dataset": "digits/train"}']
    with replica.send(chunked(*blanks) + b"0\r\n\r\n") as connection:
        assert replies(connection)[0].status == 200
