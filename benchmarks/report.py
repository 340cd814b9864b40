"""From results to docs/benchmarks.md: `python -m benchmarks.report [RESULTS.json]`. No figure there is written by hand."""

import json
import statistics
import sys
from pathlib import Path
from typing import Any

from benchmarks import gpu_report
from benchmarks.bar import MOST_FOR_ONE_MORE, reached
from benchmarks.peers import NAMES
from benchmarks.plot import plot
from benchmarks.serving.report import texts
from benchmarks.tables import rate, table

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"

_HEAD = """# Benchmarks

{cpu}, {cores} cores, {system}; {date}, commit {commit}. {versions}.
All run in turns, round after round, each in a process of its own; figures are medians of the rounds, the middle half of them in
brackets. Ratios are medians of the rounds' ratios: by wall time, and by CPU time of all cores together, which depends
less on what else the machine did, but still does: a busy machine slows the peers more than us. Absolute
figures mean little elsewhere.

![The pipeline](benchmarks.png)

`make bench` makes all of it; each heading names the command for its part alone. The figures are in
[benchmarks/results/](../benchmarks/results/).
"""

_BAR_WORDS = """Medians of the rounds' ratios, the middle half in brackets. Of our ways over HTTP (`Stream.batch`,
`Stream.frames`, `RemoteDataLoader`) the fastest counts: the table of the wire has all three.

"""


def _times(both: dict[str, float] | None) -> list[str]:
    return [f"{both['wall']:.2f}", f"{both['cpu']:.2f}"] if both else ["", ""]


