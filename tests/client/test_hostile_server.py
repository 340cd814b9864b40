"""What a server sends is checked: one clear error, whatever it claims; what waiting cannot mend is raised immediately."""

import os
import signal
import threading
import time
import warnings
from contextlib import contextmanager
from http.client import HTTPMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from replica import Replica

from augsvc_client import Client, RemoteDataLoader, RequestRefused, ServerUnavailable
from augsvc_client.client.push import parse_augmented
from augsvc_client.client.retry import RETRYABLE, check_status
from augsvc_client.errors import BadResponse
from augsvc_client.transport.address import Replica as Address
from augsvc_client.transport.connection import Response
from augsvc_client.wire import DIGEST_HEADER, Layout, TensorSpec, digest

SPEC = {"dataset": "digits/train"}
TENSORS = {"index": {"dtype": "int64", "shape": [-1]}}


def tensors(**changed):
    return {"tensors": {**TENSORS, "image": {"dtype": "uint8", "shape": [-1, 3, 4, 4], **changed}}}


@pytest.fixture
def replica():
    with Replica() as running:
        yield running


@pytest.mark.parametrize(
    "claim",
    [
        {"samples": -1}, {"samples": True}, {"samples": 2.0}, {"samples": "20"}, {"samples": 1 << 40},
        {"dataset": {}}, {"dataset": "d"},
        {"dataset": {"name": "d", "version": "v", "media": "image", "classes": [1], "samples": 2}},
        {"id": ""}, {"id": "../../v1/ops"}, {"id": None}, {"dataset_version": ""}, {"arithmetic": ""}, {"arithmetic": 3},
        {"header": ""}, {"header": "a\nb: c"}, {"spec": []}, {"tensors": []}, {"tensors": {}},
        tensors(shape=[-1, -3, 4]), tensors(shape=[-1, 1.5]), tensors(shape=[-1, True]), tensors(shape=[4, 4]),
        tensors(shape=[]), tensors(shape=[-1, 1 << 20, 1 << 20]), tensors(shape=[-1, 10**30]), tensors(dtype="object"),
        tensors(shape=None), {"tensors": {"image": 3}},
    ],
    ids=str,
)  # fmt: skip
def test_a_description_that_cannot_be_true_is_refused(replica, impatient, claim):
    replica.described = claim
    with Client(replica.url, wait_s=60) as client, pytest.raises(ServerUnavailable, match="not version 1's"):
        client.stream(SPEC)


def test_tensors_without_a_digest_are_refused(replica, impatient):
    with Client(replica.url, wait_s=60) as client:
        stream = client.stream(SPEC)
        replica.always = "undigested"
        with pytest.raises(ServerUnavailable, match="without a digest"):
            stream.batch(0, 0, 4)


LASTING = {"unreadable": (503, "dataset_unreadable"), "changed": (410, "dataset_changed")}


@pytest.mark.parametrize("fault", LASTING)
def test_what_waiting_cannot_mend_is_raised_immediately_in_the_servers_words(replica, fault, caplog):
    status, code = LASTING[fault]
    with Client(replica.url, wait_s=600) as client:
        stream = client.stream(SPEC)
        replica.always = fault
        with pytest.raises(RequestRefused, match=f"refused: {code}") as refused:
            stream.batch(0, 0, 4)
        assert (refused.value.status, refused.value.code) == (status, code)
        with pytest.raises(RequestRefused, match=f"refused: {code}"):
            list(stream.frames(0, 0, 4))
    assert "retrying" not in caplog.text


@pytest.mark.parametrize("fault", LASTING)
def test_another_replica_with_good_files_answers_instead(replica, fault):
    with Replica() as bad:
        for _ in range(8):  # each asks one of them first, at random
            with Client([bad.url, replica.url], wait_s=60) as client:
                bad.always = None
                stream = client.stream(SPEC)
                bad.always = fault
                assert len(stream.batch(0, 0, 4)["index"]) == 4


FOREIGN = {
    "html": (200, "text/html; charset=utf-8", b"<html>Welcome</html>", {}),
    "a redirect": (302, "text/html", b"", {"Location": "https://login.example"}),
    "other JSON": (200, "application/json", b'{"status": "ok"}', {}),
    "no content": (204, "", b"", {}),
}


