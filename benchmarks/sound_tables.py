"""The section about clips as text."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from benchmarks.sound import BATCH, OURS, PEERS
from benchmarks.sound_operations import SAMPLES
from benchmarks.tables import Column, Ratio, Row, heading, left_out, measured, ratio_columns, spread, table, title

_SOUND = f""": shift in a circle, gain, tanh by a percentile, low-pass of order 4, noise of −3 dB an
octave; {BATCH} clips at 16 kHz, float32 in and out, every parameter pinned. torch-audiomentations has no tanh, and gets torch's
without the percentile; its low-pass is a windowed sinc. audiomentations has one process a core, and its clips in shared memory.
"""
_OPERATIONS = f""": CPU time of all cores for a sample of {BATCH} clips of a second at 16 kHz, every parameter
pinned where a peer has it, else the default. A row's peers ran in turns; the speed-up is over the one with the least CPU time.
torch-audiomentations filters with windowed sincs, by transforms. Operations that take partners are left out.
"""
_LABELS = {
    "torch_audiomentations": "torch-audiomentations",
    "audiomentations": "audiomentations",
    "torchaudio": "torchaudio",
}
_COPIED = (
    "bound by the interpreter and by memory: over half of ours, 0.3 ms a batch, is Python that draws and lowers, a fifth "
    "the copy of each clip from its source into the batch, the kernel the rest; audiomentations' processes hold their clips and "
    "results in shared memory, and torchaudio draws nothing."
)
_SLOWER = {  # why
    "speed": "three quarters of ours are weights: 36 taps of float64, interpolated for each sample, so that any drawn "
    "speed has the same bits everywhere; torchaudio convolves with a float32 table of 14 taps, made for the one pinned speed.",
    "resample": "as `speed`, and twice.",
    "preemphasis": _COPIED,
    "time_mask": "two fifths of ours multiply all samples with a gain over time, for a mask is one; the rest is as for `gain`.",
    "tanh_distortion": "torch-audiomentations has none: its row is torch's tanh alone. A third of ours is the percentile, a "
    "tenth the level that it keeps, two fifths the curve's table.",
    "splice_out": "not profiled; both cut one clip after the other, ours with NumPy, torch-audiomentations with torch.",
    **dict.fromkeys(("bit_crush", "gain", "normalize_peak", "polarity", "reverse", "time_shift"), _COPIED),
}


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
    present = {row["who"] for rows in results["sound"].values() for row in rows}
    reasons = {name: why for name, why in results["missing"].items() if name in {OURS, *PEERS} - present}
    return "\n".join(sections) + left_out(reasons)


def each_operation(results: Mapping[str, Any]) -> str:
    """A row for each operation, beside the peers that have it; why some are slower than one of them."""
    rows = [{"op": op} | {row["who"]: row for row in entries} for op, entries in results["sound_operations"].items()]
    rows = [row for row in rows if OURS in row]
    compared = sorted((row for row in rows if _fastest(row)), key=lambda row: _speed_up(row)["cpu"])
    columns: list[Column] = [("", lambda row: f"`{row['op']}`"), ("fused, ns a sample", partial(_nanoseconds, OURS))]
    peers = [(_LABELS[name], partial(_nanoseconds, name)) for name in _LABELS]
    speed_ups = ratio_columns("speed-up over the fastest", _speed_up, quartiles=True)
    slower = [row["op"] for row in compared if _speed_up(row)["cpu"] < 1.0]
    reasons: dict[str, list[str]] = {}
    for op in slower:
        reasons.setdefault(_SLOWER.get(op, "the reason is not known."), []).append(f"`{op}`")
    listed = "".join(f"- {', '.join(names)}: {reason}\n" for reason, names in reasons.items())
    failed = {
        name: why for name, why in results["missing"].items() if name.split(",")[0] in results["sound_operations"]
    }
    sections = [
        heading("Each sound operation alone", "sound_operations", _OPERATIONS),
        table([*columns, *peers, *speed_ups], compared),
        f"Slower than the fastest peer:\n\n{listed}" if slower else "",
        "No counterpart in these libraries:\n",
        table(columns, [row for row in rows if not _fastest(row)]),
    ]
    return "\n".join(section for section in sections if section) + left_out(failed)


def _fastest(row: Row) -> str | None:
    """The peer with the least CPU time."""
    present = [name for name in _LABELS if name in row]
    return max(present, key=lambda name: row[name]["images_per_cpu_s"], default=None)


def _speed_up(row: Row) -> Ratio:
    ratio: Ratio = row[OURS]["to"][_fastest(row)]
    return ratio


def _nanoseconds(name: str, row: Row) -> str:
    """CPU time of a sample."""
    return f"{1e9 / (row[name]['images_per_cpu_s'] * SAMPLES):.1f}" if name in row else ""


def _ratio_of_ours(ours: Mapping[str, Ratio], row: Row) -> Ratio | None:
    return ours.get(row["who"])
