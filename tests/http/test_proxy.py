"""deploy/nginx.conf as it is shipped, started over two servers: only ports, names of files, two timeouts and a
limit are put in."""

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from operator import eq
from pathlib import Path

import numpy as np
import pytest

from augsvc_client import Client, RemoteDataLoader
from tests.http.serving import START_S, TRIES, Reply, replies
from tests.ports import choose_port

SHIPPED = Path(__file__).parent.parent.parent / "deploy" / "nginx.conf"
NGINX = shutil.which("nginx", path=os.environ["PATH"] + os.pathsep + "/usr/sbin")
SPEC = {"dataset": "digits/train", "pipeline": "light"}
CONNECTIONS = 4  # of one address
LARGE = {"dataset": "photos/train", "pipeline": "strong", "size": [192, 192]}

pytestmark = [
    pytest.mark.skipif(NGINX is None, reason="needs nginx: apt-get install nginx-light"),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl, for a certificate"),
]


def put_in(text, *changes):
    for pattern, value in changes:
        text, times = re.subn(pattern, value, text, flags=re.MULTILINE)
        assert times, f"{pattern} is not in the shipped file"
    return text


def certificate(folder):
    """Self-signed, for 127.0.0.1."""
    command = [
        "openssl",
        "req",
        "-x509",
        "-nodes",
        "-days",
        "2",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
    ]
    names = ["-subj", "/CN=augsvc", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", folder / "tls.key", "-out", folder / "tls.crt"]
    subprocess.run([*command, *names, *files], check=True, capture_output=True)


def rendered(folder, port, servers, connections):
    addresses = "".join(f"server 127.0.0.1:{each} max_fails=0;\n" for each in servers)
    text = put_in(
        SHIPPED.read_text(encoding="utf-8"),
        (r"^ *server server:8000 max_fails=0;$", addresses),
        (r"listen 8443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        (r"(?<= )/(tmp|run/secrets)/", f"{folder}/"),  # in one go: the folder may lie in /tmp itself
        (r"/dev/stdout", f"{folder}/access"),
        (r"client_header_timeout 10s", "client_header_timeout 1s"),
        (r"client_body_timeout 10s", "client_body_timeout 1s"),
        (r"limit_conn clients 512", f"limit_conn clients {connections}"),
    )
    path = folder / "nginx.conf"
    path.write_text(("user root;\n" if os.getuid() == 0 else "") + text, encoding="utf-8")
    return path


class Proxy:
    """nginx in front of some servers."""

    def __init__(self, folder, servers, connections=CONNECTIONS):
        self.port = choose_port()
        self.folder, self.url = folder, f"https://127.0.0.1:{self.port}"
        certificate(folder)
        self.trusted = ssl.create_default_context(cafile=folder / "tls.crt")
        config = rendered(folder, self.port, [server.port for server in servers], connections)
        self._errors = (folder / "stderr").open("w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [NGINX, "-p", folder, "-c", config, "-g", "daemon off;"], stdout=self._errors, stderr=self._errors
        )
        for _ in range(TRIES):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self.process.poll() is None, self.said()

    def said(self):
        return (self.folder / "stderr").read_text(encoding="utf-8")

    @contextmanager
    def connection(self):
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=START_S) as plain,
            self.trusted.wrap_socket(plain, server_hostname="127.0.0.1") as wrapped,
        ):
            yield wrapped

    def get(self, path, method="GET", **headers) -> Reply:
        lines = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        with self.connection() as connection:
            connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
            return replies(connection)[0]

    def logged(self, method, path_id):
        """The log's line of a request, which nginx writes when it is over."""
        for _ in range(TRIES):
            for line in (self.folder / "access").read_text(encoding="utf-8").splitlines():
                entry = json.loads(line)
                if entry["method"] == method and entry["request_id"] == path_id:
                    return entry
        raise AssertionError("it was never logged")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(START_S)
        self._errors.close()


@pytest.fixture(scope="module")
def pair(serve):
    return [one.ready() for one in (serve(), serve())]


@pytest.fixture(scope="module")
def proxy(pair, tmp_path_factory):
    made = Proxy(tmp_path_factory.mktemp("nginx"), pair)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture
def client(proxy, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(proxy.folder / "tls.crt"))
    with Client(proxy.url, wait_s=60) as made:
        yield made


@pytest.fixture
def both(pair):
    """Both servers, whatever a test before did to them."""
    for one in pair:
        if one.process.poll() is not None:
            one.begin()
        one.ready()
    return pair


