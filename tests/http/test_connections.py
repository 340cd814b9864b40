"""The number of a server's connections, and clients that close only their own direction of one."""

import asyncio
import http.client
import json
import resource
import socket
from contextlib import ExitStack
from functools import partial

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from uvicorn import Config
from uvicorn.server import ServerState

from augsvc.cli.listener import BACKLOG
from augsvc.cli.open_files import fit_open_files
from augsvc.http.server import protocol
from augsvc.http.server.connections import RESERVED, Connections
from augsvc.settings import Settings
from tests.http.serving import replies

TOKEN = "0123456789abcdef"  # noqa: S105
SMALL = {"dataset": "digits/train", "size": [8, 8]}
MOST = 64


class Fake:
    """A connection that is only counted."""

    def __init__(self):
        self.aborted, self.unsent = False, 0

    def get_write_buffer_size(self):
        return self.unsent

    def abort(self):
        self.aborted = True


def aborted(made):
    return [number for number, one in enumerate(made) if one.aborted]


def test_the_oldest_stranger_makes_room():
    counted, made = Connections(RESERVED + 2), [Fake() for _ in range(RESERVED + 4)]
    for one in made[: RESERVED + 2]:
        counted.open(one)
    assert counted.admit(made[0])
    counted.open(made[-2])
    assert aborted(made) == [1]
    counted.close(made[2])
    counted.open(made[-1])
    assert aborted(made) == [1]
    assert (len(counted), counted.refused, counted.closed) == (RESERVED + 2, 0, 1)


def test_who_rests_for_longest_makes_room_for_a_client_and_who_works_or_is_sent_to_does_not():
    counted, made = Connections(RESERVED + 4), [Fake() for _ in range(8)]
    for one in made[:4]:
        counted.open(one)
        assert counted.admit(one)
    for number in (2, 1, 0):
        counted.rest(made[number])
    made[2].unsent = 1
    assert counted.admit(made[1]), "it works again"
    counted.open(made[4])
    assert counted.admit(made[4])
    assert aborted(made) == [0]
    counted.open(made[5])
    assert not counted.admit(made[5])
    assert (counted.refused, aborted(made)) == (1, [0])
    counted.rest(made[5])
    assert not counted.admit(made[5]), "it rests as a stranger"
    counted.close(made[3])
    assert counted.admit(made[5])


@given(st.lists(st.tuples(st.sampled_from(["open", "admit", "rest", "close"]), st.integers(0, 39)), max_size=200))
def test_there_are_never_more_than_the_maximum_and_none_at_work_is_closed(events):
    counted, made = Connections(RESERVED + 3), [Fake() for _ in range(40)]
    present, working = set(), set()
    for event, number in events:
        one = made[number]
        if event == "open" and one not in present and not one.aborted:
            counted.open(one)
            present.add(one)
        elif event == "admit" and one in present and counted.admit(one):
            working.add(one)
        elif event == "rest" and one in present:
            counted.rest(one)
            working.discard(one)
        elif event == "close" and one in present:
            counted.close(one)
            present.discard(one)
            working.discard(one)
        present = {other for other in present if not other.aborted}
        assert working <= present
        assert len(working) <= 3
        assert len(counted) == len(present) <= RESERVED + 3


def test_a_flood_is_logged_once_a_minute(caplog):
    now = [100.0]
    counted = Connections(1, clock=lambda: now[0])
    for _ in range(50):
        counted.open(Fake())
    assert [record.getMessage()[:38] for record in caplog.records] == ["max_connections: 1 may be open; closed"]
    now[0] += 61
    counted.open(Fake())
    assert "closed 49 idle" in caplog.records[-1].getMessage()


