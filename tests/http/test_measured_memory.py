"""What a server's memory grows by at most, beside what it counts: for each kind of request that many clients may send at once."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]
MB = 1 << 20
MAX_BATCH = 32 * MB
BUDGET = 4 * MAX_BATCH
BESIDE = 96 * MB  # chunks of decoded samples that are read, buffers of sockets, and the allocator's own


@pytest.fixture(scope="module")
def server(serve):
    return serve(max_batch_bytes=MAX_BATCH, cache_bytes=0, max_request_bytes=64 * MB, log_format="json").ready()


def grown(server, act):
    """What `act` returns, and by how many bytes the server's memory grew at most meanwhile."""
    before = server.memory()
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5", encoding="ascii")  # the peak counts from here
    result = act()
    return result, server.memory("VmHWM") - before


def at_once(count, call):
    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(call, range(count)))


def test_64_previews_of_the_largest_canvas(server):
    stream = server.open({"dataset": "photos/train", "size": [1024, 1024], "pipeline": "light"})

    def preview(number):
        path = f"/v1/streams/{stream['id']}/preview.png?epoch=0&start={number}&count=1"
        return server.get(path, Augsvc_Spec=stream["header"], Augsvc_Job=f"job {number}").status

    preview(0)
    statuses, n_bytes = grown(server, lambda: at_once(64, preview))
    assert set(statuses) <= {200, 429, 503}
    assert 200 in statuses
    assert n_bytes < BUDGET + BESIDE


def test_pushes_with_giant_labels(server):
    """A label is handed on, whatever its shape: 24 MB beside an image of 192 bytes."""
    arrays = {
        "image": np.zeros((1, 8, 8, 3), np.uint8),
        "index": np.zeros(1, np.int64),
        "label": np.zeros((1, 24 * MB // 8), np.int64),
    }
    body = save(arrays, {"request": json.dumps({"pipeline": "light"})})

    def push(number):
        headers = {"Content-Type": "application/x-safetensors", "Augsvc-Job": f"job {number}"}
        return server.ask("POST", "/v1/augment", headers, body).status

    statuses, n_bytes = grown(server, lambda: at_once(8, push))
    assert set(statuses) <= {200, 429, 503}
    assert 200 in statuses
    assert n_bytes < BUDGET + BESIDE


def test_thousands_of_open_streams(server):
    def open_streams(first):
        for seed in range(first, first + 2000):
            server.open({"dataset": "digits/train", "size": [32, 32], "pipeline": "standard", "aug_seed": seed})

    _, first = grown(server, lambda: open_streams(0))
    _, more = grown(server, lambda: open_streams(2000))
    assert first < 128 * MB
    assert more < 32 * MB


@pytest.mark.parametrize(
    ("path", "kind", "announced", "sent"),
    [
        ("/v1/augment", "application/x-safetensors", 60 * MB, 2 * MB),
        ("/v1/streams", "application/json", 1_000_000, 999_999),
    ],
)
def test_bodies_of_100_slow_connections_are_counted(server, path, kind, announced, sent):
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {announced}\r\n"

    def send():
        with ExitStack() as stack:
            for number in range(100):
                connection = stack.enter_context(server.send(f"{head}Augsvc-Job: {number}\r\n\r\n".encode()))
                with suppress(OSError):  # refused
                    connection.sendall(b" " * sent)
            return server.metric("augsvc_in_flight_bytes")

    counted, n_bytes = grown(server, send)
    assert announced < counted <= BUDGET
    assert n_bytes < counted + 32 * MB
    server.until(lambda: server.metric("augsvc_in_flight_bytes") == 0)
