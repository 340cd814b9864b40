"""The order is evaluated, never stored: a batch at position 10^9 of 2^31 samples, beside one at position 0."""

import time

from augsvc_client import Client
from benchmarks.recipes import BATCH, PIPELINE, SIZE, pictures
from benchmarks.rounds import Contestant, interleave, rates, ratio
from benchmarks.sections import Bench, Rows
from benchmarks.serving.served import DATASET, MOST_SAMPLES, Plan, Served

_PLACES = {"position 0": 0, "position 10^9": 10**9}


def far(bench: Bench) -> Rows:
    """Both from one server over HTTP, shuffled, pixels included; every request names another epoch, so that
    nothing was computed before. CPU time is the server's and this process's."""
    server = Served(Plan(pictures(BATCH, SIZE), samples=MOST_SAMPLES))
    with Client(server.url) as client:
        stream = client.stream({"dataset": DATASET, "pipeline": PIPELINE})
        epochs = iter(range(1 << 24))

        def at(start: int, times: int) -> tuple[float, float]:
            wall, cpu = time.perf_counter(), time.process_time() + server.cpu_seconds()
            for _ in range(times):
                stream.batch(next(epochs), start, BATCH)
            cpu = time.process_time() + server.cpu_seconds() - cpu
            return (time.perf_counter() - wall) / times, cpu / times

        at(0, 3)
        seconds = at(0, 3)[0]
        places = [
            Contestant(name, BATCH, seconds, lambda times, start=start: at(start, times))
            for name, start in _PLACES.items()
        ]
        interleave(places, bench.rounds, bench.seconds, lambda text: bench.say(f"far: {text}"))
    server.stop()
    return [{"place": one.name, **rates(one), "time_to_first": ratio(places[0], one)} for one in places]
