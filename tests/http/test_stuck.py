"""A read that blocks forever, as from a disk that is gone: impatient.py waits for the writer of a FIFO there."""

import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.http import serving
from tests.http.serving import replies, write_image_folder

FIFO = "a/000.png"


@pytest.fixture
def stuck(serve, tmp_path, monkeypatch):
    """Starts servers; one of their files becomes a FIFO when they are ready."""
    monkeypatch.setattr(serving, "CLEAN", serving.CLEAN | {"PYTHONPATH": str(Path(__file__).parent)})
    write_image_folder(tmp_path / "pets", {"a": 2, "b": 2})

    def make(**changes):
        datasets = {"pets": {"format": "image_folder", "path": str(tmp_path / "pets")}}
        server = serve(datasets=datasets, operations=["impatient"], **changes).ready()
        (tmp_path / "pets" / FIFO).unlink()
        os.mkfifo(tmp_path / "pets" / FIFO)
        return server, server.open({"dataset": "pets", "size": [8, 8], "shuffle": False})

    return make


def asked(stream, path):
    return f"GET /v1/streams/{stream['id']}/epochs/0{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def release(fifo):
    """The blocked reader goes on, and finds a FIFO, which is not the indexed file."""
    os.close(os.open(fifo, os.O_WRONLY))


@pytest.mark.parametrize("path", ["?start=0&count=1", "/samples/0"])
def test_a_server_that_waits_for_it_for_too_long_says_so_and_ends(stuck, path):
    """Twice the timeout: no client waits any more, and no other batch would ever be computed. The request ends first."""
    server, stream = stuck(request_timeout_s=1)
    with server.send(asked(stream, path)) as connection:
        replies(connection)[0].refused(503, "deadline_exceeded")
    assert server.wait() == 1
    assert "no progress for" in server.output()
    assert "Traceback" not in server.output()


def test_a_server_that_waits_for_it_ends_on_sigterm(stuck):
    server, stream = stuck(shutdown_timeout_s=0)
    with server.send(asked(stream, "?start=0&count=1")):
        server.until(lambda: server.metric("augsvc_in_flight_bytes") > 0)
        server.signal(signal.SIGTERM)
        assert server.wait() == 1
    assert "exiting with requests in flight" in server.output()


def test_receipts_that_wait_hold_up_neither_opens_nor_batches_nor_pushes(stuck, tmp_path):
    server, stream = stuck()
    with ExitStack() as held:
        waiting = [held.enter_context(server.send(asked(stream, "/samples/0"))) for _ in range(3)]
        with server.client() as client:
            opened = client.stream({"dataset": "digits/train", "size": [8, 8], "aug_seed": 77})
            batch = opened.batch(0, 0, 8)
            own = {"image": batch["image"].transpose(0, 2, 3, 1), "index": batch["index"]}
            assert client.augment(own, pipeline="none").arrays["image"].shape == batch["image"].shape
        for connection in waiting:
            release(tmp_path / "pets" / FIFO)
            replies(connection)[0].refused(410, "dataset_changed")
