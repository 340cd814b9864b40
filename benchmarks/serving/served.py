"""The real server in a process of its own, on a free port of the loopback or a Unix socket, over pictures in memory.

Two things differ from `augsvc serve`, both in that process alone: one more dataset, and, for an idle engine, a `produce` that
computes a batch once and hands out the same bytes from then on. Gate, routes, engine thread, accounting and socket are the
server's own.
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
from typing import Any, Protocol, TypeVar
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np

from augsvc.arrays import I64, Sample
from augsvc.data.source import Source, SourceInfo

DATASET = "memory"
MOST_SAMPLES = 1 << 31
START_S = 300.0  # the first start on a machine compiles the kernels


class Ring(Source):
    """As many samples as one likes out of few pictures (N, H, W, 3): sample i is picture i mod N."""

    def __init__(self, images: np.ndarray, samples: int) -> None:
        self._images, self._samples = images, samples
        version = hashlib.sha256(images.tobytes() + samples.to_bytes(8, "little")).hexdigest()
        self.info = SourceInfo(DATASET, version, ("all",), images.shape[3], images.shape[1:3])

    def __len__(self) -> int:
        return self._samples

    def read(self, index: int) -> Sample:
        """The picture itself, not a copy."""
        return Sample(self._images[index % len(self._images)], 0)

    def labels(self) -> I64:
        """All of the one class."""
        return np.zeros(self._samples, np.int64)

    def describe(self, index: int) -> str:
        """Which picture."""
        return f"picture {index % len(self._images)}"


@dataclass(frozen=True)
class Plan:
    """What a server is to serve, and how. `unix`: on a Unix socket instead. `cpus`: it is held to these, default all."""

    images: np.ndarray
    samples: int = MOST_SAMPLES
    repeat: bool = False  # an idle engine
    unix: bool = False
    settings: dict[str, Any] | None = None
    cpus: Sequence[int] | None = None


class Closing(Protocol):
    """What can be closed."""

    def close(self) -> None:
        """Ends it."""


C = TypeVar("C", bound=Closing)
_started: list["Served"] = []


def serve(plan: Plan) -> "Served":
    """A server in the place of those that this process started before."""
    end()
    _started.append(Served(plan))
    return _started[-1]


def end() -> None:
    """Ends them."""
    while _started:
        _started.pop().stop()


class Served:
    """A server's process, ready."""

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
        """The client, which `stop` closes first: it would look for the server otherwise."""
        self._clients.append(client)
        return client

    def _wait(self) -> None:
        """Until it says that it is ready: kernels compiled, self-test done. On a Unix socket the client waits for that."""
        end = time.monotonic() + START_S
        if self.url.startswith("unix:"):
            return
        while time.monotonic() < end:
            with suppress(HTTPError), urlopen(f"{self.url}/readyz"):
                return
            time.sleep(0.1)
        raise RuntimeError("the server under test does not become ready")

    def stop(self) -> None:
        """Ends clients and process."""
        for client in self._clients:
            client.close()
        self.process.kill()  # nothing is to be drained
        self.process.join(30)
        shutil.rmtree(self._folder)

    def cpu_seconds(self) -> float:
        """Of all its threads, so far."""
        return time.clock_gettime(~self.process.pid << 3 | 2)  # as Linux numbers clocks

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        with urlopen(f"{self.url}/metrics") as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.split("{")[0].split()[0] == name)

    def memory(self, what: str) -> int:
        """Bytes: VmRSS is what it holds now, VmHWM the most that it ever held."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii").splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(what))


def _serve(plan: Plan, folder: Path, pipe: Connection) -> None:
    if plan.cpus is not None:
        os.sched_setaffinity(0, plan.cpus)
    import augsvc.http.app as application
    from augsvc.data.catalog import Catalog
    from augsvc.http.server.sockets import listening
    from augsvc.http.server.uvicorn_server import Server
    from augsvc.settings import Settings

    open_catalog = application.open_catalog

    def with_ring(*args: Any) -> Catalog:
        found = open_catalog(*args)
        return Catalog([*map(found.get, found.names()), Ring(plan.images, plan.samples)], found.cache)

    application.open_catalog = with_ring
    if plan.repeat:
        _repeat()
    place = {"uds": folder / "augsvc.sock"} if plan.unix else {"port": 0}
    settings = Settings(shutdown_timeout_s=1.0, **place, **plan.settings or {})
    app = application.create_app(settings)
    with listening(settings) as (listener, url):
        pipe.send(url)
        Server(app, settings.shutdown_timeout_s, settings.min_client_bytes_per_s).run(sockets=[listener])


def _repeat() -> None:
    """From here on a batch is computed once, and kept."""
    from augsvc.streams.stream import Body, Stream

    compute = Stream.produce
    kept: dict[tuple[object, ...], Body] = {}

    def produce(self: Stream, epoch: int, start: int, count: int, view: int, *rest: Any) -> Body:
        address = (self.id, epoch, start, count, view)
        if address not in kept:
            body = compute(self, epoch, start, count, view, *rest)
            kept[address] = replace(body, buffer=body.buffer.copy())
        return replace(kept[address], buffer=kept[address].buffer[:])  # what is counted is the view's life

    Stream.produce = produce
