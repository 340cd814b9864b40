"""A file that may take long, in a real server: others go on, its process may be killed, and none is left behind."""

import os
import signal
import subprocess
import threading
import time

import numpy as np
import pytest
from PIL import Image

SIDE = 6000  # 36 million pixels, estimated at 1.1 s
DIGITS = {"dataset": "digits/train", "pipeline": "standard", "size": [32, 32]}


@pytest.fixture(scope="module")
def replica(serve, tmp_path_factory):
    root = tmp_path_factory.mktemp("large") / "large"
    (root / "cat").mkdir(parents=True)
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    pixels[: SIDE // 2] = 200
    Image.fromarray(pixels).save(root / "cat" / "a.png")
    return serve(
        datasets={"large": {"format": "image_folder", "path": str(root)}}, cache_bytes=0, shutdown_timeout_s=2
    ).ready()


def decoder_of(replica):
    """The process id of the decoder that runs for a server."""
    for _ in range(600):
        listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True)
        for line in listed.stdout.splitlines():
            pid, parent, *command = line.split()
            if int(parent) == replica.process.pid and "augsvc.data.decoders.child" in command:
                return int(pid)
        time.sleep(0.05)
    raise AssertionError("no decoder was started")


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def requested(replica, stream, replies):
    thread = threading.Thread(target=lambda: replies.append(replica.batch(stream, 0, 0, 1)))
    thread.start()
    return thread


def test_others_go_on_while_a_decoder_hangs_and_one_that_is_killed_is_replaced(replica):
    stream, digits, replies = replica.open({"dataset": "large", "size": [8, 8]}), replica.open(DIGITS), []
    thread = requested(replica, stream, replies)
    hanging = decoder_of(replica)
    os.kill(hanging, signal.SIGSTOP)
    for start in range(0, 500, 100):
        assert replica.batch(digits, 0, start, 100).status == 200
    assert not replies and is_running(hanging)
    os.kill(hanging, signal.SIGKILL)
    thread.join()
    batch = replies[0].arrays
    assert batch["valid"].all() and batch["image"][0, :, 0].ravel().tolist() == [200] * 24
    assert not is_running(hanging)
    assert "augsvc_decoder_kills_total 0.0" in replica.get("/metrics").body.decode()


def test_a_server_ends_promptly_with_its_decoder(replica):
    stream, replies = replica.open({"dataset": "large", "size": [8, 8]}), []
    thread = requested(replica, stream, replies)
    hanging = decoder_of(replica)
    os.kill(hanging, signal.SIGSTOP)
    began = time.monotonic()
    replica.signal(signal.SIGTERM)
    replica.wait()
    thread.join()
    assert time.monotonic() - began < 10
    assert not is_running(hanging)
