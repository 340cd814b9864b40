"""A server's peak memory under more load than it admits, beside the bound that its settings promise."""

import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from augsvc_client import AugsvcError, Client
from benchmarks.bench import Bench
from benchmarks.recipes import BATCH, PIPELINE, SIZE, images
from benchmarks.serving.served import Plan, Served

_MIB = 1 << 20
_SETTINGS = {"cache_bytes": 64 * _MIB, "max_batch_bytes": 16 * _MIB}
_IN_FLIGHT_BYTES = 4 * _SETTINGS["max_batch_bytes"]  # engine/memory_budget.py
_IMAGES = 640  # decoded: 92 MiB, more than the cache holds
_CLIENTS = 16  # with 9.6 MB each: more than the budget admits


def memory(bench: Bench) -> dict[str, Any]:
    """The process's peak while 16 jobs request batches from a folder whose images exceed the cache."""
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder, "all"))
        datasets = {"folder": {"format": "image_folder", "path": folder}}
        server = Served(Plan(np.zeros((1, 1, 1, 3), np.uint8), settings={**_SETTINGS, "datasets": datasets}))
        Path(f"/proc/{server.process.pid}/clear_refs").write_text("5", encoding="ascii")  # resets the peak
        base = server.memory("VmRSS")
        bench.log("memory: 16 jobs")
        delivered = _request_batches(server.url, 20 * bench.seconds)
        peak = server.memory("VmHWM")
        server.stop()
    bound = base + _SETTINGS["cache_bytes"] + _IN_FLIGHT_BYTES
    return {"base": base, "most": peak, "bound": bound, "delivered": delivered, **_SETTINGS, "room": _IN_FLIGHT_BYTES}


def _write(folder: Path) -> None:
    folder.mkdir()
    for index, image in enumerate(images(_IMAGES, SIZE)):
        Image.fromarray(image).save(folder / f"{index:04}.jpg", quality=90)


def _request_batches(url: str, seconds: float) -> int:
    """The number of batches that all clients together received."""
    received, end_s = [0] * _CLIENTS, time.monotonic() + seconds
    clients = [Client(url, job=f"job-{job}") for job in range(_CLIENTS)]

    def request(job: int) -> None:
        with suppress(AugsvcError):  # closed during a request
            stream = clients[job].stream({"dataset": "folder", "pipeline": PIPELINE, "size": [SIZE, SIZE]})
            while time.monotonic() < end_s:
                stream.batch(job, received[job] % (_IMAGES // BATCH) * BATCH, BATCH)
                received[job] += 1

    threads = [threading.Thread(target=request, args=(job,)) for job in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    for client in clients:
        client.close()
    for thread in threads:
        thread.join()
    return sum(received)