@pytest.mark.parametrize(
    ("limits", "wanted", "fits", "soft"),
    [
        ((1024, 1 << 20), 4096, 4096, 4096 + BACKLOG + 512),
        ((1024, 1024), 4096, 512, 1024),
        ((1 << 20, 1 << 20), 4096, 4096, 1 << 20),
        ((1024, resource.RLIM_INFINITY), 4096, 4096, 4096 + BACKLOG + 512),
        ((resource.RLIM_INFINITY, resource.RLIM_INFINITY), 4096, 4096, None),
        ((4096, 4096), 100, 100, 4096),
    ],
)
def test_connections_fit_the_limit_of_open_files(monkeypatch, caplog, limits, wanted, fits, soft):
    given = [limits]
    monkeypatch.setattr(resource, "getrlimit", lambda kind: given[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda kind, new: given.append(new))
    assert fit_open_files(Settings(max_connections=wanted)).max_connections == fits
    assert soft is None or given[-1][0] == soft
    assert ("max_connections: lowered" in caplog.text) == (fits < wanted)


def test_a_limit_that_leaves_no_connections_is_refused(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (256, 256))
    with pytest.raises(ValueError, match=r"256 files may be open.*ulimit -n"):
        fit_open_files(Settings())


@pytest.fixture(scope="module")
def narrow(serve, tmp_path_factory):
    tokens = tmp_path_factory.mktemp("tokens") / "tokens.yaml"
    tokens.write_text(yaml.safe_dump({"one": {"token": TOKEN}}))
    server = serve(tokens_file=str(tokens), max_connections=MOST)
    server.token = TOKEN
    return server.ready(wait_for_self_test=False)


HEADERS = {"Authorization": f"Bearer {TOKEN}"}


def version(connection):
    connection.request("GET", "/v1/version", headers=HEADERS)
    response = connection.getresponse()
    return response.status, len(response.read()) > 0


def test_idle_sockets_keep_no_client_out(narrow):
    """A job that is connected, and one that comes later, beside three times as many sockets as there may be."""
    job = http.client.HTTPConnection("127.0.0.1", narrow.port)
    with ExitStack() as stack:
        stack.callback(job.close)

        assert version(job) == (200, True)
        own = job.sock
        idle = [stack.enter_context(narrow.send(b"GET / HTTP/1.1\r\n" * (number % 2))) for number in range(3 * MOST)]
        assert version(job) == (200, True)
        assert job.sock is own, "it was not connected again"
        assert narrow.get("/healthz").status == 200
        closed = sum(is_closed(one) for one in idle)
        assert closed >= 2 * MOST
        counts = narrow.ask("GET", "/metrics", HEADERS).body.decode()
        values = dict(
            line.rsplit(" ", 1) for line in counts.splitlines() if line.startswith("augsvc_") and "conn" in line
        )
        assert float(values["augsvc_connections"]) <= MOST
        assert float(values["augsvc_closed_connections_total"]) >= closed
        assert float(values["augsvc_refused_connections_total"]) == 0
    assert narrow.output().count("max_connections: ") == 1


def test_connections_that_a_job_keeps_open_keep_neither_a_probe_nor_another_job_out(narrow):
    """64 of a job's loaders that rest between two epochs had /healthz refused, which ends the server where it is a probe."""
    with ExitStack() as stack:
        for _ in range(2 * MOST):
            own = http.client.HTTPConnection("127.0.0.1", narrow.port)
            stack.callback(own.close)
            assert version(own) == (200, True)
        assert narrow.get("/healthz").status == 200


def test_requests_in_progress_keep_no_probe_out(narrow):
    """The probe has a place that others cannot take; a further request gets a 503, on a connection that stays."""
    begun = b"POST /v1/streams HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\nContent-Type: application/json\r\n"
    with ExitStack() as stack:
        for _ in range(MOST - RESERVED):
            stack.enter_context(narrow.send(begun % TOKEN.encode() + b"Content-Length: 9\r\n\r\n"))
        narrow.until(lambda: narrow.ask("GET", "/v1/version", HEADERS).status == 503)
        late = http.client.HTTPConnection("127.0.0.1", narrow.port)
        stack.callback(late.close)
        assert version(late) == (503, True)
        own = late.sock
        assert version(late) == (503, True)
        assert late.sock is own
        assert narrow.get("/healthz").status == narrow.get("/").status == 200
    narrow.until(lambda: narrow.ask("GET", "/v1/version", HEADERS).status == 200)


def test_a_client_without_a_valid_token_learns_so_however_large_its_body_is(narrow):
    """Of bodies of 8 MB 9 in 10 ended in a reset, which clients retry."""
    for _ in range(8):
        own = http.client.HTTPConnection("127.0.0.1", narrow.port)
        own.request("POST", "/v1/augment", bytes(8 << 20), {"Authorization": "Bearer wrong"})
        assert own.getresponse().status == 401
        own.close()


def is_closed(connection):
    """Whether the server has closed it."""
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


# --- clients that close their own direction (shutdown(SHUT_WR)), as `nc -N` and some proxies do


def asked(server, data):
    """Everything that is answered after the client has sent these bytes, and its end."""
    with server.send(data) as connection:
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(1 << 16), b""))


