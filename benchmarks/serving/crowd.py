"""64 clients on an idle engine: are their waits about equal?"""

import statistics
from typing import Any

from augsvc_client import Client
from benchmarks.bench import Bench, Rows
from benchmarks.recipes import SIZE, images
from benchmarks.rounds import quartiles
from benchmarks.serving.load import get, load
from benchmarks.serving.served import DATASET, Plan, Served

_SAMPLES = 8  # 1.2 MB a response
_SECONDS = 4  # × the bench's: a 99th percentile needs many responses


def crowd(bench: Bench) -> Rows:
    """1, 8 and 64 clients, each its own job on its own connection, one request after the other."""
    server = Served(Plan(images(_SAMPLES, SIZE), samples=_SAMPLES, repeat=True))
    with Client(server.url) as client:
        stream = client.stream({"dataset": DATASET, "pipeline": [], "shuffle": False})
    path = f"/v1/streams/{stream.id}/epochs/0?start=0&count={_SAMPLES}"
    rounds: dict[int, list[dict[str, float]]] = {1: [], 8: [], 64: []}
    for index in range(bench.rounds):
        bench.log(f"crowd: round {index + 1} of {bench.rounds}")
        for clients, results in rounds.items():
            requests = [get(path, Augsvc_Job=f"job-{job}") for job in range(clients)]
            waits = load(server.url, requests, _SECONDS * bench.seconds)
            percentiles = statistics.quantiles(waits.seconds, n=100)
            results.append(
                {"median_s": percentiles[49], "p99_s": percentiles[98], "answers": len(waits.seconds),
                 "refused": waits.refused, "slowest_first_s": max(waits.first),
                 "all_p99_to_median": _p99_to_median(waits.first + waits.seconds)}
            )  # fmt: skip
    server.stop()
    return [_row(clients, results) for clients, results in rounds.items()]


def _p99_to_median(seconds: list[float]) -> float:
    percentiles = statistics.quantiles(seconds, n=100)
    return percentiles[98] / percentiles[49]


def _row(clients: int, rounds: list[dict[str, float]]) -> dict[str, Any]:
    ratios = [waits["p99_s"] / waits["median_s"] for waits in rounds]
    low, high = quartiles(ratios)
    medians = {name: statistics.median(waits[name] for waits in rounds) for name in rounds[0]}
    return {"clients": clients, **medians, "p99_to_median": statistics.median(ratios), "low": low, "high": high}
