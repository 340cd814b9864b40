"""Every error code, provoked over the wire on a real server: its status, words that say what to do, and nothing else.

A code that is added to augsvc/errors.py fails here until something in `PROVOKED` provokes it.
"""

import errno
import inspect
import json
import os
import re
import resource
import signal
import zlib
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml

from augsvc import errors
from augsvc_client.wire import Layout, TensorSpec
from tests.faults import awkward
from tests.http import serving
from tests.http.serving import FOREIGN, Reply, Serving, leased, replies, spoil, write_image_folder

CLASSES = {
    kind.code: kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, errors.AugsvcError)
}
TOKENS = {
    "first": {"token": "a-token-of-the-first-run"},
    "second": {"token": "a-token-of-the-second"},
    "third": {"token": "a-token-of-the-third-run"},
    "metered": {"token": "a-token-with-a-quota", "bytes_per_s": 1},
    "operator": {"token": "a-token-of-the-operator", "operator": True},
    "uploader": {"token": "a-token-that-may-upload", "upload": "1MB"},
}
MAX_BATCH = 400_000
HIGH = 1600  # a canvas of this height and some 72 pixels is 346 kB: four fit in the in-flight limit, a fifth does not
# Beside what serving.FOREIGN knows: any address, and the names of more libraries.
LEAKS = re.compile(
    r"127\.0\.0\.1|localhost|\bPIL\b|pillow|kornia|numba|httptools|asyncio|Fault|srv/private", re.IGNORECASE
)


@dataclass
class Disturbed:
    """A server with an awkward operation, and the gate that it waits at."""

    serving: Serving
    gate: Path
    data: Path

    def send(self, method: str, path: str, who: str = "first", body: bytes = b"", **headers: str) -> Reply:
        return self.serving.ask(method, path, signed(who) | named(headers), body)

    def get(self, path: str, who: str = "first", **headers: str) -> Reply:
        return self.send("GET", path, who, **headers)

    def upload(self, name: str, start: int = 0, total: int = 1000, count: int = 1000) -> Reply:
        """A part of an upload, of zeros."""
        path = f"/v1/datasets/{name}?format=image_folder&sha256={'0' * 64}"
        where = {"Content_Range": f"bytes {start}-{start + count - 1}/{total}"}
        return self.send("PUT", path, "uploader", bytes(count), **where)

    def post(self, spec: object, **headers: str) -> Reply:
        body = spec if isinstance(spec, bytes) else json.dumps(spec).encode()
        return self.send("POST", "/v1/streams", body=body, **{"Content_Type": "application/json"} | headers)

    def push(self, body: bytes, **headers: str) -> Reply:
        return self.send("POST", "/v1/augment", body=body, **{"Content_Type": "application/x-safetensors"} | headers)

    def path(self, start: int = 0, count: int = 1, **spec: object) -> tuple[str, dict[str, str]]:
        """A batch's address, and the header that goes with it."""
        reply = self.post({"dataset": "digits/train", "size": [8, 8], **spec})
        assert reply.status == 200, reply
        header = {"Augsvc_Spec": reply.json["header"]}
        return f"/v1/streams/{reply.json['id']}/epochs/0?start={start}&count={count}", header

    def batch(self, start: int = 0, count: int = 1, **spec: object) -> Reply:
        path, header = self.path(start, count, **spec)
        return self.get(path, **header)

    def raw(self, path: str, who: str = "first", method: str = "GET", **headers: str):
        """A connection on which a batch was asked for."""
        lines = [
            f"{method} {path} HTTP/1.1",
            "Host: localhost",
            *(f"{k}: {v}" for k, v in (signed(who) | named(headers)).items()),
        ]
        return self.serving.send("\r\n".join([*lines, "", ""]).encode())

    def metric(self, name: str) -> float:
        return float(re.search(rf"^{name} (\S+)$", self.get("/metrics").body.decode(), re.MULTILINE)[1])

    def open_gate(self) -> None:
        """Unblocks one reader of the gate, and waits until there is one."""
        self.serving.until(self.unblock_reader)

    def unblock_reader(self) -> bool:
        """Whether there was a reader of the gate."""
        try:
            os.close(os.open(self.gate, os.O_WRONLY | os.O_NONBLOCK))
        except OSError as err:
            assert err.errno == errno.ENXIO
            assert self.serving.process.poll() is None
            self.serving.get("/healthz")  # some time
            return False
        return True

    @contextmanager
    def crowded(self) -> Iterator[str]:
        """Keeps two large batches of each client in flight, and yields the path of another.

        All four wait at the gate: a plain one could be computed before the first of the slow ones arrives.
        """
        slow, header = self.path(size=[HIGH, awkward.WAITS], channels=3, pipeline=[{"op": "awkward"}])
        plain, _ = self.path(size=[HIGH, awkward.WAITS], channels=3)
        with ExitStack() as stack:
            for who in ("first", "second", "first", "second"):
                stack.enter_context(self.raw(slow, who, **header))
            self.serving.until(lambda: self.metric("augsvc_in_flight_bytes") > 4 * HIGH * awkward.WAITS * 3)
            try:
                yield plain
            finally:
                self.serving.until(self.is_emptied)

    def is_emptied(self) -> bool:
        """Unblocks who waits at the gate: a batch that is read slowly is rendered in several chunks, each of which waits."""
        self.unblock_reader()
        return self.metric("augsvc_in_flight_bytes") == 0


