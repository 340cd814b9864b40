"""Disconnects: a client in the middle of a batch, and the server on SIGTERM."""

import signal
import socket
from pathlib import Path

import pytest

from augsvc_client.wire import digest
from tests.http import serving
from tests.http.serving import replies

LARGE = {"dataset": "photos/train", "pipeline": "strong", "size": [192, 192]}  # 110 kB and much work a sample
PLAIN = {"dataset": "shapes/train", "size": [128, 128]}  # 49 kB and little work a sample
GET = "GET /v1/streams/{id}/epochs/{epoch}?start=0&count={count} HTTP/1.1\r\nHost: localhost\r\n\r\n"


def request(stream, count, epoch=0):
    return GET.format(id=stream["id"], epoch=epoch, count=count).encode()


def send_unread(server, data):
    """A connection that takes little until it is read: what it requests stays in flight."""
    connection = server.send(b"")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    connection.sendall(data)
    return connection


def nothing_pending(server):
    return server.metric("augsvc_in_flight_bytes") == 0


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_work_for_disconnected_clients_is_cancelled(server, version):
    stream = server.open(LARGE)
    small = server.batch(stream, 0, 0, 2)
    server.until(lambda: nothing_pending(server))
    before = server.metric("augsvc_cancelled_batches_total")
    delivered = server.metric("augsvc_samples_total", dataset="photos/train")
    # far more work than is done before they are closed, however slow this process
    requests = [request(stream, 1400, epoch).replace(b"HTTP/1.1", b"HTTP/" + version) for epoch in range(3)]
    connections = [server.send(each) for each in requests]
    server.until(lambda: server.metric("augsvc_in_flight_bytes") > 3 * 1400 * 192 * 192 * 3)
    for connection in connections:
        connection.close()
    server.until(lambda: server.metric("augsvc_cancelled_batches_total") == before + 3)
    server.until(lambda: nothing_pending(server))
    assert server.metric("augsvc_samples_total", dataset="photos/train") == delivered
    assert server.batch(stream, 0, 0, 2).body == small.body


def test_a_client_that_leaves_while_its_batch_is_sent_leaves_no_bytes_behind(server):
    stream = server.open(PLAIN)
    for _ in range(2):
        with server.send(request(stream, 1000)) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            assert connection.recv(1000).startswith(b"HTTP/1.1 200")
            assert server.metric("augsvc_in_flight_bytes") > 0  # the socket cannot have taken 49 MB
        server.until(lambda: nothing_pending(server))


def test_a_client_that_half_closes_still_gets_its_batch(server):
    stream = server.open(PLAIN)
    with server.send(request(stream, 3)) as connection:
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as file:
            answer = file.read()
    assert answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n").startswith(b"HTTP/1.1 200")
    assert answer.endswith(server.batch(stream, 0, 0, 3).body)
    server.until(lambda: nothing_pending(server))


def test_in_flight_requests_are_bounded_and_get_retry_after(serve):
    replica = serve(max_batch_bytes=10_000_000).ready()
    stream = replica.open(PLAIN)
    connections = [replica.send(request(stream, 130, epoch)) for epoch in range(8)]  # 69 MB; 40 may be in flight
    answers = []
    for connection in connections:
        with connection:
            answers += replies(connection)
    assert {answer.status for answer in answers} <= {200, 503}
    assert answers[0].status == 200
    for answer in answers:
        if answer.status == 503:
            answer.refused(503, "overloaded")
            assert int(answer.headers["retry-after"]) >= 1
        else:
            assert answer.headers["augsvc-digest"] == digest(answer.body)
    replica.until(lambda: nothing_pending(replica))
    assert replica.batch(stream, 0, 0, 130).status == 200


def test_sigterm_lets_requests_in_flight_finish(serve):
    replica = serve().ready()
    stream = replica.open(LARGE)
    wanted = replica.batch(stream, 0, 0, 3)
    idle = socket.create_connection(("127.0.0.1", replica.port))  # does not delay the shutdown
    with idle, send_unread(replica, request(stream, 30)) as busy:  # 3.3 MB
        replica.until(lambda: replica.metric("augsvc_in_flight_bytes") > 0)
        replica.signal(signal.SIGTERM)
        answer = replies(busy)[0]
        status = replica.wait()
    assert answer.status == 200
    assert answer.headers["augsvc-digest"] == digest(answer.body)
    assert answer.arrays["image"][:3].tobytes() == wanted.arrays["image"].tobytes()
    assert status in (0, -signal.SIGTERM)
    assert "Traceback" not in replica.output()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", replica.port))
    replica.begin().ready()
    assert replica.batch(stream, 0, 0, 3).body == wanted.body
    replica.signal(signal.SIGINT)  # Ctrl-C
    assert replica.wait() in (0, 130, -signal.SIGINT)
    assert "Traceback" not in replica.output()


OWN_OPERATION = Path(__file__).parents[2] / "examples" / "own_operation.py"
ENDLESS = """
import threading
from augsvc.streams.selftest import SelfTest
SelfTest.warm_up = lambda self: threading.Event().wait()  # as a compiler that takes minutes
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_server_that_compiles_its_kernels_ends_at_once_and_loses_nothing(serve, sent, tmp_path, monkeypatch):
    (tmp_path / "endless.py").write_text(OWN_OPERATION.read_text(encoding="utf-8") + ENDLESS, encoding="utf-8")
    monkeypatch.setattr(serving, "CLEAN", serving.CLEAN | {"PYTHONPATH": str(tmp_path)})
    replica = serve(operations=["endless"])
    assert replica.get("/readyz").status == 503
    replica.signal(sent)
    assert replica.wait() == 0
    assert "stopped before it was ready" in replica.output()
    assert "in flight" not in replica.output()


def test_a_draining_server_is_not_ready_and_says_so(serve):
    """A balancer must learn it from /readyz (CONTRACT), while requests in flight are finished."""
    replica = serve().ready()
    with send_unread(replica, request(replica.open(LARGE), 30)) as busy:
        replica.until(lambda: replica.metric("augsvc_in_flight_bytes") > 0)
        replica.signal(signal.SIGTERM)
        try:
            replica.until(lambda: replica.get("/readyz").status == 503)
            said = replica.get("/readyz")
        except ConnectionError:
            said = None
        assert replies(busy)[0].status == 200
    assert said is not None, "the port was closed while a request was in flight"
    said.refused(503, "draining")


def test_what_does_not_finish_in_the_time_of_grace_is_no_failure_of_the_server(serve):
    replica = serve(shutdown_timeout_s=1).ready()
    with replica.send(request(replica.open(LARGE), 1400)) as busy:
        replica.until(lambda: replica.metric("augsvc_in_flight_bytes") > 0)
        replica.signal(signal.SIGTERM)
        with busy.makefile("rb") as file:
            answer = file.read()
        replica.wait()
    assert not answer or answer.split()[1] in (b"200", b"503"), answer[:200]
    assert "Traceback" not in replica.output()


def test_a_starting_server_lives_but_is_not_ready(serve):
    replica = serve()
    assert replica.get("/healthz").status == 200
    answers = []

    def is_ready():
        answers.append(replica.get("/readyz"))
        return answers[-1].status == 200

    replica.until(is_ready)
    for answer in answers[:-1]:
        answer.refused(503, "starting")
        assert int(answer.headers["retry-after"]) >= 1
        progress = answer.json["error"]["progress"]
        assert progress.keys() == {"step", "done", "total", "seconds_left", "kept"}
        assert progress["step"] in ("kernels", "self_test")
        assert 0 <= progress["done"] <= progress["total"]
    assert replica.post(PLAIN).status == 200
