"""A stand-in for one replica of the service: a real HTTP server on loopback that misbehaves on request.

Its batches are a pure function of (specification, epoch, position), so that what a client yields can be checked
against `expected`, whatever happened on the way.
"""

import hashlib
import json
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np

from augsvc_client import wire

TENSORS = {
    "image": wire.TensorSpec("uint8", (3, 4, 4)),
    "label": wire.TensorSpec("int64", ()),
    "index": wire.TensorSpec("int64", ()),
    "valid": wire.TensorSpec("bool", ()),
}
DRIP_S = 0.02


def order(spec, epoch, samples):
    """Indices of an epoch, by position."""
    if not spec["shuffle"]:
        return np.arange(samples)
    return np.random.Generator(np.random.Philox(key=[spec["order_seed"], epoch])).permutation(samples)


def expected(spec, epoch, start, count, samples, view=0):
    """The arrays at these positions."""
    index = order(spec, epoch, samples)[start : start + count].astype(np.int64)
    image = (index[:, None] * 7 + epoch * 31 + view * 13 + np.arange(48)) % 256
    return {
        "image": image.astype(np.uint8).reshape(-1, 3, 4, 4),
        "label": index % 10,
        "index": index,
        "valid": np.ones(len(index), bool),
    }


@dataclass
class Replica:
    """One server. `faults` are used up one per batch request, then `always` holds; `None` is good behaviour."""

    samples: int = 20
    port: int = 0
    dataset_version: str = "d1"
    arithmetic: str = "a1"
    token: str | None = None
    always: str | None = None
    faults: deque = field(default_factory=deque)
    requests: list = field(default_factory=list)
    on_request: Callable[[str], None] = lambda path: None
    described: dict = field(default_factory=dict)  # entries of a description that are wrong

    def start(self):
        self.streams = {}
        self.ended = threading.Event()
        self.open = set()
        self.server = _Server(("127.0.0.1", self.port), _Handler)
        self.server.replica = self
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()
        return self

    def stop(self):
        """As if killed: no connection outlives it."""
        self.ended.set()
        self.server.shutdown()
        self.thread.join()
        self.server.socket.close()
        self.cut()
        self.server.server_close()

    def cut(self):
        """Close every connection, as a peer does that has kept them long enough."""
        for connection in list(self.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def batches(self):
        """Addresses of the batch requests so far: (epoch, start, count)."""
        found = []
        for _, path, _ in self.requests:
            parts = urlsplit(path)
            if "/epochs/" in parts.path and "samples" not in parts.path:
                query = parse_qs(parts.query)
                found.append((int(parts.path.split("/")[-1]), int(query["start"][0]), int(query["count"][0])))
        return found

    def describe(self, given):
        spec = {"pipeline": "none", "order_seed": 0, "aug_seed": 0, "shuffle": True, "fit": "cover", **given}
        canonical = json.dumps(spec, sort_keys=True).encode()
        form = canonical + self.dataset_version.encode() + self.arithmetic.encode()
        id = hashlib.sha256(form).hexdigest()[:32]
        self.streams[id] = spec
        return {
            "id": id,
            "samples": self.samples,
            "spec": spec,
            "header": wire.encode_spec(canonical),
            "dataset_version": self.dataset_version,
            "dataset": {
                "name": spec["dataset"],
                "samples": self.samples,
                "media": "image",
                "classes": ["a", "b"],
                "version": self.dataset_version,
            },
            "arithmetic": self.arithmetic,
            "passes": 1,
            "tensors": {name: {"dtype": spec.dtype, "shape": [-1, *spec.row]} for name, spec in TENSORS.items()},
        }

    def body(self, id, spec, epoch, start, count, view):
        arrays = expected(spec, epoch, start, count, self.samples, view)
        layout = wire.Layout(TENSORS, id)
        n = len(arrays["index"])
        buffer, views = layout.allocate(n)
        for name, array in arrays.items():
            views[name][...] = array
        layout.seal(buffer, n, epoch=epoch, start=start)
        return buffer.tobytes()


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # server_close waits for them: no thread and no socket outlives a test
    request_queue_size = 64

    def handle_error(self, request, client_address):
        """A client that has gone away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def replica(self):
        return self.server.replica

    def setup(self):
        super().setup()
        self.replica.open.add(self.connection)
        if self.replica.ended.is_set():
            self.replica.cut()

    def finish(self):
        self.replica.open.discard(self.connection)
        with suppress(OSError):
            super().finish()

    def log_message(self, *_):
        pass

    def do_POST(self):
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.note()
        if self.allowed() and not self.misbehaves(self.replica.always):
            if given.get("dataset") == "unknown":
                self.refuse(404, "unknown_dataset", field="dataset")
            else:
                self.answer(200, {**self.replica.describe(given), **self.replica.described})

    def do_GET(self):
        self.note()
        if not self.allowed():
            return
        parts = urlsplit(self.path)
        names = parts.path.strip("/").split("/")
        if names[:2] == ["v1", "streams"]:
            self.stream(names, parse_qs(parts.query))
        elif not self.misbehaves(self.replica.always):
            self.answer(200, {"ops": [{"name": "rotation"}], "datasets": [{"name": "digits"}], "arithmetic": "a1"})

    def note(self):
        self.replica.requests.append((self.command, self.path, self.headers))
        self.replica.on_request(self.path)

    def allowed(self):
        good = self.replica.token is None or self.headers["Authorization"] == f"Bearer {self.replica.token}"
        if not good:
            self.refuse(401, "unauthorized")
        return good

    def stream(self, names, query):
        spec = json.loads(wire.decode_spec(self.headers["Augsvc-Spec"]))
        here = self.replica.describe(spec)
        fault = self.replica.faults.popleft() if self.replica.faults else self.replica.always
        if here["id"] != names[2]:
            self.mismatch(here)
        elif names[-2] == "samples":
            self.answer(200, {"index": int(names[-1]), "operations": []})
        else:
            start, count = int(query["start"][0]), int(query["count"][0])
            view = int(query.get("view", ["0"])[0])
            if start >= self.replica.samples:
                self.refuse(416, "past_the_end", field="start")
            elif not self.misbehaves(fault, here):
                self.batch(fault, here["id"], spec, (int(names[4]), start, count, view))

    def misbehaves(self, fault, here=None):
        """Answer as the fault demands; False where the answer is a body, good or spoilt."""
        match fault:
            case (
                None
                | "cut"
                | "corrupt"
                | "garbled"
                | "foreign"
                | "shape"
                | "drip"
                | "drip-head"
                | "hang"
                | "close"
                | "unsized"
                | "undigested"
            ):
                return False
            case "mismatch":
                self.mismatch(here or {"id": "other", "dataset_version": "d9", "arithmetic": "a9"})
            case "unreadable":
                self.refuse(503, "dataset_unreadable", headers={"Retry-After": "10"})
            case "changed":
                self.refuse(410, "dataset_changed")
            case ("starting", progress):
                self.refuse(503, "starting", headers={"Retry-After": "0"}, progress=progress)
            case "503":
                self.refuse(503, "overloaded", headers={"Retry-After": "0"})
            case "429":
                self.refuse(429, "overloaded", headers={"Retry-After": "3600"})
            case "page":  # a balancer's own
                self.wfile.write(b"HTTP/1.1 502 Bad Gateway\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n<>\r\n0\r\n\r\n")
            case "empty":  # another balancer's
                self.wfile.write(b"HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\nRetry-After: 0\r\n\r\n")
            case _:
                self.refuse(int(fault), "internal")
        return True

    def batch(self, fault, id, spec, address):
        if fault == "foreign":
            address = (address[0] + 1, *address[1:])
        if fault == "shape":
            address = (*address[:2], address[2] + 1, address[3])
        body = self.replica.body(id, spec, *address)
        digest = wire.digest(body)
        if fault == "corrupt":
            body = body[:-1] + bytes([body[-1] ^ 1])
        if fault == "garbled":
            body = b"\xff" * len(body)
            digest = wire.digest(body)
        if fault == "drip-head":
            self.close_connection = True
            return self.send("drip", b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 100)
        self.send_response(200)
        if fault != "undigested":
            self.send_header("Augsvc-Digest", digest)
        if fault != "unsized":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.close_connection = fault not in (None, "corrupt", "garbled", "foreign", "shape")
        return self.send(fault, body)

    def send(self, fault, body):
        if fault == "cut":
            self.wfile.write(body[: len(body) // 2])
        elif fault == "hang":
            self.replica.ended.wait()
        elif fault == "drip":
            with suppress(OSError):
                for byte in body:
                    if self.replica.ended.wait(DRIP_S):
                        return
                    self.wfile.write(bytes([byte]))
        else:
            self.wfile.write(body)  # "close" closes without having said so

    def mismatch(self, here):
        self.refuse(409, "stream_mismatch", **{key: here[key] for key in ("id", "dataset_version", "arithmetic")})

    def refuse(self, status, code, headers=None, **more):
        self.answer(status, {"error": {"code": code, "message": f"refused: {code}", **more}}, headers)

    def answer(self, status, content, headers=None):
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