def test_the_client_works_through_it(proxy, both, client):
    stream = client.stream(SPEC)
    direct = both[0].open(SPEC)
    assert stream.id == direct["id"]
    for start in range(0, 80, 16):
        wanted = both[0].batch(direct, 0, start, 16).arrays
        got = stream.batch(0, start, 16)
        assert all(np.array_equal(got[name], wanted[name]) for name in wanted)
    frames = list(stream.frames(0, 0, 16, stride=16, frames=5))
    assert np.array_equal(frames[4]["image"], got["image"])
    pushed = client.augment({"image": np.zeros((4, 8, 8, 3), np.uint8), "index": np.arange(4)}, pipeline="light")
    assert pushed.arrays["image"].shape == (4, 3, 8, 8)


def test_large_answers_come_whole_and_are_not_gathered(proxy, both, client):
    stream = client.stream({"dataset": "shapes/train", "size": [128, 128]})
    assert stream.batch(0, 0, 600)["image"].shape == (600, 3, 128, 128)
    assert "temporary file" not in proxy.said(), "nginx gathered what its reader had not taken"


def test_a_request_keeps_its_id(proxy, both):
    assert proxy.get("/healthz", X_Request_ID="mine-1").headers["x-request-id"] == "mine-1"
    assert re.fullmatch("[0-9a-f]{32}", proxy.get("/healthz").headers["x-request-id"])
    assert '"request_id":"mine-1"' in (proxy.folder / "access").read_text(encoding="utf-8")


def test_metrics_are_each_server_s_own(proxy, both):
    proxy.get("/metrics").refused(404, "not_found")
    proxy.get("/v1/datasets/reload", method="POST").refused(404, "not_found")


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "/v1/datasets/pets?sha256=0"), ("DELETE", "/v1/datasets/pets"), ("GET", "/v1/uploads")]
)
def test_datasets_are_uploaded_to_each_server_and_the_proxy_says_so(proxy, method, path):
    reply = proxy.get(path, method=method, Content_Length=str(100 << 20 if method == "PUT" else 0))
    assert "each server at its own address" in reply.refused(404, "not_found")["message"]
    assert proxy.get("/v1/datasets").status == 200


def test_one_server_killed_is_not_missed(proxy, both):
    path = f"/v1/streams/{both[0].open(SPEC)['id']}/epochs/0?start=0&count=8"
    wanted = both[0].batch(both[1].open(SPEC), 0, 0, 8).sha
    both[0].kill()
    assert {proxy.get(path).sha for _ in range(12)} == {wanted}


