"""The GPU's rows as text. No figure here is written by hand."""

from typing import Any

from benchmarks.gpu import DEVICE, HOST, Rows
from benchmarks.recipes import SIZE
from benchmarks.tables import rate, table

_BYTES = 3 * SIZE * SIZE
_HEAD = """## GPU

`python -m benchmarks --only gpu`, on {name}. Eight batches are queued one behind the other and waited for together, each
peer in a process of its own, in turns; medians of the rounds, the middle half in brackets. Our bytes are those of the CPU's
executor, or there is no row.

Pictures lie on the GPU as bytes, and what becomes of them stays there: bytes of ours, floats of the others, as their users
take them. Ours draws anew and sends its numbers for every batch; *the kernels alone* are its launches by the GPU's own
clock, without the host. The last column but one is the share of the rate at which the GPU copies bytes (read once, written
once); the last is how far the first picture is from ours, in grey levels.
"""
_HOST = """From pinned memory and back into it as bytes; ours is what a server does, from and into a batch's own memory.
"""
_MOVES = {"copy": 2 * _BYTES, "upload": _BYTES, "download": _BYTES}  # bytes that a picture counts for


def _ratio(row: dict[str, Any], other: str, digits: int = 2) -> str:
    found = row["to"].get(other)
    return f"{found['wall']:.{digits}f} ({found['low']:.{digits}f}–{found['high']:.{digits}f})" if found else ""


def _inverse(rows: Rows, ours: str, who: str) -> str:
    """How many times as fast ours is."""
    row = next((row for row in rows if row["who"] == ours and "to" in row), None)
    return _ratio(row, who, 1) if row else ""


def _contest(results: dict[str, Any], case: str, rows: Rows, ours: str, kornia: str, limit: str) -> str:
    lines = []
    for row in sorted((row for row in rows if "missing" not in row), key=lambda row: row["images_per_s"]):
        who = row["who"]
        if who in _MOVES:
            speed = row["images_per_s"] * _MOVES[who] / 1e9
            lines.append([f"{who}, {speed:,.1f} GB/s", rate(row), "", "", "", ""])
            continue
        title = f"{results['titles'][who]} ({results['versions'][who]})"
        apart = f"{row['levels_from_fused']:.1f}" if "levels_from_fused" in row else ""
        lines.append([title, rate(row), _ratio(row, kornia), _inverse(rows, ours, who), _ratio(row, limit, 3), apart])
    head = [case, "images/s", "× Kornia", "fused is × it", f"÷ {limit}", "apart"]
    left_out = "".join(f"\nLeft out: {row['who']}: {row['missing']}.\n" for row in rows if "missing" in row)
    return table(head, lines) + left_out


def _operations(found: dict[str, Rows]) -> str:
    lines = []
    for name, rows in found.items():
        by = {row["who"]: row for row in rows if "missing" not in row}
        line = [f"`{name}`", *(rate(by[who]) if who in by else "–" for who in ("gpu_fused", "gpu_kernels"))]
        for who in ("gpu_kornia", "gpu_compiled", "gpu_torchvision"):
            line += [rate(by[who]) if who in by else "–", _inverse(rows, "gpu_fused", who)]
        lines.append([*line, _ratio(by["gpu_kernels"], "copy", 3) if "gpu_kernels" in by else ""])
    head = ["", "fused, images/s", "its kernels alone", "Kornia", "fused is ×", "compiled", "fused is ×", "torchvision",
            "fused is ×", "kernels ÷ copy"]  # fmt: skip
    return table(head, lines)


def text(results: dict[str, Any]) -> str:
    """The part of the page."""
    found = results["gpu"]
    if "missing" in found:
        return f"## GPU\n\n`python -m benchmarks --only gpu`: not measured: {found['missing']}.\n"
    parts = [_HEAD.format(name=found["name"])]
    parts += [
        _contest(results, case, rows, "gpu_fused", "gpu_kornia", "copy")
        for case, rows in found.get("device", {}).items()
    ]
    if "operations" in found:
        parts += ["Each operation alone, in the largest batches:\n", _operations(found["operations"])]
    parts += [_HOST] if "host" in found else []
    parts += [
        _contest(results, case, rows, "host_fused", "host_kornia", "download")
        for case, rows in found.get("host", {}).items()
    ]
    missing = results["missing"]
    parts += [f"Left out: {name}: {missing[name]}.\n" for name in (*DEVICE, *HOST) if name in missing]
    return "\n".join(parts)
