"""What a server holds under more load than it takes, beside the bound that its settings promise."""

import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from augsvc_client import AugsvcError, Client
from benchmarks.recipes import BATCH, PIPELINE, SIZE, pictures
from benchmarks.sections import Bench
from benchmarks.serving.served import Plan, Served

_MIB = 1 << 20
_SETTINGS = {"cache_bytes": 64 * _MIB, "max_batch_bytes": 16 * _MIB}
_ROOM = 4 * _SETTINGS["max_batch_bytes"]  # engine.py: what may be under way at once
_PICTURES = 640  # decoded: 92 MiB, more than the cache takes
_CLIENTS = 16  # with 9.6 MB each: more than there is room for


def memory(bench: Bench) -> dict[str, Any]:
    """The most that the process holds while 16 jobs want batches out of a folder whose pictures do not fit the cache."""
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder, "all"))
        datasets = {"folder": {"format": "image_folder", "path": folder}}
        server = Served(Plan(np.zeros((1, 1, 1, 3), np.uint8), settings={**_SETTINGS, "datasets": datasets}))
        Path(f"/proc/{server.process.pid}/clear_refs").write_text("5", encoding="ascii")  # the peak begins here
        base = server.memory("VmRSS")
        bench.say("memory: 16 jobs")
        delivered = _press(server.url, 20 * bench.seconds)
        most = server.memory("VmHWM")
        server.stop()
    bound = base + _SETTINGS["cache_bytes"] + _ROOM
    return {"base": base, "most": most, "bound": bound, "delivered": delivered, **_SETTINGS, "room": _ROOM}


def _write(folder: Path) -> None:
    folder.mkdir()
    for number, picture in enumerate(pictures(_PICTURES, SIZE)):
        Image.fromarray(picture).save(folder / f"{number:04}.jpg", quality=90)


def _press(url: str, seconds: float) -> int:
    """Batches that all clients together got."""
    got, end_s = [0] * _CLIENTS, time.monotonic() + seconds
    clients = [Client(url, job=f"job-{number}") for number in range(_CLIENTS)]

    def ask(number: int) -> None:
        with suppress(AugsvcError):  # closed in the middle of a request
            stream = clients[number].stream({"dataset": "folder", "pipeline": PIPELINE, "size": [SIZE, SIZE]})
            while time.monotonic() < end_s:
                stream.batch(number, got[number] % (_PICTURES // BATCH) * BATCH, BATCH)
                got[number] += 1

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    for client in clients:
        client.close()
    for thread in threads:
        thread.join()
    return sum(got)
