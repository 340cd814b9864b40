"""The section about clips as text."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from benchmarks.sound import BATCH, OURS, PEERS
from benchmarks.tables import Column, Ratio, Row, heading, left_out, measured, ratio_columns, spread, table, title

_SOUND = f""": shift in a circle, gain, tanh by a percentile, low-pass of order 4, noise of −3 dB an
octave; {BATCH} clips at 16 kHz, float32 in and out, every parameter pinned. torch-audiomentations has no tanh, and gets torch's
without the percentile; its low-pass is a windowed sinc. audiomentations has one process a core, and its clips in shared memory.
"""


def sound(results: Mapping[str, Any]) -> str:
    """A row for ours and each peer, for each length of clips."""
    sections = [heading("Sound", "sound", _SOUND)]
    for case, rows in results["sound"].items():
        ours = {row["who"]: row["to"] for row in rows}.get(OURS, {})
        columns: list[Column] = [
            (f"clips of {case}", lambda row: title(results, row["who"])),
            ("clips/s", lambda row: spread(row["images_per_s"], *row["quartiles"])),
            *ratio_columns("speed-up of fused", partial(_ratio_of_ours, ours), quartiles=True),
        ]
        sections.append(table(columns, measured(rows)))
    reasons = {name: why for name, why in results["missing"].items() if name in (OURS, *PEERS)}
    return "\n".join(sections) + left_out(reasons)


def _ratio_of_ours(ours: Mapping[str, Ratio], row: Row) -> Ratio | None:
    return ours.get(row["who"])
