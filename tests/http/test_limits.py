"""What a request may take: time until something comes of it, and bytes beside its body."""

import pytest

from augsvc.errors import AugsvcError
from tests.http.serving import replies

LARGE = {"dataset": "photos/train", "pipeline": "strong", "size": [192, 192]}
HOPELESS = {**LARGE, "pipeline": [{"op": "rotation", "degrees": [-30, 30]}, {"op": "gaussian_blur", "sigma": 8}] * 12}
SMALL = {"dataset": "digits/train", "size": [8, 8]}
HEAD = b"POST /v1/streams HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


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
def hasty(serve):
    return serve(request_deadline_s=1, max_request_bytes=1 << 20).ready()


def test_work_that_takes_longer_is_given_up(hasty):
    stream = hasty.open(HOPELESS)  # some 20 s on two cores, where a second is given
    path = f"/v1/streams/{stream['id']}/epochs/0?start=0&count=1400"
    for _ in range(2):
        reply = hasty.get(path)
        reply.refused(503, "deadline_exceeded")
        assert int(reply.headers["retry-after"]) >= 1
        hasty.until(lambda: hasty.metric("augsvc_pending_bytes") == 0)
    assert hasty.metric("augsvc_errors_total", code="deadline_exceeded") == 2
    assert hasty.metric("augsvc_samples_total", dataset="photos/train") == 0
    assert hasty.batch(hasty.open(SMALL), 0, 0, 8).status == 200


@pytest.mark.parametrize(
    ("path", "kind", "begun"),
    [("/v1/streams", "application/json", b'{"dataset": '), ("/v1/augment", "application/x-safetensors", b"\0" * 1000)],
)
def test_a_body_that_does_not_come_to_its_end_is_not_waited_for(hasty, path, kind, begun):
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: 100000\r\n\r\n".encode()
    with hasty.send(head + begun) as connection:
        replies(connection)[0].refused(503, "deadline_exceeded")
    hasty.until(lambda: hasty.metric("augsvc_pending_bytes") == 0)


def test_a_reader_that_takes_its_time_is_not_under_it(hasty):
    """The deadline is the server's own: 15 MB that wait for their reader stay whole, though others come and go meanwhile."""
    stream = hasty.open({"dataset": "shapes/train", "size": [128, 128]})
    path = f"GET /v1/streams/{stream['id']}/epochs/0?start=0&count=300 HTTP/1.1\r\nHost: x\r\n\r\n"
    with hasty.send(path.encode()) as connection:
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        hasty.get(f"/v1/streams/{hasty.open(HOPELESS)['id']}/epochs/0?start=0&count=1400").refused(
            503, "deadline_exceeded"
        )
        taken = 0
        while taken < 300 * 128 * 128 * 3:
            piece = connection.recv(1 << 20)
            assert piece, "it was cut"
            taken += len(piece)


def test_frames_have_it_anew_for_each_batch(hasty):
    stream = hasty.open(LARGE)
    path = f"/v1/streams/{stream['id']}/epochs/0/frames?start=0&count=10&stride=10&frames=40"
    reply = hasty.get(path)  # more than a second's work
    assert reply.status == 200
    assert len(reply.body) == int(reply.headers["content-length"])


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
