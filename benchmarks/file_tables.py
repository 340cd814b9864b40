"""The sections about files as text."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from benchmarks.files import FILES, PEERS
from benchmarks.opening import CLASSES
from benchmarks.tables import Column, Ratio, Row, heading, left_out, measured, table, title

_FILES = """: JPEGs of quality 90, chroma halved; random_resized_crop to 224 × 224, a flip, colour jitter;
batches of 64 as float32 in [-1, +1] on the CPU. CPU time of all processes, server, workers and trainer. Every loader with a
worker or thread a core, otherwise its defaults. DALI decodes only what a crop needs; the others decode whole
files. *From its cache*: the second and later epochs of a dataset that fits.
"""
_OPENING = f""": {{samples:,.0f}} files (hard links, in the page cache) in {CLASSES:,} class folders, a process each. Memory: by
how much opening has grown the process.
"""


def files(results: Mapping[str, Any]) -> str:
    """A row for each loader, for each size of files."""
    sections = [heading("From files", "files", _FILES)]
    for case, rows in results["files"].items():
        ours = {row["who"]: row["to"] for row in rows}.get("files", {})
        columns: list[Column] = [
            (case, lambda row: title(results, row["who"])),
            ("CPU, ms an image", lambda row: f"{1000 / row['images_per_cpu_s']:.2f}"),
            ("÷ augsvc", partial(_ratio_to_ours, ours)),
        ]
        sections.append(table(columns, measured(rows)))
    reasons = {name: why for name, why in results["missing"].items() if name in FILES + PEERS}
    return "\n".join(sections) + left_out(reasons)


def _ratio_to_ours(ours: Mapping[str, Ratio], row: Row) -> str:
    return f"{ours[row['who']]['cpu']:.2f}" if ours else ""


def opening(results: Mapping[str, Any]) -> str:
    """A row for each kind of start."""
    rows = results["opening"]
    columns: list[Column] = [
        ("the index on disk", lambda row: row["case"]),
        ("s", lambda row: f"{row['wall']:.2f}"),
        ("CPU, s", lambda row: f"{row['cpu']:.2f}"),
        ("MB", lambda row: f"{row['bytes'] / 1e6:.0f}"),
    ]
    text = _OPENING.format(samples=rows[0]["samples"])
    return heading("Starts over many files", "opening", text) + "\n" + table(columns, rows)
