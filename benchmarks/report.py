"""From results to docs/benchmarks.md: `python -m benchmarks.report [RESULTS.json]`."""

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import file_tables, pixel_tables, sound_tables
from benchmarks.plot import plot
from benchmarks.serving import tables as serving_tables
from benchmarks.tables import Row, table
from benchmarks.targets import evaluate

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"

_HEAD = """# Benchmarks

{cpu}, {cores} cores, {system}; {date}, commit {commit}. {versions}.
All peers run in turns, round after round, each in its own process; figures are medians of the rounds, with the quartiles in
brackets. Ratios are medians of the rounds' ratios: by wall time, and by CPU time of all cores, which depends less on other load
on the machine, but still does: a busy machine slows the peers more than us. Absolute figures vary widely between machines.

![The pipeline](benchmarks.png)

`make bench` measures everything; each heading names the command for its section alone. The figures are in
`benchmarks/results/`.
"""

_TARGETS = """## Targets

Medians of the rounds' ratios, quartiles in brackets. Of our three clients over HTTP (`Stream.batch`, `Stream.frames`,
`RemoteDataLoader`) the fastest counts: [The wire](#the-wire) has all three.

"""
_LEVELS = {"goal": "goal met", "minimum": "minimum met", "below": "**not met**", None: "not measured here"}
_SECTIONS = {
    "pipeline": pixel_tables.pipeline,
    "operations": pixel_tables.each_operation,
    "classification": pixel_tables.classification,
    "scaling": pixel_tables.scaling,
    "first": pixel_tables.first_batches,
    "files": file_tables.files,
    "opening": file_tables.opening,
    "sound": sound_tables.sound,
    "sound_operations": sound_tables.each_operation,
    **serving_tables.SECTIONS,
    "ptxas": pixel_tables.ptxas,
    "gpu": pixel_tables.gpu,
}


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _measured(row: Row, clock: str) -> str:
    values = row["measured"] or {}
    if values.get(clock) is None:
        return ""
    quartiles = f" ({_short(values['low'])}–{_short(values['high'])})" if clock == "wall" and "low" in values else ""
    return _short(values[clock]) + quartiles


def _bound(row: Row, name: str) -> str:
    return "" if row[name] is None else f"{'≤ ' if row['at_most'] else ''}{row[name]:,.7g}"


def targets(results: dict[str, Any]) -> str:
    """Every target, measured or not."""
    columns = [
        ("", lambda row: row["what"]),
        ("wall", lambda row: _measured(row, "wall")),
        ("CPU", lambda row: _measured(row, "cpu")),
        ("minimum", lambda row: _bound(row, "minimum")),
        ("goal", lambda row: _bound(row, "goal")),
        ("", lambda row: _LEVELS[row["level"]]),
    ]
    return _TARGETS + table(columns, evaluate(results))


def text(results: dict[str, Any]) -> str:
    """The whole page; sections that were not measured are absent."""
    machine = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    sections = [_HEAD.format(**{**machine, "versions": versions}), targets(results)]
    return "\n".join(sections + [_section(name, results) for name in _SECTIONS if name in results])


def _section(name: str, results: dict[str, Any]) -> str:
    """A section's text; one that was measured later than the others says so."""
    later = results.get("later", {}).get(name)
    return _SECTIONS[name](results) + (f"\nMeasured later than the rest: {later}.\n" if later else "")


def write(path: Path) -> str:
    """Writes the page and the plot of a results file."""
    results = json.loads(path.read_text(encoding="utf-8"))
    page = text(results)
    (ROOT / "docs" / "benchmarks.md").write_text(page, encoding="utf-8")
    if "pipeline" in results:
        plot(results, ROOT / "docs" / "benchmarks.png")
    return page


if __name__ == "__main__":
    paths = [Path(name) for name in sys.argv[1:]] or sorted(
        RESULTS.glob("20*.json"), key=lambda path: path.stat().st_mtime
    )
    print(write(paths[-1]))
