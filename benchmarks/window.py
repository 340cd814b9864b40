"""Requests in flight over a link that is far away: what a trainer waits for a step, by how many a loader keeps.

`python -m benchmarks.window` prints the table of docs/serving.md. The link is a relay in a process of its own: every piece comes
later by half a round trip, each way, and over all connections together not faster than the link's rate. "Always" is the loader
with a number of requests that does not change.
"""

import asyncio
import multiprocessing
import random
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

from augsvc_client import RemoteDataLoader
from augsvc_client.loaders import remote as loaders
from augsvc_client.loaders.window import InFlight, Sent
from benchmarks.replica import replica

WHAT: dict[str, Any] = {
    "dataset": "photos/train",
    "pipeline": "none",
    "size": (64, 64),
    "batch_size": 32,
    "scale": None,
}
FIRST, STEPS, ROUNDS = 40, 60, 3
PAUSES_MS = (0, 5, 20)
PIECE = 1 << 16


def endless(loader: RemoteDataLoader) -> Iterator[object]:
    """Epoch after epoch."""
    while True:
        yield from loader


@dataclass(frozen=True, slots=True)
class Link:
    """Milliseconds there and back; of those on average so many at random; MB/s each way (0: as much as comes)."""

    round_trip_ms: float
    jitter_ms: float = 0.0
    mb_per_s: float = 0.0

    def __str__(self) -> str:
        jitter = f" ± {self.jitter_ms:g}" if self.jitter_ms else ""
        return f"{self.round_trip_ms:g}{jitter} ms" + (f", {self.mb_per_s:g} MB/s" if self.mb_per_s else "")


LINKS = [Link(0), Link(20), Link(50), Link(50, jitter_ms=25), Link(50, mb_per_s=10), Link(100)]


class _Way:
    """One direction: what was taken in is given out later, in order, at the link's rate."""

    def __init__(self, link: Link) -> None:
        self._link, self._free_at = link, 0.0

    def due(self, n_bytes: int, chance: random.Random) -> float:
        """When a piece that comes now has arrived."""
        now = time.monotonic()
        if self._link.mb_per_s:
            self._free_at = max(self._free_at, now) + n_bytes / (1e6 * self._link.mb_per_s)
        jitter = chance.expovariate(1000.0 / self._link.jitter_ms) if self._link.jitter_ms else 0.0
        return max(self._free_at, now) + self._link.round_trip_ms / 2000.0 + jitter


async def _carry(way: _Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
    chance = random.Random(0)  # noqa: S311

    async def deliver() -> None:
        last = 0.0
        while (found := await queue.get())[1]:
            last = max(last, found[0])  # nothing overtakes on one connection
            await asyncio.sleep(max(0.0, last - time.monotonic()))
            writer.write(found[1])
            await writer.drain()
        writer.close()

    delivering = asyncio.ensure_future(deliver())
    while piece := await reader.read(PIECE):
        queue.put_nowait((way.due(len(piece), chance), piece))
    queue.put_nowait((0.0, b""))
    await delivering


def _relay(port: int, link: Link, told: Any) -> None:
    there, back = _Way(link), _Way(link)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(
            _carry(there, reader, server_writer), _carry(back, server_reader, writer), return_exceptions=True
        )

    async def serve() -> None:
        listening = await asyncio.start_server(accept, "127.0.0.1", 0)
        told.send(listening.sockets[0].getsockname()[1])
        await listening.serve_forever()

    asyncio.run(serve())


@contextmanager
def over(url: str, link: Link) -> Iterator[str]:
    """The server's address at the other end of a link."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_relay, args=(urlsplit(url).port, link, there))
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        process.terminate()
        process.join()


class Fixed(InFlight):
    """As many as were asked for, whatever the link."""

    def answered(self, sent: Sent, n_bytes: int) -> None:
        """Changes nothing."""


def waits(url: str, kind: type[InFlight], prefetch: int, pause_s: float) -> tuple[float, int]:
    """Milliseconds that a step was waited for on average, after some that fill the window; and requests in flight at the end."""
    in_flight = kind(prefetch)
    waited_s = 0.0
    with (
        patch.object(loaders, "InFlight", lambda _: in_flight),
        RemoteDataLoader(url, **WHAT, prefetch=prefetch) as loader,
    ):
        walk = endless(loader)
        for number in range(FIRST + STEPS):
            begun = time.perf_counter()
            next(walk)
            waited_s += (time.perf_counter() - begun) * (number >= FIRST)
            time.sleep(pause_s)
    return 1000 * waited_s / STEPS, in_flight.wanted


def main() -> None:
    """Each link and each pace of a trainer, with windows of several kinds in turns."""
    windows = {"always 4": (Fixed, 4), "4 at least (the default)": (InFlight, 4), "always 32": (Fixed, 32)}
    print(f"| link, there and back | trainer's step | {' | '.join(windows)} | in flight then |")
    print("|---" * (3 + len(windows)) + "|")
    with replica() as one:
        for link in LINKS:
            with over(one.url, link) as url:
                for pause_ms in PAUSES_MS:
                    seen: dict[str, list[tuple[float, int]]] = {name: [] for name in windows}
                    for _ in range(ROUNDS):
                        for name, (kind, prefetch) in windows.items():
                            seen[name].append(waits(url, kind, prefetch, pause_ms / 1000))
                    cells = " | ".join(_spread([ms for ms, _ in found]) for found in seen.values())
                    adapted = sorted(wanted for _, wanted in seen["4 at least (the default)"])
                    print(f"| {link} | {pause_ms} ms | {cells} | {adapted[0]}–{adapted[-1]} |", flush=True)


def _spread(found: list[float]) -> str:
    return f"{statistics.median(found):.1f} ({min(found):.1f}–{max(found):.1f})"


if __name__ == "__main__":
    main()
