"""Two replicas beside one. They share nothing, so with enough cores they deliver twice as much."""

import threading
import time
from typing import Any

from augsvc.cpus import cores
from augsvc_client import Client
from benchmarks.bench import Bench
from benchmarks.recipes import BATCH, PIPELINE, SIZE, images
from benchmarks.rounds import Entry, interleave, rates, ratio
from benchmarks.serving.served import DATASET, Plan, Served

MIN_CORES = 6  # two for each replica, two for the clients
_RANKS = 8


def replicas(bench: Bench) -> dict[str, Any]:
    """The fraction of batches from each replica when eight clients know both; and, with 6 cores, the throughput of two, four
    clients each, beside one.
    """
    here = cores()
    each = max(1, (here - 2) // 2) if here >= MIN_CORES else None
    bench.log("replicas: starting both")
    sources = images(BATCH, SIZE)
    cpus = [range(n * each, (n + 1) * each) if each else None for n in range(2)]
    servers = [Served(Plan(sources, cpus=held_to)) for held_to in cpus]
    urls = [server.url for server in servers]
    know_both = _Ranks([urls] * _RANKS)
    know_both.run(_RANKS)
    know_both.close()
    served = [server.metric("augsvc_samples_total") for server in servers]
    results: dict[str, Any] = {"shares": [n / sum(served) for n in served], "cores": here}
    if each:
        # four clients a replica: if they chose, a split of 5 to 3 alone would limit the throughput of two to 1.6 times one's
        one, both = (_Ranks([[known[rank % len(known)]] for rank in range(_RANKS)]) for known in (urls[:1], urls))
        seconds = one.run(1)[0]
        entries = [Entry(name, BATCH * _RANKS, seconds, ranks.run) for name, ranks in (("one", one), ("two", both))]
        interleave(entries, bench.rounds, 2 * bench.seconds, lambda text: bench.log(f"replicas: {text}"))
        results |= {"cores_each": each, "rates": [rates(entry) for entry in entries]}
        results["two_to_one"] = ratio(entries[1], entries[0])
        one.close()
        both.close()
    for server in servers:
        server.stop()
    return results


class _Ranks:
    """Eight clients as the ranks of a run, a thread each; `known`: the addresses that each client knows."""

    def __init__(self, known: list[list[str]]) -> None:
        self._clients = [Client(urls) for urls in known]
        spec = {"dataset": DATASET, "pipeline": PIPELINE, "shuffle": False}
        self._streams = [client.stream(spec) for client in self._clients]
        self._start = 0

    def run(self, times: int) -> tuple[float, float]:
        """Wall seconds of a batch by every rank; CPU seconds of this process."""
        wall, cpu = time.perf_counter(), time.process_time()
        threads = [threading.Thread(target=self._rank, args=(rank, times)) for rank in range(_RANKS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._start += times * _RANKS
        return (time.perf_counter() - wall) / times, (time.process_time() - cpu) / times

    def _rank(self, rank: int, times: int) -> None:
        for index in range(times):
            self._streams[rank].batch(0, BATCH * (self._start + index * _RANKS + rank), BATCH)

    def close(self) -> None:
        for client in self._clients:
            client.close()
