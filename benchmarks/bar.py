"""What has to be reached, and what was: a row for each row of the bar, also for those that nobody could measure here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.recipes import BATCH
from benchmarks.serving.contests import WAYS

MOST_FOR_ONE_MORE = 0.05  # of a pass's time, for a move, tone or erase more
Found = dict[str, Any]  # wall, cpu: None where it has no meaning; low, high: the middle half of the rounds


@dataclass(frozen=True, slots=True)
class Goal:
    """A ratio and where it should be. `what` may name {gpu}; `find` gives it from the results, or None if it was not measured."""

    what: str
    floor: float
    goal: float | None
    find: Callable[[dict[str, Any]], Found | None]
    at_most: bool = False
    by: str = "wall"  # what floor and goal are about

    def reached(self, found: Found) -> str:
        """goal, floor or below."""
        sign = -1 if self.at_most else 1
        value = sign * found[self.by]
        if self.goal is not None and value >= sign * self.goal:
            return "goal"
        return "floor" if value >= sign * self.floor else "below"


def _peer(who: str, case: str) -> Callable[[dict[str, Any]], Found | None]:
    def find(results: dict[str, Any]) -> Found | None:
        rows = results.get("pipeline", {}).get(case, ())
        return next((row["fused_to_it"] for row in rows if row["who"] == who and "fused_to_it" in row), None)

    return find


def _against(
    section: str, ours: tuple[str, ...], other: str, by: str = "wall"
) -> Callable[[dict[str, Any]], Found | None]:
    """The best of our ways against somebody."""

    def find(results: dict[str, Any]) -> Found | None:
        rows = [row for row in results.get(section, ()) if row["who"] in ours and other in row["to"]]
        return max((row["to"][other] for row in rows), key=lambda ratio: ratio[by], default=None)

    return find


def _wire_cpu(results: dict[str, Any]) -> Found | None:
    """CPU seconds of server and client for a batch that costs nothing, over the engine's for the same batch."""
    row = next((row for row in results.get("delivered", ()) if row["who"] == "engine"), None)
    ratio = row["to"].get("loader_idle") if row else None
    return {"wall": None, "cpu": ratio["cpu"]} if ratio else None


def _one_more(results: dict[str, Any]) -> Found | None:
    rows = results.get("scaling", {}).get("one more", {}).get(str(BATCH), ())[1:]
    if not rows:
        return None
    return {by: max(1 / row["to_first"][by] for row in rows) for by in ("wall", "cpu")}


def _single(section: str, of: Callable[[Any], Found | None]) -> Callable[[dict[str, Any]], Found | None]:
    return lambda results: of(results[section]) if section in results else None


def _wall(value: float, row: dict[str, Any] | None = None) -> Found:
    return {"wall": value, "cpu": None} | {key: row[key] for key in ("low", "high") if row}


def _gpu(part: str, who: str, of: Callable[[dict[str, Any]], Found | None]) -> Callable[[dict[str, Any]], Found | None]:
    """From one's row of the largest batches with noise; `part`: bytes stay on the GPU (device), or come and go (host)."""

    def find(results: dict[str, Any]) -> Found | None:
        cases = results.get("gpu", {}).get(part, {})
        rows = next((rows for case, rows in reversed(cases.items()) if case.startswith("with noise")), ())
        row = next((row for row in rows if row["who"] == who and "missing" not in row), None)
        return of(row) if row else None

    return find


GOALS = (
    Goal("fused ÷ Kornia, with noise", 15, 25, _peer("kornia", "with noise")),
    Goal("fused ÷ Albumentations, one process a core, with noise", 2.3, 4, _peer("albumentations", "with noise")),
    Goal("fused ÷ DALI on the CPU, with noise", 8, 15, _peer("dali", "with noise")),
    Goal("fused ÷ DALI on the CPU, without noise", 4, 8, _peer("dali", "without noise")),
    Goal("fused on CUDA ÷ Kornia, bytes from host to host, on {gpu}", 20, 60,
         _gpu("host", "host_fused", lambda row: row["to"].get("host_kornia"))),
    Goal("fused on CUDA, its bytes left there ÷ Kornia, its floats left there, on {gpu}", 20, 60,
         _gpu("device", "gpu_fused", lambda row: row["to"].get("gpu_kornia"))),
    Goal("fused's kernels on {gpu}, images/s", 400_000, 1_500_000,
         _gpu("device", "gpu_kernels", lambda row: _wall(
             row["images_per_s"], dict(zip(("low", "high"), row["quartiles"], strict=True))))),
    Goal(f"a pass over {BATCH} with one more move, tone or erase ÷ the pass, the dearest", 1 + MOST_FOR_ONE_MORE, None, _one_more,
         at_most=True, by="cpu"),
    Goal("HTTP ÷ raw TCP, delivered bytes", 0.85, 0.95, _against("wire", WAYS, "tcp")),
    Goal("HTTP ÷ tf.data service, same bytes", 1.8, 2.4, _against("wire", WAYS, "tf_service")),
    Goal("wire, server and client ÷ engine, CPU seconds", 0.25, 0.1, _wire_cpu, at_most=True, by="cpu"),
    Goal("delivered ÷ tf.data service with the same operations", 5, 10, _against("delivered", ("loader",), "tf_service")),
    Goal("two replicas ÷ one", 1.8, 1.95, _single("replicas", lambda found: found.get("two_to_one"))),
    Goal("a batch at position 10^9 of 2^31 ÷ at position 0, time", 1.3, 1.1,
         _single("far", lambda rows: rows[1]["time_to_first"]), at_most=True),
    Goal("server's memory under load ÷ base, cache and room", 1.0, None,
         _single("memory", lambda found: _wall(found["most"] / found["bound"])), at_most=True),
    Goal("64 clients on open connections, 99th percentile ÷ median of their waits", 3, None,
         _single("crowd", lambda rows: _wall(rows[-1]["p99_to_median"], rows[-1])), at_most=True),
    Goal("trainer's wait ÷ its step", 0.1, 0.02,
         _single("training", lambda found: _wall(found["wait_to_step"], found)), at_most=True),
)  # fmt: skip


def reached(results: dict[str, Any]) -> list[dict[str, Any]]:
    """A row a goal: what was measured, and whether floor and goal are reached in the median; `reached` None: not measured."""
    rows, gpu = [], results.get("gpu", {}).get("name", "a GPU")
    for goal in GOALS:
        found = goal.find(results)
        rows.append(
            {
                "what": goal.what.format(gpu=gpu),
                "floor": goal.floor,
                "goal": goal.goal,
                "at_most": goal.at_most,
                "found": found,
            }
            | {"reached": goal.reached(found) if found else None}
        )
    return rows
