"""Contests of serving: the same bytes by all ways, the same operations delivered, and what of it is the wire's."""

from benchmarks import peers
from benchmarks.recipes import BATCH, PIPELINE, SIZE, Pipeline
from benchmarks.rounds import Contestant, against_all, interleave
from benchmarks.sections import Bench, Rows

WAYS = ("frames", "http", "loader_idle")  # ours, over TCP
SAME_BYTES = ("tcp", *WAYS, "unix", "tf_service", "tf_service_default")
_DELIVERED: dict[str, Pipeline] = {"loader": PIPELINE, "tf_service": PIPELINE, "engine": PIPELINE, "loader_idle": []}


def wire(bench: Bench) -> Rows:
    """A batch of 64 pictures from one process to another, when nobody has to compute it."""
    return _contest(bench, {name: [] for name in SAME_BYTES}, "wire")


def delivered(bench: Bench) -> Rows:
    """The pipeline of the bar as a trainer gets it; in the same run the engine without a wire, the wire without an engine."""
    longer = Bench(max(3, bench.rounds // 2), 4 * bench.seconds, bench.say)  # a batch of TensorFlow's takes long
    rows = _contest(longer, _DELIVERED, "delivered")
    bench.take(longer)
    return rows


def _contest(bench: Bench, cases: dict[str, Pipeline], what: str) -> Rows:
    """Everybody against everybody: a row each, with its ratios to all others."""
    crew, contestants = bench.crew(tuple(cases)), []
    for worker in crew:
        bench.say(f"{what}: {worker.name} gets ready")
        try:
            _, seconds = worker.make(cases[worker.name], BATCH, SIZE)
            contestants.append(Contestant(worker.name, BATCH, seconds, worker.run))
        except peers.Missing as err:
            bench.missing[worker.name] = str(err)
    bench.missing |= interleave(contestants, bench.rounds, bench.seconds, lambda text: bench.say(f"{what}: {text}"))
    for worker in crew:
        worker.close()
    return against_all(contestants)
