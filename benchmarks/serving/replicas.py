"""Two replicas beside one: nothing is shared, so they deliver twice as much where there are cores for both."""

import threading
import time
from typing import Any

from augsvc.cpus import cores
from augsvc_client import Client
from benchmarks.recipes import BATCH, PIPELINE, SIZE, pictures
from benchmarks.rounds import Contestant, interleave, rates, ratio
from benchmarks.sections import Bench
from benchmarks.serving.served import DATASET, Plan, Served

ENOUGH = 6  # cores: two replicas on two each, the clients on the others
_RANKS = 8


def replicas(bench: Bench) -> dict[str, Any]:
    """The share of each replica when eight clients know both; and, with 6 cores, how much more two deliver than one, when
    each has four of the clients.
    """
    here = cores()
    each = max(1, (here - 2) // 2) if here >= ENOUGH else None
    bench.say("replicas: both start")
    images = pictures(BATCH, SIZE)
    cpus = [range(n * each, (n + 1) * each) if each else None for n in range(2)]
    servers = [Served(Plan(images, cpus=some)) for some in cpus]
    urls = [server.url for server in servers]
    know_both = _Ranks([urls] * _RANKS)
    know_both.run(_RANKS)
    know_both.close()
    asked = [server.metric("augsvc_samples_total") for server in servers]
    found: dict[str, Any] = {"shares": [n / sum(asked) for n in asked], "cores": here}
    if each:
        # four a replica: where they choose by themselves, a fall of 5 to 3 alone makes two deliver 1.6 times as much as one
        one, both = (_Ranks([[some[rank % len(some)]] for rank in range(_RANKS)]) for some in (urls[:1], urls))
        seconds = one.run(1)[0]
        contestants = [
            Contestant(name, BATCH * _RANKS, seconds, ranks.run) for name, ranks in (("one", one), ("two", both))
        ]
        interleave(contestants, bench.rounds, 2 * bench.seconds, lambda text: bench.say(f"replicas: {text}"))
        found |= {"cores_each": each, "rates": [rates(ranks) for ranks in contestants]}
        found["two_to_one"] = ratio(contestants[1], contestants[0])
        one.close()
        both.close()
    for server in servers:
        server.stop()
    return found


class _Ranks:
    """Eight clients as the ranks of a run, a thread each; `known`: the addresses that each of them knows."""

    def __init__(self, known: list[list[str]]) -> None:
        self._clients = [Client(urls) for urls in known]
        spec = {"dataset": DATASET, "pipeline": PIPELINE, "shuffle": False}
        self._streams = [client.stream(spec) for client in self._clients]
        self._start = 0

    def run(self, times: int) -> tuple[float, float]:
        """Seconds of a batch by every rank; CPU seconds of this process."""
        wall, cpu = time.perf_counter(), time.process_time()
        threads = [threading.Thread(target=self._rank, args=(rank, times)) for rank in range(_RANKS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._start += times * _RANKS
        return (time.perf_counter() - wall) / times, (time.process_time() - cpu) / times

    def _rank(self, rank: int, times: int) -> None:
        for number in range(times):
            self._streams[rank].batch(0, BATCH * (self._start + number * _RANKS + rank), BATCH)

    def close(self) -> None:
        for client in self._clients:
            client.close()
