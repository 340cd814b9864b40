"""Markdown tables: a column is a heading and a function from a row of results to its cell."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Row = Any  # of results: usually a mapping
Column = tuple[str, Callable[[Row], str]]
Ratio = Mapping[str, float]  # wall, cpu, and the quartiles low and high by wall time


def table(columns: Sequence[Column], rows: Iterable[Row]) -> str:
    """One line a row."""
    headings, cells = [heading for heading, _ in columns], [cell for _, cell in columns]
    lines = [headings, ["---"] * len(columns), *([cell(row) for cell in cells] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def spread(value: float, low: float, high: float, form: str = ",.0f") -> str:
    """A median with its quartiles."""
    return f"{value:{form}} ({low:{form}}–{high:{form}})"


def rate(row: Row) -> str:
    """Images per second."""
    return spread(row["images_per_s"], *row["quartiles"])


def milliseconds_per_batch(batch: int) -> Callable[[Row], str]:
    """CPU time of a batch."""
    return lambda row: f"{1000 * batch / row['images_per_cpu_s']:.1f}"


def ratio(value: Ratio | None, form: str = ".2f") -> str:
    """By wall time, with quartiles; empty without one."""
    return spread(value["wall"], value["low"], value["high"], form) if value else ""


def ratio_columns(
    heading: str, find: Callable[[Row], Ratio | None], quartiles: bool = False, form: str = ".2f"
) -> list[Column]:
    """A ratio by wall time, then by CPU time."""

    def by(clock: str) -> Callable[[Row], str]:
        def cell(row: Row) -> str:
            value = find(row)
            return f"{value[clock]:{form}}" if value else ""

        return cell

    wall = (lambda row: ratio(find(row), form)) if quartiles else by("wall")
    return [(f"{heading}, wall", wall), ("CPU", by("cpu"))]


def heading(title: str, section: str, text: str = "") -> str:
    """A section's head: its title, the command that measures it alone, and its text."""
    return f"## {title}\n\n`python -m benchmarks --only {section}`{text.rstrip()}\n"


def measured(rows: Iterable[Row]) -> list[Row]:
    """The rows that have times, slowest first."""
    return sorted((row for row in rows if "missing" not in row), key=lambda row: row["images_per_s"])


def left_out(reasons: Mapping[str, str]) -> str:
    """A line for each peer without a row."""
    return "".join(f"\nLeft out: {name}: {reason}.\n" for name, reason in reasons.items())


def title(results: Mapping[str, Any], name: str) -> str:
    """A peer's title and version."""
    return f"{results['titles'][name]} ({results['versions'][name]})"
