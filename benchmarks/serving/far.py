"""A batch at position 10^9 of 2^31 samples beside one at position 0: the order is evaluated, never stored."""

import time
from functools import partial

from augsvc_client import Client
from benchmarks.bench import Bench, Rows
from benchmarks.recipes import BATCH, PIPELINE, SIZE, images
from benchmarks.rounds import Entry, interleave, rates, ratio
from benchmarks.serving.served import DATASET, MAX_SAMPLES, Plan, Served

_POSITIONS = {"position 0": 0, "position 10^9": 10**9}


def far(bench: Bench) -> Rows:
    """Both from one server over HTTP, shuffled, pixels included. Every request names a new epoch, so that no order is cached.
    CPU time is the server's and this process's."""
    server = Served(Plan(images(BATCH, SIZE), samples=MAX_SAMPLES))
    with Client(server.url) as client:
        stream = client.stream({"dataset": DATASET, "pipeline": PIPELINE})
        epochs = iter(range(1 << 24))

        def request(start: int, times: int) -> tuple[float, float]:
            wall, cpu = time.perf_counter(), time.process_time() + server.cpu_seconds()
            for _ in range(times):
                stream.batch(next(epochs), start, BATCH)
            cpu = time.process_time() + server.cpu_seconds() - cpu
            return (time.perf_counter() - wall) / times, cpu / times

        request(0, 3)
        seconds = request(0, 3)[0]
        entries = [Entry(name, BATCH, seconds, partial(request, start)) for name, start in _POSITIONS.items()]
        interleave(entries, bench.rounds, bench.seconds, lambda text: bench.log(f"far: {text}"))
    server.stop()
    return [{"place": entry.name, **rates(entry), "time_to_first": ratio(entries[0], entry)} for entry in entries]
