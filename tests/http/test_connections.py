"""The number of a server's connections, and clients that close only their own direction of one."""

import http.client
import resource
import socket
from contextlib import ExitStack

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from augsvc.cli.listener import BACKLOG
from augsvc.cli.open_files import fit_open_files
from augsvc.http.server.connections import Connections
from augsvc.settings import Settings
from tests.http.serving import replies

TOKEN = "0123456789abcdef"  # noqa: S105
SMALL = {"dataset": "digits/train", "size": [8, 8]}
MOST = 64


class Fake:
    """A connection that is only counted."""

    def __init__(self):
        self.aborted = False

    def abort(self):
        self.aborted = True


def test_the_oldest_stranger_makes_room_and_who_is_known_stays():
    counted, made = Connections(3), [Fake() for _ in range(6)]
    assert all(map(counted.open, made[:3]))
    counted.admit(made[0])
    assert counted.open(made[3])
    assert [one.aborted for one in made[:4]] == [False, True, False, False]
    counted.admit(made[2])
    counted.admit(made[3])
    assert not counted.open(made[4])
    assert (len(counted), counted.refused, counted.closed) == (3, 1, 1)
    counted.close(made[0])
    assert counted.open(made[5])


@given(st.lists(st.tuples(st.sampled_from(["open", "admit", "close"]), st.integers(0, 9)), max_size=80))
def test_there_are_never_more_than_the_maximum_and_no_known_one_is_closed(events):
    counted, made, admitted = Connections(4), [Fake() for _ in range(10)], set()
    present = set()
    for event, number in events:
        one = made[number]
        if event == "open" and one not in present and not one.aborted and counted.open(one):
            present.add(one)
        elif event == "admit" and one in present and not one.aborted:
            counted.admit(one)
            admitted.add(one)
        elif event == "close" and one in present:
            counted.close(one)
            present.discard(one)
        present = {one for one in present if not one.aborted}
        assert len(counted) == len(present) <= 4
    assert not any(one.aborted for one in admitted)


def test_a_flood_is_logged_once_a_minute(caplog):
    now = [100.0]
    counted = Connections(1, clock=lambda: now[0])
    for _ in range(50):
        counted.open(Fake())
    assert [record.getMessage()[:42] for record in caplog.records] == ["max_connections: 1 are open; closed 1 that"]
    now[0] += 61
    counted.open(Fake())
    assert "closed 49 that" in caplog.records[-1].getMessage()


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


def test_idle_sockets_keep_no_client_out(narrow):
    """A job that is connected, and one that comes later, beside three times as many sockets as there may be."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    job = http.client.HTTPConnection("127.0.0.1", narrow.port)
    with ExitStack() as stack:
        stack.callback(job.close)

        def version(connection):
            connection.request("GET", "/v1/version", headers=headers)
            response = connection.getresponse()
            return response.status, len(response.read()) > 0

        assert version(job) == (200, True)
        own = job.sock
        idle = [stack.enter_context(narrow.send(b"GET / HTTP/1.1\r\n" * (number % 2))) for number in range(3 * MOST)]
        assert version(job) == (200, True)
        assert job.sock is own, "it was not connected again"
        assert narrow.get("/healthz").status == 200
        closed = sum(is_closed(one) for one in idle)
        assert closed >= 2 * MOST
        counts = narrow.ask("GET", "/metrics", headers).body.decode()
        values = dict(
            line.rsplit(" ", 1) for line in counts.splitlines() if line.startswith("augsvc_") and "conn" in line
        )
        assert float(values["augsvc_connections"]) <= MOST
        assert float(values["augsvc_closed_connections_total"]) >= closed
        assert float(values["augsvc_refused_connections_total"]) == 0
    assert narrow.output().count("max_connections: ") == 1


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