def _short(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def _bar(results: dict[str, Any]) -> str:
    words = {"goal": "goal reached", "floor": "floor reached", "below": "**not reached**", None: "not measured here"}
    rows = []
    for row in reached(results):
        sign = "≤ " if row["at_most"] else ""
        found = row["found"] or {"wall": None, "cpu": None}
        wall, cpu = ("" if found[by] is None else _short(found[by]) for by in ("wall", "cpu"))
        if "low" in found:
            wall += f" ({_short(found['low'])}–{_short(found['high'])})"
        bounds = ["" if bound is None else f"{sign}{bound:,.7g}" for bound in (row["floor"], row["goal"])]
        rows.append([row["what"], wall, cpu, *bounds, words[row["reached"]]])
    return "## The bar\n\n" + _BAR_WORDS + table(["", "wall", "CPU", "floor", "goal", ""], rows)


def _pipeline(results: dict[str, Any]) -> str:
    text = [
        "## One pipeline\n\n`python -m benchmarks --only pipeline`: rotation, flip, colour jitter, blur of 5 taps, noise;"
    ]
    text.append(
        "every parameter pinned, 64 pictures of 224 × 224, uint8 in and out. The last column is how far the first picture is"
    )
    text.append("from ours, in grey levels: peers turn hue in HSV, and about the mean.\n")
    for case, rows in results["pipeline"].items():
        lines = [
            [f"{results['titles'][row['who']]} ({results['versions'][row['who']]})", rate(row), *_times(row["to_kornia"]),
             *_times(row["fused_to_it"]), f"{row['levels_from_fused']:.1f}"]
            for row in sorted(rows, key=lambda row: row.get("images_per_s", 0)) if "missing" not in row
        ]  # fmt: skip
        head = [case, "images/s", "× Kornia, wall", "CPU", "fused is × it, wall", "CPU", "apart"]
        text.append(table(head, lines))
    left_out = {who: why for who, why in results["missing"].items() if who in NAMES} | {
        row["who"]: row["missing"] for rows in results["pipeline"].values() for row in rows if "missing" in row
    }
    text += [f"Left out: {who}: {why}.\n" for who, why in left_out.items()]
    return "\n".join(text)


def _operations(results: dict[str, Any]) -> str:
    rows = []
    for name, found in results["operations"].items():
        by = {row["who"]: row for row in found if "missing" not in row}
        line = [f"`{name}`", rate(by["fused"]) if "fused" in by else "–"]
        for who in ("kornia", "albumentations"):
            line += [rate(by[who]), *_times(by[who]["fused_to_it"])] if who in by else ["–", "", ""]
        rows.append(line)
    head = ["", "fused, images/s", "Kornia", "fused is ×, wall", "CPU", "Albumentations", "fused is ×, wall", "CPU"]
    return "## Each operation alone\n\n`python -m benchmarks --only operations`\n\n" + table(head, rows)


def _scaling(results: dict[str, Any]) -> str:
    text = [
        "## Scaling of `fused`\n\n`python -m benchmarks --only scaling`; the pipeline as above, batches of 16 unless said.\n"
    ]
    for name in ("batch", "size", "operations"):
        text.append(table([name, "images/s"], [[row["case"], rate(row)] for row in results["scaling"][name]]))
    text.append(
        f"One more of a kind that the pass has; promised are {100 * MOST_FOR_ONE_MORE:g} % at most. A move more is the same"
    )
    text.append(
        "turn in two moves: a pass pays for the composed matrix, so the picture has to be the same. An operation's"
    )
    text.append("numbers cost a batch of 16 nearly what they cost one of 64, which is what the bar is about.\n")
    for batch, rows in results["scaling"]["one more"].items():
        text.append(_more(rows, f"batches of {batch}"))
    if "masks" in results["scaling"]:
        text.append("The pipeline again, batches of 64.\n\n" + _more(results["scaling"]["masks"]))
    ended = {
        who: why
        for who, why in results["missing"].items()
        if who.startswith(tuple(f"{of}, " for of in results["scaling"]))
    }
    text += [f"Left out: {who}: {why}.\n" for who, why in ended.items()]
    return "\n".join(text)


def _more(rows: list[dict[str, Any]], what: str = "") -> str:
    """What rows take more than the first."""
    lines = [
        [row["case"], rate(row), *(f"{100 * (1 / row['to_first'][by] - 1):+.1f} %" for by in ("wall", "cpu"))]
        for row in rows
    ]
    return table([what, "images/s", "time, wall", "CPU"], lines)


def _first(results: dict[str, Any]) -> str:
    rows = []
    for kept, name in ((False, "none kept"), (True, "kept")):
        starts = [row for row in results["first"]["start"] if row["kept"] == kept]
        middle = {key: statistics.median(row[key] for row in starts) for key in starts[0]}
        rows.append([name, *(f"{middle[key]:.1f} s" for key in ("imports", "start", "start_cpu")),
                     *(f"{1000 * middle[key]:.0f} ms" for key in ("first", "tenth"))])  # fmt: skip
    head = ["kernels", "imports", "first batch of all after", "CPU", "first batch of a new pipeline", "its tenth"]
    return "## First batches\n\n`python -m benchmarks --only first`; batches of 64.\n\n" + table(head, rows)


def text(results: dict[str, Any]) -> str:
    """The whole page; sections that were not measured are absent."""
    place = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in place["versions"].items())
    parts = [_HEAD.format(**{**place, "versions": versions})]
    makers = {"pipeline": _pipeline, "operations": _operations, "scaling": _scaling, "first": _first}
    parts.append(_bar(results))
    parts += [make(results) for name, make in makers.items() if name in results]
    parts += texts(results)
    if "gpu" in results:
        parts.append(gpu_report.text(results))
    return "\n".join(parts)


def write(path: Path) -> str:
    """The page and the plot of a file of results."""
    results = json.loads(path.read_text(encoding="utf-8"))
    page = text(results)
    (ROOT / "docs" / "benchmarks.md").write_text(page, encoding="utf-8")
    if "pipeline" in results:
        plot(results, ROOT / "docs" / "benchmarks.png")
    return page


if __name__ == "__main__":
    given = [Path(name) for name in sys.argv[1:]] or sorted(
        RESULTS.glob("*.json"), key=lambda path: path.stat().st_mtime
    )
    print(write(given[-1]))