def signed(who: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS[who]['token']}"} if who else {}


def named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def pushed(index: list[int], **request: object) -> bytes:
    """A body for POST /v1/augment."""
    tensors = {"image": TensorSpec("uint8", (8, 8, 3)), "index": TensorSpec("int64", ())}
    layout = Layout(tensors, "", {"request": json.dumps(request)})
    buffer, arrays = layout.allocate(len(index))
    arrays["image"][:], arrays["index"][:] = 0, index
    layout.seal(buffer, len(index), epoch=0, start=0)
    return np.asarray(buffer).tobytes()


# --- the servers


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory):
    """Makes servers whose operator has an awkward operation."""
    root = tmp_path_factory.mktemp("operator")
    write_image_folder(root / "data" / "pets", {"cat": 3, "dog": 3})
    write_image_folder(root / "data" / "gone", {"a": 2, "b": 2})
    write_image_folder(root / "data" / "other", {"a": 1})
    for number in range(70):
        spoil(root / "data" / "ruin" / "a" / f"{number:03}.png")
    (root / "tokens.yaml").write_text(yaml.safe_dump(TOKENS), encoding="utf-8")
    gate = root / "gate"
    os.mkfifo(gate)
    settings = {
        "datasets": {
            n: {"format": "image_folder", "path": str(root / "data" / n)} for n in ("pets", "gone", "other", "ruin")
        },
        "tokens_file": str(root / "tokens.yaml"),
        "uploads": {"path": "uploads", "bytes": "1GB"},
        "operations": ["awkward"],
        "allowed_hosts": ["augsvc.example"],
        "max_batch_bytes": MAX_BATCH,
        "max_connections": 64,
        "max_request_bytes": 100_000,
        "shutdown_timeout_s": 60,
    }
    made = []

    def make(held: bool = False, **changes: object) -> Disturbed:
        surroundings = {"PYTHONPATH": str(Path(awkward.__file__).parent), awkward.GATE: str(gate)}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(serving, "CLEAN", serving.CLEAN | surroundings | ({awkward.HELD: "1"} if held else {}))
            one = Serving(tmp_path_factory.mktemp("disturbed"), settings | changes)
        one.token = TOKENS["first"]["token"]
        made.append(one)
        return Disturbed(one, gate, root / "data")

    try:
        yield make
    finally:
        for one in made:
            one.stop()


@pytest.fixture(scope="module")
def server(disturbed):
    """One that all may disturb."""
    made = disturbed()
    made.serving.ready()
    return made


@pytest.fixture(scope="module")
def hasty(disturbed):
    """One that is held in its self-test until somebody lets it go, and has little patience."""
    return disturbed(held=True, request_timeout_s=1)


# --- one function a code: what provokes it, and what the message has to say

PROVOKED: dict[str, tuple[str, str, Callable[[Disturbed], Reply]]] = {}


def provokes(code: str, cure: str, on: str = "server") -> Callable[[Callable[[Disturbed], Reply]], object]:
    def note(function: Callable[[Disturbed], Reply]) -> object:
        PROVOKED[code] = cure, on, function
        return function

    return note


@provokes("starting", "retry shortly", on="hasty")
def _(server):
    return server.get("/v1/version")


@provokes("deadline_exceeded", "within 1 s; retry, or reduce the batch size", on="hasty")
def _(server):
    head = "POST /v1/streams HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"
    credentials = "".join(f"{name}: {value}\r\n" for name, value in signed("first").items())
    with server.serving.send(f"{head}{credentials}\r\n{{".encode()) as connection:
        return replies(connection)[0]


