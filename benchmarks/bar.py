"""What has to be reached, and what was."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Goal:
    """`fused` is to be so many times as fast as somebody."""

    who: str
    case: str
    floor: float
    goal: float


GOALS = (
    Goal("kornia", "with noise", 15, 25),
    Goal("albumentations", "with noise", 2.3, 4),
    Goal("dali", "with noise", 8, 15),
    Goal("dali", "without noise", 4, 8),
)
MOST_FOR_ONE_MORE = 0.05  # of a pass's time, for a move, tone or erase more


def reached(results: dict[str, Any]) -> list[dict[str, Any]]:
    """A row a goal whose contestants ran: what was measured, and whether floor and goal are reached in the median."""
    rows = []
    for goal in GOALS:
        for row in results.get("pipeline", {}).get(goal.case, ()):
            if row["who"] == goal.who and "fused_to_it" in row:
                wall, cpu = row["fused_to_it"]["wall"], row["fused_to_it"]["cpu"]
                verdict = "goal" if wall >= goal.goal else "floor" if wall >= goal.floor else "below"
                rows.append(
                    {"who": goal.who, "case": goal.case, "floor": goal.floor, "goal": goal.goal}
                    | {"wall": wall, "cpu": cpu, "reached": verdict}
                )
    return rows
