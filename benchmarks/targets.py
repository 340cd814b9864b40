"""The targets and whether they are met: one row each, also for those that could not be measured on this machine."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.files import fastest_peer
from benchmarks.recipes import BATCH
from benchmarks.serving.comparisons import OVER_TCP
from benchmarks.sound import OURS

MAX_COST_OF_ONE_MORE = 0.05  # of a pass's time, for one more move, tone or erase
Results = dict[str, Any]
Measured = dict[str, Any]  # wall, cpu: None where it does not apply; low, high: the quartiles of the rounds


@dataclass(frozen=True, slots=True)
class Target:
    """A ratio and its bounds. `what` may name {gpu}; `find` reads it from the results: None if it was not measured."""

    what: str
    minimum: float
    goal: float | None
    find: Callable[[Results], Measured | None]
    at_most: bool = False
    by: str = "wall"  # the clock that the bounds refer to

    def level(self, measured: Measured) -> str:
        """goal, minimum or below."""
        sign = -1 if self.at_most else 1
        value = sign * measured[self.by]
        if self.goal is not None and value >= sign * self.goal:
            return "goal"
        return "minimum" if value >= sign * self.minimum else "below"


def _of_pipeline(peer: str, case: str) -> Callable[[Results], Measured | None]:
    def find(results: Results) -> Measured | None:
        rows = results.get("pipeline", {}).get(case, ())
        return next((row["fused_to_it"] for row in rows if row["who"] == peer and "fused_to_it" in row), None)

    return find


def _of_operations(results: Results) -> Measured | None:
    """The operation that gains the least over its fastest peer, by CPU time."""
    ratios = [
        min((row["fused_to_it"] for row in rows if _is_peer(row)), key=lambda ratio: ratio["cpu"], default=None)
        for rows in results.get("operations", {}).values()
    ]
    return min(filter(None, ratios), key=lambda ratio: ratio["cpu"], default=None)


def _of_classification(results: Results) -> Measured | None:
    rows = results.get("classification", {}).get("classification", ())
    return min((row["fused_to_it"] for row in rows if _is_peer(row)), key=lambda ratio: ratio["cpu"], default=None)


def _is_peer(row: dict[str, Any]) -> bool:
    return not row["who"].startswith("fused") and bool(row.get("fused_to_it"))


def _of_files(case: str, ours: str) -> Callable[[Results], Measured | None]:
    return lambda results: fastest_peer(results.get("files", {}).get(case, []), ours)


def _of_sound(case: str, peer: str) -> Callable[[Results], Measured | None]:
    def find(results: Results) -> Measured | None:
        rows = results.get("sound", {}).get(case, ())
        return next((row["to"].get(peer) for row in rows if row["who"] == OURS), None)

    return find


def _fastest_of(
    section: str, ours: tuple[str, ...], other: str, by: str = "wall"
) -> Callable[[Results], Measured | None]:
    """The best of our rows against another peer."""

    def find(results: Results) -> Measured | None:
        rows = [row for row in results.get(section, ()) if row["who"] in ours and other in row["to"]]
        return max((row["to"][other] for row in rows), key=lambda ratio: ratio[by], default=None)

    return find


def _cpu_of_wire(results: Results) -> Measured | None:
    """CPU seconds of server and client for a batch that costs nothing, over the engine's for the same batch."""
    row = next((row for row in results.get("delivered", ()) if row["who"] == "engine"), None)
    ratio = row["to"].get("loader_idle") if row else None
    return {"wall": None, "cpu": ratio["cpu"]} if ratio else None


def _one_more(results: Results) -> Measured | None:
    rows = results.get("scaling", {}).get("one more", {}).get(str(BATCH), ())[1:]
    if not rows:
        return None
    return {by: max(1 / row["to_first"][by] for row in rows) for by in ("wall", "cpu")}


def _of_section(section: str, find: Callable[[Any], Measured | None]) -> Callable[[Results], Measured | None]:
    return lambda results: find(results[section]) if section in results else None


def _wall(value: float, row: dict[str, Any] | None = None) -> Measured:
    return {"wall": value, "cpu": None} | {key: row[key] for key in ("low", "high") if row}


def _of_gpu(
    part: str, peer: str, find: Callable[[dict[str, Any]], Measured | None]
) -> Callable[[Results], Measured | None]:
    """From a peer's row of the largest batches with noise; `part`: device or host."""

    def find_in(results: Results) -> Measured | None:
        cases = results.get("gpu", {}).get(part, {})
        rows = next((rows for case, rows in reversed(cases.items()) if case.startswith("with noise")), ())
        row = next((row for row in rows if row["who"] == peer and "missing" not in row), None)
        return find(row) if row else None

    return find_in