@provokes("engine_lost", "another replica", on="hasty")
def _(server):
    server.open_gate()  # of its self-test
    server.serving.ready()
    path, header = server.path(size=[8, awkward.ENDS], pipeline=[{"op": "awkward"}])
    with server.raw(path, **header) as last, server.raw(path.replace("start=0", "start=1"), **header) as late:
        found = [replies(last)[0], replies(late)[0]]
    assert server.serving.wait() == 1
    return next(reply for reply in found if reply.status != 200)


@provokes("bad_request", "plain HTTP")
def _(server):
    with server.serving.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n") as connection:
        return replies(connection)[0]


@provokes("host_not_allowed", "allowed_hosts")
def _(server):
    return server.get("/v1/ops", Host="evil.example")


@provokes("bad_json", "check brackets")
def _(server):
    return server.post(b'{"dataset": "digits/train",}')


@provokes("body_damaged", "send it again")
def _(server):
    return server.push(pushed([0, 1]), Augsvc_Digest="0" * 16)


@provokes("unauthorized", "send a valid token of this server as Authorization: Bearer")
def _(server):
    return server.get("/v1/ops", who="")


@provokes("forbidden", "an operator's token")
def _(server):
    return server.send("POST", "/v1/datasets/reload")


@provokes("reload_failed", "served as before, because it cannot be indexed now: other; see the log")
def _(server):
    (server.data / "other").rename(server.data / "away")
    try:
        return server.send("POST", "/v1/datasets/reload", "operator")
    finally:
        (server.data / "away").rename(server.data / "other")


@provokes("too_many_connections", "retry shortly")
def _(server):
    body = {"Content_Type": "application/json", "Content_Length": "9"}
    with ExitStack() as stack:
        for _ in range(64):  # those that are admitted wait for a body
            stack.enter_context(server.raw("/v1/streams", method="POST", **body))
        with server.raw("/v1/version") as connection:
            return replies(connection)[0]


@provokes("not_found", "see GET /docs")
def _(server):
    return server.get("/v1/etc/passwd")


@provokes("unknown_stream", "send its specification as Augsvc-Spec")
def _(server):
    return server.get(f"/v1/streams/{'0' * 32}/epochs/0?start=0&count=1")


@provokes("unknown_dataset", "GET /v1/datasets lists them")
def _(server):
    return server.post({"dataset": "zebras"})


@provokes("unknown_model", "GET /v2/models lists them")
def _(server):
    return server.get("/v2/models/resnet50")


@provokes("method_not_allowed", "takes GET")
def _(server):
    return server.send("DELETE", "/v1/ops")


@provokes("stream_mismatch", "use another replica or reopen the stream")
def _(server):
    path, header = server.path()
    return server.get(re.sub("[0-9a-f]{32}", "0" * 32, path), **header)


@provokes("request_too_large", "at most 100000 bytes; reduce the batch size")
def _(server):
    return server.push(b"x" * 100_001)


@provokes("wrong_content_type", "Content-Type: application/json")
def _(server):
    return server.post({"dataset": "digits/train"}, Content_Type="text/plain")


@provokes("past_the_end", "start below that, or continue with the next epoch")
def _(server):
    return server.batch(start=1 << 20)


@provokes("spec_invalid", r"pipeline\.0\.degrees takes numbers from -360\.0 to 360\.0")
def _(server):
    return server.post({"dataset": "digits/train", "pipeline": [{"op": "rotation", "degrees": 1e9}]})


@provokes("plan_too_costly", "an estimated 39 s, and at most 10 s are allowed; reduce the size")
def _(server):
    return server.post({"dataset": "digits/train", "size": [4096, 4096], "pipeline": [{"op": "gaussian_blur"}] * 64})


@provokes("size_required", r"set `size` to \[height, width\]")
def _(server):
    return server.post({"dataset": "pets"})


@provokes("needs_statistics", "`augsvc fit pets` and names them in the settings")
def _(server):
    return server.post({"dataset": "pets", "size": [8, 8], "pipeline": [{"op": "whitening", "mode": "color"}]})


@provokes("needs_dataset", "works on streams only")
def _(server):
    return server.push(pushed([0], pipeline=[{"op": "whitening", "mode": "color"}]))


@provokes("spec_too_large", "at most 65536 bytes")
def _(server):
    bomb = urlsafe_b64encode(zlib.compress(b" " * 65_537)).decode().rstrip("=")
    return server.get(f"/v1/streams/{'0' * 32}", Augsvc_Spec=bomb)


@provokes("body_malformed", "write it with the safetensors library")
def _(server):
    return server.push(b"x" * 1000)