def finals(answer):
    """The status lines of final responses."""
    return [
        int(line.split()[1]) for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ") and b" 100 " not in line
    ]


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize("path", [b"/healthz", b"/v1/ops", b"/nowhere"])
def test_who_closes_its_direction_gets_its_answer(server, path, version):
    answer = asked(server, b"GET %b HTTP/%b\r\nHost: localhost\r\n\r\n" % (path, version))
    assert finals(answer) == [404 if path == b"/nowhere" else 200]
    assert (b" 100 " in answer) <= (version == b"1.1")


def test_it_gets_whole_batches_of_requests_that_it_sent_ahead(server):
    stream = server.open(SMALL)
    get = b"GET /v1/streams/%b/epochs/0?start=%%d&count=64 HTTP/1.1\r\nHost: localhost\r\n\r\n" % stream["id"].encode()
    answer = asked(server, b"".join(get % (64 * number) for number in range(5)))
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 5
    for number in range(5):
        assert server.batch(stream, 0, 64 * number, 64).body in answer


def test_it_gets_an_answer_to_what_it_sent_behind_a_body_in_chunks(server):
    body = json.dumps(SMALL).encode()
    head = b"POST /v1/streams HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    get = b"GET /v1/version HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer = asked(server, get + head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) + 2 * get)
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 4


def test_an_interim_response_does_not_fall_into_the_response_before(monkeypatch):
    """Behind chunks two requests are parsed: the last one waits while the batch of the one before is sent."""
    monkeypatch.setattr(protocol, "_INTERIM_AFTER_S", 0.0)

    async def exchange():
        sent = asyncio.Event()

        class Watched(protocol.Protocol):
            def _send_interim(self):
                super()._send_interim()
                sent.set()

        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"a", "more_body": True})
            if scope["method"] == "PUT":
                await sent.wait()
            await send({"type": "http.response.body", "body": b"b"})

        loop, config, state = asyncio.get_running_loop(), Config(app, ws="none", log_config=None), ServerState()
        config.load()
        make = partial(
            Watched, config, state, {}, loop, metrics=None, connections=Connections(99), min_client_bytes_per_s=1
        )
        server = await loop.create_server(make, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        get = b"GET / HTTP/1.1\r\n\r\n"
        put = b"PUT / HTTP/1.1\r\n\r\n"
        writer.write(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n" + put + get)
        writer.write_eof()
        answer = await reader.read()
        writer.close()
        server.close()
        return answer

    answer = asyncio.run(exchange())
    assert answer.count(b"\r\n\r\nab") == 3
    assert b" 100 " not in answer


def test_a_body_that_ends_too_early_is_not_waited_for(server):
    head = (
        b"POST /v1/streams HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    )
    assert finals(asked(server, head + b"{")) == []
    assert asked(server, b"GET / HTTP/1.1\r\nHost:") == b""


def test_who_closes_its_direction_after_an_answer_is_closed_too(server):
    with server.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n") as connection:
        assert replies(connection)[0].status == 200
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""


def test_over_a_unix_socket_too(serve, tmp_path):
    near = serve(uds=str(tmp_path / "augsvc.sock")).ready(wait_for_self_test=False)
    assert finals(asked(near, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")) == [200]