TARGETS = (
    Target("fused ÷ Kornia, with noise", 15, 25, _of_pipeline("kornia", "with noise")),
    Target("fused ÷ Albumentations, one process a core, with noise", 2.3, 4, _of_pipeline("albumentations", "with noise")),
    Target("fused ÷ DALI on the CPU, with noise", 8, 15, _of_pipeline("dali", "with noise")),
    Target("fused ÷ DALI on the CPU, without noise", 4, 8, _of_pipeline("dali", "without noise")),
    Target("the operation that gains least ÷ its fastest peer, in process, CPU", 1, 1.5, _of_operations, by="cpu"),
    Target("random_resized_crop, flip, RandAugment(2) ÷ its fastest peer, CPU", 3, 6, _of_classification, by="cpu"),
    Target("fused on CUDA ÷ Kornia, bytes from host to host, on {gpu}", 20, 60,
           _of_gpu("host", "host_fused", lambda row: row["to"].get("host_kornia"))),
    Target("fused on CUDA, its bytes left there ÷ Kornia, its floats left there, on {gpu}", 20, 60,
           _of_gpu("device", "gpu_fused", lambda row: row["to"].get("gpu_kornia"))),
    Target("fused's kernels on {gpu}, images/s", 400_000, 1_500_000,
           _of_gpu("device", "gpu_kernels", lambda row: _wall(
               row["images_per_s"], dict(zip(("low", "high"), row["quartiles"], strict=True))))),
    Target(f"a pass over {BATCH} with one more move, tone or erase ÷ the pass, worst case", 1 + MAX_COST_OF_ONE_MORE, None,
           _one_more, at_most=True, by="cpu"),
    Target("from JPEG files of 500 × 375 to floats ÷ the cheapest other loader, CPU", 1.25, 1.6,
           _of_files("500 × 375", "files"), by="cpu"),
    Target("from JPEG files of 1024 × 768 to floats ÷ the cheapest other loader, CPU", 1.3, 1.8,
           _of_files("1024 × 768", "files"), by="cpu"),
    Target("from JPEG files of 500 × 375, in the cache, to floats ÷ the cheapest other loader, CPU", 1.8, 2.5,
           _of_files("500 × 375", "files_cached"), by="cpu"),
    Target("a start over 10^6 files with the index on disk, s", 0.2, None,
           _of_section("opening", lambda rows: _wall(rows[2]["wall"])), at_most=True),
    Target("a start over 10^6 files with the index on disk, MB", 50, None,
           _of_section("opening", lambda rows: _wall(rows[2]["bytes"] / 1e6)), at_most=True),
    Target("sound, 64 clips of a second ÷ torch-audiomentations, CPU", 5, 15,
           _of_sound("1 s", "torch_audiomentations"), by="cpu"),
    Target("sound, 64 clips of 10 s ÷ torch-audiomentations, CPU", 5, 15,
           _of_sound("10 s", "torch_audiomentations"), by="cpu"),
    Target("sound, 64 clips of a second ÷ audiomentations, one process a core, CPU", 3, 8,
           _of_sound("1 s", "audiomentations"), by="cpu"),
    Target("sound, 64 clips of 10 s ÷ audiomentations, one process a core, CPU", 3, 8,
           _of_sound("10 s", "audiomentations"), by="cpu"),
    Target("HTTP ÷ raw TCP, delivered bytes", 0.85, 0.95, _fastest_of("wire", OVER_TCP, "tcp")),
    Target("HTTP ÷ tf.data service, same bytes", 1.8, 2.4, _fastest_of("wire", OVER_TCP, "tf_service")),
    Target("wire, server and client ÷ engine, CPU seconds", 0.25, 0.1, _cpu_of_wire, at_most=True, by="cpu"),
    Target("delivered ÷ tf.data service with the same operations", 5, 10, _fastest_of("delivered", ("loader",), "tf_service")),
    Target("two replicas ÷ one", 1.8, 1.95, _of_section("replicas", lambda replicas: replicas.get("two_to_one"))),
    Target("Ray Serve through HAProxy ÷ through its own proxy, delivered bytes", 4, 4.5,
           _fastest_of("fleet", ("ray_haproxy",), "ray_proxy")),
    Target("a replica on Ray Serve at its own address ÷ a plain server, delivered bytes", 0.75, 0.9,
           _fastest_of("fleet", ("ray_direct",), "plain")),
    Target("a batch at position 10^9 of 2^31 ÷ at position 0, time", 1.3, 1.1,
           _of_section("far", lambda rows: rows[1]["time_to_first"]), at_most=True),
    Target("server's memory under load ÷ base, cache and in-flight budget", 1.0, None,
           _of_section("memory", lambda memory: _wall(memory["most"] / memory["bound"])), at_most=True),
    Target("64 clients on open connections, 99th percentile ÷ median of their waits", 3, None,
           _of_section("crowd", lambda rows: _wall(rows[-1]["p99_to_median"], rows[-1])), at_most=True),
    Target("trainer's wait ÷ its step", 0.1, 0.02,
           _of_section("training", lambda training: _wall(training["wait_to_step"], training)), at_most=True),
)  # fmt: skip


def evaluate(results: Results) -> list[dict[str, Any]]:
    """A row for each target: what was measured, and the level that the median reaches; None: not measured."""
    rows, gpu = [], results.get("gpu", {}).get("name", "a GPU")
    for target in TARGETS:
        measured = target.find(results)
        rows.append(
            {
                "what": target.what.format(gpu=gpu),
                "minimum": target.minimum,
                "goal": target.goal,
                "at_most": target.at_most,
                "measured": measured,
                "level": target.level(measured) if measured else None,
            }
        )
    return rows
