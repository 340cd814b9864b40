"""The same-host path beside HTTP: `python -m benchmarks.same_host [PICTURES]`.

Three real servers with idle engines (a batch is computed once and repeated): over TCP, over a Unix socket, and over a Unix
socket with memory lent. All are read in turns by one client process, the digest checked as ever, one request after the
other and four at once; ratios are those of neighbouring turns.
"""

import multiprocessing
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from augsvc_client import Client, Stream

PICTURES, SIZE = 64, 224
ROUNDS, BATCHES, DEPTH = 60, 8, 4
WAYS = ("HTTP over TCP", "HTTP over a Unix socket", "same host")


def _serve(settings: dict[str, Any], pipe: Connection) -> None:
    from augsvc.http import create_app
    from augsvc.http.listening import listening
    from augsvc.http.server import Server
    from augsvc.settings import Settings
    from augsvc.stream import Body
    from augsvc.stream import Stream as Served

    compute, kept = Served.produce, {}

    def produce(self: Served, *address: Any) -> Body:
        key = (self.id, address[:4])
        if key not in kept:
            body = compute(self, *address)
            kept[key] = replace(body, buffer=body.buffer.copy())
        return replace(kept[key], buffer=kept[key].buffer[:])  # what is counted is the view's life

    Served.produce = produce
    chosen = Settings(port=0, read_ahead_bytes=0, stop_grace_s=1.0, **settings)
    app = create_app(chosen)
    with listening(chosen) as (listener, url):
        pipe.send(url)
        Server(app, chosen.stop_grace_s).run(sockets=[listener])


@contextmanager
def served(**settings: Any) -> Any:
    """The URL of a server in a process of its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(settings, theirs))
    process.start()
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()


def one_by_one(stream: Stream, pictures: int) -> float:
    """Seconds a batch."""
    begun = time.perf_counter()
    for _ in range(BATCHES):
        stream.batch(0, 0, pictures)
    return (time.perf_counter() - begun) / BATCHES


def several(stream: Stream, pictures: int, pool: ThreadPoolExecutor) -> float:
    """Seconds a batch, with DEPTH on their way."""
    begun = time.perf_counter()
    window: deque[Any] = deque()
    for _ in range(BATCHES + DEPTH):
        window.append(pool.submit(stream.batch, 0, 0, pictures))
        if len(window) == DEPTH:
            window.popleft().result()
    while window:
        window.popleft().result()
    return (time.perf_counter() - begun) / (BATCHES + DEPTH)


def _table(what: str, seconds: dict[str, list[float]], n_bytes: int) -> None:
    print(f"\n{what}; median of {ROUNDS} turns, their middle half in brackets")
    for way, times in seconds.items():
        low, middle, high = (n_bytes / time / 1e9 for time in reversed(statistics.quantiles(times, n=4)))
        line = f"  {way:24} {middle:5.2f} GB/s ({low:.2f}–{high:.2f})"
        if way != WAYS[-1]:
            ratios = [theirs / ours for theirs, ours in zip(times, seconds[WAYS[-1]], strict=True)]
            low, middle, high = statistics.quantiles(ratios, n=4)
            line += f"   same host is × {middle:.2f} ({low:.2f}–{high:.2f})"
        print(line)


def main(pictures: int) -> None:
    """Prints both tables."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        kinds = ({}, {"uds": folder / "a.sock", "same_host": False}, {"uds": folder / "b.sock"})
        streams = {}
        for way, settings in zip(WAYS, kinds, strict=True):
            client = stack.enter_context(Client(stack.enter_context(served(**settings))))
            streams[way] = client.stream({"dataset": "photos/train", "size": [SIZE, SIZE]})
        pool = stack.enter_context(ThreadPoolExecutor(DEPTH))
        manners: dict[str, Callable[[Stream], float]] = {
            "one request after the other": lambda stream: one_by_one(stream, pictures),
            f"{DEPTH} at once": lambda stream: several(stream, pictures, pool),
        }
        n_bytes = streams[WAYS[0]].layout.size(pictures)
        seconds: dict[str, dict[str, list[float]]] = {what: {way: [] for way in WAYS} for what in manners}
        for turn in range(ROUNDS + 1):
            for what, manner in manners.items():
                for way in WAYS[turn % 3 :] + WAYS[: turn % 3]:
                    took = manner(streams[way])
                    if turn:  # the first one warms
                        seconds[what][way].append(took)
        print(f"batches of {pictures} × {SIZE}², {n_bytes / 1e6:.1f} MB")
        for what, found in seconds.items():
            _table(what, found, n_bytes)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else PICTURES)