def test_a_server_that_drains_or_starts_is_passed_over(proxy, both):
    path = f"/v1/streams/{both[1].open(SPEC)['id']}/epochs/0?start=0&count=8"
    both[0].open(SPEC)
    with both[0].send(
        f"GET /v1/streams/{both[0].open(LARGE)['id']}/epochs/0?start=0&count=200 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    ):
        both[0].until(lambda: both[0].metric("augsvc_in_flight_bytes") > 0)
        both[0].signal(signal.SIGTERM)
        assert {proxy.get(path).status for _ in range(6)} == {200}
    both[0].wait()
    both[0].begin()  # and answers 503 starting for a while
    assert {proxy.get("/readyz").status for _ in range(6)} == {200}


@pytest.mark.slow
def test_five_epochs_complete_while_the_servers_restart_in_turn(serve, tmp_path, monkeypatch):
    """Each batch is that of an undisturbed epoch; prints how many there were, and the longest wait for one (`-s`)."""
    servers = [one.ready() for one in (serve(), serve())]
    proxy, restarted = Proxy(tmp_path, servers, 512), threading.Event()
    monkeypatch.setenv("SSL_CERT_FILE", str(proxy.folder / "tls.crt"))

    def epochs(url, seed, is_over):
        digests, longest_s, at_s = [], 0.0, time.monotonic()
        with RemoteDataLoader(url, **SPEC, size=(32, 32), batch_size=64, aug_seed=seed) as loader:
            while not is_over(len(digests)):
                digest = hashlib.sha256()
                for batch in loader:
                    longest_s, at_s = max(longest_s, time.monotonic() - at_s), time.monotonic()
                    digest.update(batch["image"].numpy().tobytes() + batch["index"].numpy().tobytes())
                digests.append(digest.hexdigest())
        return digests, longest_s

    try:
        with ThreadPoolExecutor(5) as trainers:
            walks = [
                trainers.submit(epochs, proxy.url, seed, lambda n_epochs: n_epochs and restarted.is_set())
                for seed in range(5)
            ]
            try:
                for server in servers:
                    server.signal(signal.SIGTERM)
                    assert server.wait() == 0
                    server.begin().ready()
            finally:
                restarted.set()
            found = [walk.result() for walk in walks]
    finally:
        proxy.stop()
    print(f"{sum(len(digests) for digests, _ in found)} epochs, longest wait {max(s for _, s in found):.2f} s")
    for seed, (digests, _) in enumerate(found):
        undisturbed, _ = epochs(servers[0].url, seed, partial(eq, len(digests)))
        assert digests == undisturbed


def test_what_one_request_is_refused_for_takes_no_server_from_others(proxy, both):
    """A dataset that cannot be decoded is an error of both servers, and of nothing but that dataset."""
    good = f"/v1/streams/{both[0].open(SPEC)['id']}/epochs/0?start=0&count=8"
    ruined = both[0].open({"dataset": "ruin", "size": [8, 8], "shuffle": False})
    both[1].open(SPEC)
    for _ in range(4):
        bad = proxy.get(f"/v1/streams/{ruined['id']}/epochs/0?start=0&count=1", Augsvc_Spec=ruined["header"])
        bad.refused(422, "dataset_unreadable")
        assert proxy.get(good).status == 200


def test_an_address_with_too_many_connections_gets_an_error_with_retry_after(proxy, both):
    stream = both[0].open({"dataset": "digits/train", "size": [512, 512]})
    path = f"/v1/streams/{stream['id']}/epochs/0?start=0&count=64"
    asked = f"GET {path} HTTP/1.1\r\nHost: x\r\nAugsvc-Spec: {stream['header']}\r\n\r\n"
    with ExitStack() as held:
        for _ in range(CONNECTIONS):
            connection = held.enter_context(proxy.connection())
            connection.sendall(asked.encode())
            assert connection.recv(12) == b"HTTP/1.1 200"  # of 16 MB, which are not read
        reply = proxy.get("/healthz")
        reply.refused(429, "too_many_connections")
        assert reply.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (b"GET /v1/ops HTTP/1.1\r\nbad header\r\n\r\n", 400, "bad_request"),
        (b"GET /v1/ops HTTP/1.1\r\n\r\n", 400, "bad_request"),
        (b"GET /v1/ops HTTP/3.7\r\nHost: x\r\n\r\n", 400, "bad_request"),
        (b"TRACE /v1/ops HTTP/1.1\r\nHost: x\r\n\r\n", 405, "method_not_allowed"),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431, "headers_too_large"),
        (b"GET /v1/ops HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", 431, "headers_too_large"),
    ],
    ids=["header", "no host", "version", "method", "line", "headers"],
)
def test_what_is_refused_before_a_server_hears_of_it_has_the_servers_form(proxy, request_, status, code):
    with proxy.connection() as connection:
        connection.sendall(request_)
        replies(connection)[0].refused(status, code)


def test_plain_http_to_the_port_with_tls_gets_an_error(proxy):
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=START_S) as plain:
        plain.sendall(b"GET /v1/ops HTTP/1.1\r\nHost: x\r\n\r\n")
        assert "TLS; give clients an https URL" in replies(plain)[0].refused(400, "bad_request")["message"]


def test_without_any_server_the_answer_is_one_that_clients_understand(proxy, both):
    for one in both:
        one.kill()
    reply = proxy.get("/v1/ops")
    reply.refused(503, "no_server")
    assert reply.headers["retry-after"] == "1"


def trickled(connection, piece):
    """Sends a piece at a time until an answer comes, or the end; how many were sent."""
    connection.settimeout(0.1)
    for sent in range(TRIES):
        try:
            connection.sendall(piece)
            return sent, connection.recv(1000)
        except TimeoutError:
            continue
        except OSError:
            return sent, b""
    raise AssertionError("it was never cut")


def unheard(servers, route):
    """How often each server has heard of something like it, whatever came of it."""
    pattern = re.compile(rf'^augsvc_requests_total{{[^}}]*route="{re.escape(route)}"[^}}]*}} (\S+)$', re.MULTILINE)
    return [sum(map(float, pattern.findall(each.get("/metrics").body.decode()))) for each in servers]


