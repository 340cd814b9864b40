"""The real server in its own process, on a free loopback port or a Unix socket, over images in memory.

It differs from `augsvc serve` in two things: one more dataset, and, for an idle engine, a `phases` that computes a batch once
and returns the same bytes from then on. Middleware, routes, engine thread, memory budget and sockets are unchanged.
"""

import hashlib
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast
from unittest.mock import patch
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np

from augsvc.arrays import I64, Sample
from augsvc.data.source import Source, SourceInfo

DATASET = "memory"
MAX_SAMPLES = 1 << 31
_IDLE_S = 0.05  # of CPU time in a second
START_S = 300.0  # the first start on a machine compiles the kernels


class Ring(Source):
    """A dataset of any length from N images (N, H, W, 3): sample i is image i mod N."""

    def __init__(self, images: np.ndarray, samples: int) -> None:
        self._images, self._samples = images, samples
        version = hashlib.sha256(images.tobytes() + samples.to_bytes(8, "little")).hexdigest()
        self.info = SourceInfo(DATASET, version, ("all",), images.shape[3], images.shape[1:3])

    def __len__(self) -> int:
        return self._samples

    def read(self, index: int) -> Sample:
        """The image itself, not a copy."""
        return Sample(self._images[index % len(self._images)], 0)

    def labels(self) -> I64:
        """All samples have the one class."""
        return np.zeros(self._samples, np.int64)

    def describe(self, index: int) -> str:
        """The image's index."""
        return f"image {index % len(self._images)}"


@dataclass(frozen=True)
class Plan:
    """What a server serves, and how."""

    images: np.ndarray
    samples: int = MAX_SAMPLES
    repeat: bool = False  # an idle engine
    unix: bool = False  # on a Unix socket
    settings: dict[str, Any] | None = None
    cpus: Sequence[int] | None = None  # the process's CPU affinity


class Closing(Protocol):
    """Has a `close`."""

    def close(self) -> None:
        """Closes it."""


C = TypeVar("C", bound=Closing)
_started: list["Served"] = []


def serve(plan: Plan) -> "Served":
    """Starts a server; those that this process started before are stopped."""
    close()
    _started.append(Served(plan))
    return _started[-1]


def close() -> None:
    """Stops the servers that `serve` started."""
    while _started:
        _started.pop().stop()


class Served:
    """A server's process; ready when constructed."""

    def __init__(self, plan: Plan) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        self._folder = tempfile.mkdtemp()
        self.process = context.Process(target=_serve, args=(plan, Path(self._folder), theirs), daemon=True)
        self.process.start()
        theirs.close()
        self.url: str = ours.recv()
        self._clients: list[Closing] = []
        self._wait()

    def closing(self, client: C) -> C:
        """Registers a client, which `stop` closes first: otherwise it would retry."""
        self._clients.append(client)
        return client

    def _wait(self) -> None:
        """Until it is ready: kernels compiled, self-test done. On a Unix socket, the client waits for that."""
        end = time.monotonic() + START_S
        if self.url.startswith("unix:"):
            return
        while time.monotonic() < end:
            with suppress(HTTPError), urlopen(f"{self.url}/readyz"):
                return
            time.sleep(0.1)
        raise RuntimeError("the server did not become ready")

    def stop(self) -> None:
        """Closes the clients and ends the process."""
        for client in self._clients:
            client.close()
        self.process.kill()  # without draining
        self.process.join(30)
        shutil.rmtree(self._folder)

    def cpu_seconds(self) -> float:
        """CPU time of all its threads."""
        pid = cast(int, self.process.pid)  # it was started
        return time.clock_gettime(~pid << 3 | 2)  # Linux's clock id

    def wait_until_idle(self) -> None:
        """Until the rest of its self-test, in the background, is done."""
        end, before = time.monotonic() + START_S, -1.0
        while time.monotonic() < end and (now := self.cpu_seconds()) - before > _IDLE_S:
            before = now
            time.sleep(1.0)

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        with urlopen(f"{self.url}/metrics") as response:
            lines = response.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.split("{")[0].split()[0] == name)

    def memory(self, what: str) -> int:
        """Bytes: VmRSS is the current value, VmHWM the peak."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii").splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(what))


def _serve(plan: Plan, folder: Path, pipe: Connection) -> None:
    if plan.cpus is not None:
        os.sched_setaffinity(0, plan.cpus)
    from augsvc.cli.listener import open_listener
    from augsvc.http.app import create_app
    from augsvc.http.server.uvicorn_server import Server
    from augsvc.settings import Settings

    patch_server(plan)
    address = {"uds": folder / "augsvc.sock"} if plan.unix else {"port": 0}
    settings = Settings(shutdown_timeout_s=1.0, **address, **plan.settings or {})
    app = create_app(settings)
    with open_listener(settings) as (listener, url):
        pipe.send(url)
        server = Server(app, settings.shutdown_timeout_s, settings.min_client_bytes_per_s, settings.max_connections)
        server.run(sockets=[listener])


def patch_server(plan: Plan) -> None:
    """Gives the servers of this process the dataset in memory and, if it says so, an idle engine."""
    from augsvc.data.catalog import Catalog, open_catalog

    def with_ring(*args: Any) -> Catalog:
        catalog = open_catalog(*args)
        return Catalog([*map(catalog.get, catalog.names()), Ring(plan.images, plan.samples)], catalog.cache)

    patch("augsvc.http.app.open_catalog", with_ring).start()
    if plan.repeat:
        _repeat()


def _repeat() -> None:
    """From here on, every batch is computed once and kept."""
    from augsvc.streams.stream import Body, Phases, Range, Stream

    compute = Stream.phases
    kept: dict[tuple[object, ...], Body] = {}

    def phases(self: Stream, batch: Range, *rest: Any) -> Phases[Body]:
        address = (self.id, batch.epoch, batch.start, batch.count, batch.view)
        if address not in kept:
            body = yield from compute(self, batch, *rest)
            kept[address] = replace(body, buffer=body.buffer.copy())
        return replace(kept[address], buffer=kept[address].buffer[:])  # the budget counts the life of the view

    patch.object(Stream, "phases", phases).start()
