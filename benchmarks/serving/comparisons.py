"""The same bytes over every transport; the same operations delivered; and the wire's part of that."""

from benchmarks.bench import Bench, Job, Rows, compare
from benchmarks.recipes import BATCH, PIPELINE, SIZE, Pipeline
from benchmarks.rounds import all_pairs

OVER_TCP = ("frames", "http", "loader_idle")  # ours
SAME_BYTES = ("tcp", *OVER_TCP, "unix", "tf_service", "tf_service_default")
_DELIVERED: dict[str, Pipeline] = {"loader": PIPELINE, "tf_service": PIPELINE, "engine": PIPELINE, "loader_idle": []}


def wire(bench: Bench) -> Rows:
    """A batch of 64 images from one process to another, without computing it."""
    return _compare(bench, {name: [] for name in SAME_BYTES}, "wire")


def delivered(bench: Bench) -> Rows:
    """The pipeline of the targets as a trainer gets it; in the same run the engine without a wire, the wire without an engine."""
    return _compare(bench.scaled(rounds=1 / 2, seconds=4), _DELIVERED, "delivered")  # TensorFlow's batches take long


def _compare(bench: Bench, cases: dict[str, Pipeline], what: str) -> Rows:
    """A row for each peer, with its ratios to all others."""
    with bench.workers(tuple(cases)) as workers:
        jobs = [Job(worker.name, worker, cases[worker.peer], BATCH, SIZE, BATCH) for worker in workers]
        result = compare(bench, jobs, what)
    bench.missing.update(result.missing)
    return all_pairs(result.entries)
