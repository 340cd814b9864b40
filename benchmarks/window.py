"""What a trainer waits for a batch, over links of several lengths and by several ways to read a stream.

`python -m benchmarks.window [links] [sequential]` prints two tables of docs/serving.md, in about five minutes and two.
The link is a relay process: every piece of data is delayed by half a round trip each way, and all connections together
carry no more than the link's rate.
"""

import asyncio
import itertools
import multiprocessing
import random
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

from augsvc_client import Client, RemoteDataLoader, Stream
from augsvc_client.loaders import prefetch
from benchmarks.recipes import PIPELINE
from benchmarks.replica import replica
from benchmarks.tables import Column, spread, table

LOADER: dict[str, Any] = {
    "dataset": "photos/train",
    "pipeline": "none",
    "size": (64, 64),
    "batch_size": 32,
    "scale": None,
}
WARM_UP, STEPS, ROUNDS = 40, 60, 3
STEP_MS = (0, 5, 20)
PREFETCH = 4
CHUNK_BYTES = 1 << 16

STREAM: dict[str, Any] = {"dataset": "photos/train", "size": (128, 128), "pipeline": PIPELINE}
BATCH = 64
PAUSES_MS = (0, 30, 100)
SEQUENTIAL_S = 6.0


@dataclass(frozen=True, slots=True)
class Link:
    """Round trip in ms; mean of an exponential jitter each way in ms; MB/s each way (0: unlimited)."""

    round_trip_ms: float
    jitter_ms: float = 0.0
    mb_per_s: float = 0.0

    def __str__(self) -> str:
        jitter = f" ± {self.jitter_ms:g}" if self.jitter_ms else ""
        return f"{self.round_trip_ms:g}{jitter} ms" + (f", {self.mb_per_s:g} MB/s" if self.mb_per_s else "")


LINKS = [Link(0), Link(20), Link(50), Link(50, jitter_ms=25), Link(50, mb_per_s=10), Link(100)]


class _Direction:
    """One direction of the link."""

    def __init__(self, link: Link) -> None:
        self._link, self._free_s = link, 0.0

    def arrival_s(self, n_bytes: int, random_source: random.Random) -> float:
        """When a chunk that is sent now has arrived."""
        now_s = time.monotonic()
        if self._link.mb_per_s:
            self._free_s = max(self._free_s, now_s) + n_bytes / (1e6 * self._link.mb_per_s)
        jitter_s = random_source.expovariate(1000.0 / self._link.jitter_ms) if self._link.jitter_ms else 0.0
        return max(self._free_s, now_s) + self._link.round_trip_ms / 2000.0 + jitter_s


async def _relay(direction: _Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
    random_source = random.Random(0)  # noqa: S311

    async def deliver() -> None:
        last_s = 0.0
        while (sent := await queue.get())[1]:
            last_s = max(last_s, sent[0])  # data on one connection keeps its order
            await asyncio.sleep(max(0.0, last_s - time.monotonic()))
            writer.write(sent[1])
            await writer.drain()
        writer.close()

    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(deliver())
            while chunk := await reader.read(CHUNK_BYTES):
                queue.put_nowait((direction.arrival_s(len(chunk), random_source), chunk))
            queue.put_nowait((0.0, b""))
    except* ConnectionError:
        pass  # a loader that is closed does not wait for its answers


def _serve_link(port: int, link: Link, ready: "Connection[Any, Any]") -> None:
    upstream, downstream = _Direction(link), _Direction(link)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_relay(upstream, reader, server_writer), _relay(downstream, server_reader, writer))

    async def serve() -> None:
        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())


@contextmanager
def over(url: str, link: Link) -> Iterator[str]:
    """The server's address at the other end of a link."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe()
    process = context.Process(target=_serve_link, args=(urlsplit(url).port, link, sender))
    process.start()
    try:
        yield f"http://127.0.0.1:{receiver.recv()}"
    finally:
        process.terminate()
        process.join()


def measure_loader(url: str, max_batches: int, step_s: float) -> tuple[float, int]:
    """The loader's mean wait for a step in ms, once its window has grown; and its threads, that is connections."""
    waited_s = 0.0
    with (
        patch.object(prefetch, "MAX_BATCHES", max_batches),
        RemoteDataLoader(url, **LOADER, prefetch=PREFETCH) as loader,
    ):
        batches = itertools.chain.from_iterable(itertools.repeat(loader))
        for step in range(WARM_UP + STEPS):
            begin_s = time.perf_counter()
            next(batches)
            waited_s += (time.perf_counter() - begin_s) * (step >= WARM_UP)
            time.sleep(step_s)
        threads = sum(thread.name.startswith("augsvc-prefetch") for thread in threading.enumerate())
    return 1000 * waited_s / STEPS, threads