def test_a_request_that_trickles_in_is_cut_and_no_server_hears_of_it(proxy, both):
    before = unheard(both, "none")
    with proxy.connection() as connection:
        connection.sendall(b"GET /nowhere HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        sent, answer = trickled(connection, b"x")
    assert sent > 1
    assert answer == b"" or b" 408 " in answer
    assert unheard(both, "none") == before
    assert proxy.get("/nowhere").status == 404
    assert sum(unheard(both, "none")) == sum(before) + 1, "a whole one is heard of"


def test_a_body_that_stops_is_cut_and_no_server_hears_of_it(proxy, both):
    head = "POST /v1/augment HTTP/1.1\r\nHost: x\r\nX-Request-ID: stops\r\nContent-Length: 100000\r\n\r\n"
    with proxy.connection() as connection:
        connection.sendall(head.encode() + b"\0" * 1000)
        answer = connection.recv(1000)
    assert answer == b"" or b" 408 " in answer
    entry = proxy.logged("POST", "stops")
    assert (entry["status"], entry["server"]) == (408, "")


def test_a_body_over_the_limit_is_refused_before_it_comes(proxy, both):
    proxy.get("/v1/augment", "POST", Content_Length=str((64 << 20) + 1)).refused(413, "request_too_large")


# --- tokens: a body is read only from those who have one

TOKEN = "the-token-of-one-trainer"  # noqa: S105


@pytest.fixture(scope="module")
def guarded(serve, tmp_path_factory):
    folder = tmp_path_factory.mktemp("guarded")
    (folder / "tokens.yaml").write_text(f"one: {{token: {TOKEN}, bytes_per_s: 5000}}", encoding="utf-8")
    one = serve(tokens_file=str(folder / "tokens.yaml"), max_request_bytes=64 << 20)
    one.token = TOKEN
    made = Proxy(folder, [one.ready()])
    try:
        yield made
    finally:
        made.stop()


def buffered(proxy):
    """Bytes of bodies that nginx has written to its temporary files, deleted ones included."""
    workers = subprocess.run(["pgrep", "-P", str(proxy.process.pid)], capture_output=True, text=True).stdout.split()
    opened = [file for worker in workers for file in Path(f"/proc/{worker}/fd").iterdir()]
    return sum(file.stat().st_size for file in opened if "nginx-bodies" in str(file.readlink()))


@pytest.mark.parametrize(
    "path",
    [
        "/v1/augment",
        "/v1/streams",
        "/v2/models/light/infer",
        "/v2/models/light/versions/1/infer",
        "//v1/%61ugment",  # another way to write an address
    ],
)
@pytest.mark.parametrize("sent", ["", "Authorization: Bearer not-a-token-of-anyone\r\n"])
def test_a_body_without_a_token_is_refused_before_it_comes(guarded, path, sent):
    n_bytes = 60 << 20 if path == "/v1/augment" else 1_000_000
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\n{sent}Content-Length: {n_bytes}\r\n\r\n"
    with guarded.connection() as connection:
        connection.sendall(head.encode() + b"\0" * 500_000)
        reply = replies(connection)[0]
        assert "Bearer" in reply.headers["www-authenticate"]
        assert "token" in reply.refused(401, "unauthorized")["message"]
        assert buffered(guarded) == 0


def test_a_chunked_body_without_a_token_is_refused_before_it_comes(guarded):
    head = "POST /v1/augment HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with guarded.connection() as connection:
        connection.sendall(head.encode() + b"10000\r\n" + b"\0" * 0x10000 + b"\r\n")
        replies(connection)[0].refused(401, "unauthorized")
        assert buffered(guarded) == 0


@pytest.mark.parametrize("path", ["/", "/v1/ops", "/v1/datasets/reload", "/healthz", "/v1/augment/"])
def test_other_routes_take_no_body(guarded, path):
    guarded.get(path, "POST", Content_Length=str(100 << 20)).refused(413, "request_too_large")


def test_the_token_check_is_not_a_route_of_the_proxy(guarded):
    guarded.get("/authorized", Authorization=f"Bearer {TOKEN}").refused(404, "not_found")


def test_a_body_with_a_token_reaches_the_server(guarded):
    """Over its quota a client is refused by the server, not by nginx: with the time when to come back."""
    spec = json.dumps({"dataset": "digits/test", "pad": "x" * 50_000})
    head = f"POST /v1/streams HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {len(spec)}\r\n"
    for status, code in ((422, "spec_invalid"), (429, "over_quota")):
        with guarded.connection() as connection:
            connection.sendall(f"{head}Content-Type: application/json\r\n\r\n{spec}".encode())
            reply = replies(connection)[0]
        reply.refused(status, code)
    assert int(reply.headers["retry-after"]) > 1


def test_where_no_server_can_check_a_token_clients_come_back(serve, tmp_path):
    gone = serve().ready()
    gone.kill()
    proxy = Proxy(tmp_path, [gone])
    try:
        reply = proxy.get("/v1/augment", "POST", Content_Length="100")
        reply.refused(503, "no_server")
        assert reply.headers["retry-after"] == "1"
    finally:
        proxy.stop()