@provokes("duplicate_index", "give each sample a distinct one")
def _(server):
    return server.push(pushed([3, 3]))


@provokes("batch_too_large", "ask for at most 1 ")
def _(server):
    return server.batch(count=2, size=[HIGH, 75], channels=3)


@provokes("too_much_at_once", "in-flight limit; retry shortly")
def _(server):
    with server.crowded() as path:
        return server.get(path, "first")


@provokes("overloaded", "memory budget is exhausted; retry shortly")
def _(server):
    with server.crowded() as path:
        reply = server.get(path, "third")
    assert server.get(path, "third").status == 200  # else its share would be kept for it
    return reply


@provokes("over_quota", "retry after Retry-After")
def _(server):
    assert server.get("/v1/ops", "metered").status == 200
    return server.get("/v1/ops", "metered")


@provokes("headers_too_large", "at most 16384 bytes; send fewer or shorter ones")
def _(server):
    return server.get("/v1/ops", X_Long="x" * 17_000)


@provokes("internal", "X-Request-ID")
def _(server):
    reply = server.batch(size=[8, awkward.BREAKS], pipeline=[{"op": "awkward"}])
    log = server.serving.output()  # the operator gets the details, under that id
    assert "numpy.linalg.LinAlgError" in log
    assert f"request {reply.headers['x-request-id']} failed" in log
    return reply


@provokes("not_available", "the modes image and color")
def _(server):
    return server.post({"dataset": "digits/train", "pipeline": [{"op": "whitening", "mode": "zca"}]})


@provokes("device_out_of_memory", "a smaller size")
def _(server):
    return server.batch(size=[8, awkward.FILLS], pipeline=[{"op": "awkward"}])


@provokes("dataset_unavailable", "sample 2 of 'gone' could not be read after 3 attempts; check the file")
def _(server):
    with leased(server.data / "gone" / "b" / "000.png"):
        return server.batch(count=4, dataset="gone", shuffle=False)


@provokes("dataset_changed", r"sample 0 of 'other' changed .* a/000\.png .* restart the server")
def _(server):
    (server.data / "other" / "a" / "000.png").touch()
    return server.batch(dataset="other")


@provokes("name_taken", "choose another one")
def _(server):
    return server.upload("pets")


@provokes("upload_conflict", "start at offset 0")
def _(server):
    return server.upload("new", start=1000, total=2000)


@provokes("upload_too_large", "1,000,000 are left of the quota; delete an uploaded dataset")
def _(server):
    return server.upload("new", total=1_000_001)


@provokes("upload_invalid", "announced sha256; send them again")
def _(server):
    return server.upload("new")


@provokes("storage_full", "continue when there is space")
def _(server):
    process = server.serving.process.pid
    before = resource.prlimit(process, resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
    try:
        return server.upload("big", total=60_000, count=60_000)
    finally:
        resource.prlimit(process, resource.RLIMIT_FSIZE, before)


@provokes("dataset_unreadable", "check the dataset's files")
def _(server):
    return server.batch(dataset="ruin")


@provokes("draining", "another replica")
def _(server):
    slow, header = server.path(size=[8, awkward.WAITS], pipeline=[{"op": "awkward"}])
    with server.raw(slow, **header) as held:
        server.serving.until(lambda: server.metric("augsvc_in_flight_bytes") > 0)
        server.serving.signal(signal.SIGTERM)
        server.serving.until(lambda: server.serving.get("/readyz").status == 503)
        reply = server.get("/v1/ops")
        server.open_gate()
        assert replies(held)[0].status == 200
    return reply


def test_nothing_is_left_out():
    assert set(PROVOKED) == set(CLASSES), "each code of augsvc/errors.py has a function here that provokes it"


@pytest.mark.parametrize("code", PROVOKED)
def test_a_code_and_what_is_said_with_it(code, request):
    cure, on, provoke = PROVOKED[code]
    server = request.getfixturevalue(on)
    reply = provoke(server)
    kind = CLASSES[code]
    message = reply.refused(kind.status, code)["message"]
    assert re.search(cure, message), message
    assert ("retry-after" in reply.headers) == (kind.status in (429, 503)), reply.headers
    whole = json.dumps(dict(reply.headers)) + reply.body.decode()
    assert not FOREIGN.search(reply.body.decode()), whole
    assert not LEAKS.search(whole), whole
    for private in (
        server.data,
        server.serving.folder,
        f":{server.serving.port}",
        *(t["token"] for t in TOKENS.values()),
    ):
        assert str(private) not in whole