@contextmanager
def foreign_server(status, media_type, body, headers):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            for name, value in {"Content-Type": media_type, "Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_not_an_augsvc_server_is_named_immediately(replica, kind, caplog):
    with foreign_server(*FOREIGN[kind]) as url:
        with Client(url, wait_s=600) as client:
            for ask in (lambda: client.stream(SPEC), client.datasets):
                started = time.monotonic()
                with pytest.raises(ServerUnavailable, match="no augsvc server can be used"):
                    ask()
                assert time.monotonic() - started < 30
        assert "retrying" not in caplog.text
        for _ in range(4):  # each asks one of them first, at random
            with Client([url, replica.url], wait_s=60) as client:
                assert client.stream(SPEC).samples


def test_a_proxy_s_page_of_an_error_is_retried(impatient, caplog):
    page = (502, "text/html", b"<html>Bad Gateway</html>", {})
    with foreign_server(*page) as url, Client(url, wait_s=60) as client, pytest.raises(ServerUnavailable, match="502"):
        client.stream(SPEC)
    assert "retrying" in caplog.text


def test_a_server_that_answers_is_not_asked_whether_it_runs(replica, impatient, caplog):
    replica.always = "503"
    with Client(replica.url, wait_s=60) as client, pytest.raises(ServerUnavailable) as failed:
        client.version()
    assert "503 overloaded: refused: overloaded" in str(failed.value)
    assert "augsvc serve" not in str(failed.value) + caplog.text


def test_a_fork_after_use_does_not_hang(replica):
    """The thread pools of torch do not survive a fork: a large batch must not wait for them."""
    torch.ones(1 << 22).mul_(2)
    with RemoteDataLoader(replica.url, dataset="digits/train", batch_size=4) as loader:
        next(iter(loader))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # threads and fork: what is tested
            child = os.fork()
        if child == 0:
            next(iter(loader))
            loader._to_tensors({"image": np.zeros((64, 3, 224, 224), np.uint8)})
            os._exit(0)
        for _ in range(600):
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                break
            time.sleep(0.05)
        else:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            pytest.fail("the child hangs")
        assert status == 0


@pytest.mark.parametrize("status", [404, 409, 422, 500, 503])
def test_a_servers_words_cannot_move_the_terminals_cursor(status):
    error = dict.fromkeys(("code", "message", "field"), "a\x1b[2J\r\nforged\u202e")
    response = SimpleNamespace(
        status=status, replica=Address.parse("http://a"), headers={}, json=lambda: {"error": error}
    )
    with pytest.raises((RequestRefused, *RETRYABLE)) as refused:
        check_status(response, SimpleNamespace(headers={}))
    assert str(refused.value).isprintable()
    assert r"a\x1b[2J\r\nforged\u202e" in str(refused.value)


def test_a_chunk_of_a_negative_size_is_no_answer(impatient):
    body = b"-5\r\naaaaa\r\n0\r\n\r\n"
    chunked = {"Transfer-Encoding": "chunked"}
    refused = pytest.raises(ServerUnavailable, match="sent a body that is not HTTP")
    with foreign_server(500, "text/plain", body, chunked) as url, Client(url, wait_s=60) as client, refused:
        client.version()


SENT = {
    "image": np.zeros((2, 4, 6, 3), np.uint8),
    "index": np.arange(2),
    "mask_bits": np.zeros((2, 2, 4, 6), np.uint8),
    "keypoints": np.zeros((2, 5, 2), np.float32),
    "label": np.zeros(2, np.float64),
}


def augmented(fields, **changed):
    """What parse_augmented makes of a response with these tensors changed; None: left out."""
    given = {**SENT, "image": np.zeros((2, 3, 4, 6), np.uint8), "keypoints_valid": np.zeros((2, 5), bool), **changed}
    given = {name: array for name, array in given.items() if array is not None}
    specs = {name: TensorSpec(array.dtype.name, array.shape[1:]) for name, array in given.items()}
    layout = Layout(specs, "", {"arithmetic": "a"})
    body, views = layout.allocate(2)
    for name, array in given.items():
        views[name][:] = array
    layout.seal(body, 2, epoch=0, start=0)
    headers = HTTPMessage()
    headers[DIGEST_HEADER] = digest(body)
    return parse_augmented(Response(Address.parse("http://a"), 200, headers, body, digest(body)), SENT, fields)


@pytest.mark.parametrize(
    ("fields", "changed"),
    [
        ({}, {}),
        (
            {"size": [8, 8]},
            {"image": np.zeros((2, 3, 8, 8), np.uint8), "mask_bits": np.zeros((2, 2, 8, 8), np.uint8)},
        ),
        ({"output": {"layout": "NHWC"}}, {"image": SENT["image"]}),
        ({"output": {"dtype": "bfloat16"}}, {"image": np.zeros((2, 3, 4, 6), np.uint16)}),
        ({"flip_pairs": [[0, 1]]}, {"keypoint_rows": np.zeros((2, 5), np.int32)}),
    ],
)
def test_augmented_samples_have_the_form_that_was_asked_for(fields, changed):
    assert augmented(fields, **changed).arithmetic == "a"
    other = {
        "image": [SENT["image"][:, :, :2], np.zeros((2, 3, 4, 6), np.float64), np.zeros((2, 1, 4, 6), np.uint8)],
        "label": [np.zeros(2, np.int64), np.zeros((2, 2))],
        "keypoints": [np.zeros((2, 6, 2), np.float32)],
        "keypoints_valid": [np.zeros((2, 4), bool)],
        "keypoint_rows": [None] if "flip_pairs" in fields else [],
    }
    for name, arrays in other.items():
        for array in arrays:
            with pytest.raises(BadResponse, match=f"returned .* as {name}, expected"):
                augmented(fields, **{**changed, name: array})