def measure_links(links: list[Link]) -> list[dict[str, Any]]:
    """Each link and each step of a trainer, with a window that stays at 4 and the default one in turns."""
    rows = []
    with replica() as server:
        for link in links:
            with over(server.url, link) as url:
                for step_ms in STEP_MS:
                    fixed, default = zip(
                        *(
                            [measure_loader(url, size, step_ms / 1000) for size in (PREFETCH, prefetch.MAX_BATCHES)]
                            for _ in range(ROUNDS)
                        ),
                        strict=True,
                    )
                    threads = [count for _, count in default]
                    waits = {"fixed": [ms for ms, _ in fixed], "default": [ms for ms, _ in default]}
                    rows.append({"link": link, "step_ms": step_ms, "threads": threads, **waits})
    return rows


def _median_and_range(values: list[float], form: str) -> str:
    return spread(statistics.median(values), min(values), max(values), form)


LINK_COLUMNS: list[Column] = [
    ("link, round trip", lambda row: str(row["link"])),
    ("trainer's step", lambda row: f"{row['step_ms']} ms"),
    ("window stays at 4", lambda row: _median_and_range(row["fixed"], ".1f")),
    ("4 to 32 (the default)", lambda row: _median_and_range(row["default"], ".1f")),
    ("connections", lambda row: f"{min(row['threads'])}–{max(row['threads'])}"),
]


def read_batches(stream: Stream) -> Iterator[object]:
    """Epoch after epoch, one request a batch."""
    for epoch in itertools.count():
        for start in range(0, stream.samples, BATCH):
            yield stream.batch(epoch, start, BATCH)


def read_frames(stream: Stream) -> Iterator[object]:
    """Epoch after epoch, one request an epoch."""
    for epoch in itertools.count():
        yield from stream.frames(epoch, 0, BATCH)


def measure_waits(batches: Iterator[object], pause_s: float) -> float:
    """Median wait for a batch in ms, with a pause after each."""
    waits = []
    end_s = time.perf_counter() + SEQUENTIAL_S
    while time.perf_counter() < end_s:
        begin_s = time.perf_counter()
        next(batches)
        waits.append(time.perf_counter() - begin_s)
        time.sleep(pause_s)
    return 1000 * statistics.median(waits[2:])


def measure_sequential() -> list[dict[str, Any]]:
    """Sequential `Stream.batch` calls and one iteration of `Stream.frames`, in turns."""
    rows = []
    with replica() as server, Client(server.url) as client:
        stream = client.stream(STREAM)
        for pause_ms in PAUSES_MS:
            pairs = [
                [measure_waits(read(stream), pause_ms / 1000) for read in (read_batches, read_frames)]
                for _ in range(ROUNDS)
            ]
            batch, frames = (statistics.median(column) for column in zip(*pairs, strict=True))
            ratios = [batch_ms / frames_ms for batch_ms, frames_ms in pairs]
            rows.append({"pause_ms": pause_ms, "batch": batch, "frames": frames, "ratios": ratios})
    return rows


SEQUENTIAL_COLUMNS: list[Column] = [
    ("pause", lambda row: f"{row['pause_ms']} ms"),
    ("`Stream.batch`", lambda row: f"{row['batch']:.1f} ms"),
    ("`Stream.frames`", lambda row: f"{row['frames']:.1f} ms"),
    ("batch ÷ frames (least–greatest)", lambda row: _median_and_range(row["ratios"], ".2f")),
]


def main() -> None:
    """Measures and prints the tables that are named, by default both."""
    names = sys.argv[1:] or ["links", "sequential"]
    if "links" in names:
        print(table(LINK_COLUMNS, measure_links(LINKS)))
    if "sequential" in names:
        print(table(SEQUENTIAL_COLUMNS, measure_sequential()))


if __name__ == "__main__":
    main()
