"""64 clients at once on an idle engine: does everybody wait about as long as everybody else."""

import statistics
from typing import Any

from augsvc_client import Client
from benchmarks.recipes import SIZE, pictures
from benchmarks.rounds import middle_half
from benchmarks.sections import Bench, Rows
from benchmarks.serving.load import get, load
from benchmarks.serving.served import DATASET, Plan, Served

_SAMPLES = 8  # 1.2 MB an answer
_SECONDS = 4  # × the bench's: a hundredth of the answers has to be many


def crowd(bench: Bench) -> Rows:
    """1, 8 and 64 clients, each a job of its own on a connection of its own, one request after the other."""
    server = Served(Plan(pictures(_SAMPLES, SIZE), samples=_SAMPLES, repeat=True))
    with Client(server.url) as client:
        stream = client.stream({"dataset": DATASET, "pipeline": [], "shuffle": False})
    path = f"/v1/streams/{stream.id}/epochs/0?start=0&count={_SAMPLES}"
    rounds: dict[int, list[dict[str, float]]] = {1: [], 8: [], 64: []}
    for number in range(bench.rounds):
        bench.say(f"crowd: round {number + 1} of {bench.rounds}")
        for clients, found in rounds.items():
            asked = [get(path, Augsvc_Job=f"job-{job}") for job in range(clients)]
            seen = load(server.url, [lambda one=one: one for one in asked], _SECONDS * bench.seconds)
            cuts = statistics.quantiles(seen.seconds, n=100)
            found.append(
                {"median_s": cuts[49], "p99_s": cuts[98], "answers": len(seen.seconds), "refused": seen.refused,
                 "slowest_first_s": max(seen.first), "all_p99_to_median": _p99_to_median(seen.first + seen.seconds)}
            )  # fmt: skip
    server.stop()
    return [_row(clients, found) for clients, found in rounds.items()]


def _p99_to_median(seconds: list[float]) -> float:
    cuts = statistics.quantiles(seconds, n=100)
    return cuts[98] / cuts[49]


def _row(clients: int, found: list[dict[str, float]]) -> dict[str, Any]:
    ratios = [one["p99_s"] / one["median_s"] for one in found]
    low, high = middle_half(ratios)
    middle = {name: statistics.median(one[name] for one in found) for name in found[0]}
    return {"clients": clients, **middle, "p99_to_median": statistics.median(ratios), "low": low, "high": high}
