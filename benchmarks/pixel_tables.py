"""The sections about pixels as text, on the CPU and on a GPU. Every figure is read from the results."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from benchmarks.gpu import DEVICE, HOST
from benchmarks.recipes import SIZE, SOURCE
from benchmarks.sections import OPERATION_PEERS, PEERS
from benchmarks.tables import (
    Column,
    Ratio,
    Row,
    heading,
    left_out,
    measured,
    rate,
    ratio,
    ratio_columns,
    table,
    title,
)
from benchmarks.targets import MAX_COST_OF_ONE_MORE

Results = Mapping[str, Any]
_PIPELINE = """: rotation, flip, colour jitter, blur of 5 taps, noise; every parameter pinned, 64 images of
224 × 224, uint8 in and out. The last column is the mean absolute difference from our first image, in grey levels: peers rotate
hue in HSV, and set contrast about the mean.
"""
_OPERATIONS = f""": CPU time of all cores for a pixel of {SIZE} × {SIZE}, every parameter pinned where a peer has it, else the
default; bytes H,W,C in and out, Kornia's as it takes and returns them. Frames crop from {SOURCE} × {SOURCE}, and
average areas where they shrink: Albumentations with `area_for_downscale`. A row's peers ran in turns; the speed-up is over the
one with the least CPU time. Slowest first.
"""
_LABELS = {"kornia": "Kornia", "torchvision": "torchvision", "albumentations": "Albumentations"}
_RECIPE = """: random_resized_crop, a flip with probability 0.5 and RandAugment with two operations at magnitude 9, from
432 × 432 to 224 × 224. Albumentations has no RandAugment: two of torchvision's operations at the same strengths; it crops with
`area_for_downscale`.
"""
_SCALING = """; the pipeline as above, batches of 16 unless said.
"""
_ONE_MORE = f"""One more operation of a kind that the pass has; the target is {100 * MAX_COST_OF_ONE_MORE:g} % at most. The
additional move splits the same rotation in two, because the cost of a pass depends on the composed matrix. Drawing an operation's
parameters costs nearly the same for 16 images as for 64; the target is about 64.
"""
_FIRST = """; batches of 64.
"""
_GPU = """, on {name}. Eight batches are queued back to back, then synchronised once; each peer in its own
process, in turns; medians of the rounds, quartiles in brackets. Our bytes equal those of the CPU's executor, or there is no row.

Images are on the GPU as bytes, and results stay there: our bytes, the others' floats, as their users take them. Ours draws and
sends the parameters of every batch; *the kernels alone* are its launches by the GPU's own clock, without the host. The last
column but one is the fraction of the rate at which the GPU copies bytes (read once, written once); the last is the mean absolute
difference from our first image, in grey levels.
"""
_HOST = """From pinned memory and back into it as bytes; ours works as a server does, from and into a batch's own memory.
"""
_IMAGE_BYTES = 3 * SIZE * SIZE
_BYTES_COPIED = {"copy": 2 * _IMAGE_BYTES, "upload": _IMAGE_BYTES, "download": _IMAGE_BYTES}  # per image


def pipeline(results: Results) -> str:
    """Every peer, with and without noise."""
    sections = [heading("One pipeline", "pipeline", _PIPELINE)]
    for case, rows in results["pipeline"].items():
        columns: list[Column] = [
            (case, lambda row: title(results, row["who"])),
            ("images/s", rate),
            *ratio_columns("× Kornia", lambda row: row["to_kornia"]),
            *ratio_columns("speed-up of fused", lambda row: row["fused_to_it"]),
            ("mean abs. difference", _difference),
        ]
        sections.append(table(columns, measured(rows)))
    reasons = {name: why for name, why in results["missing"].items() if name in PEERS} | {
        row["who"]: row["missing"] for rows in results["pipeline"].values() for row in rows if "missing" in row
    }
    return "\n".join(sections) + left_out(reasons)


def each_operation(results: Results) -> str:
    """A row for each operation, beside the peers that have it."""
    fused, *others = OPERATION_PEERS
    columns: list[Column] = [("", _operation), ("fused, ns a pixel", partial(_nanoseconds, fused))]
    columns += [(_LABELS[name], partial(_nanoseconds, name)) for name in others]
    columns += [("fastest of them", _fastest_peer), *ratio_columns("speed-up over it", fastest_ratio, quartiles=True)]
    rows = _by_operation(results["operations"])
    speed_ups = {row["operation"]: speed_up["cpu"] for row in rows if (speed_up := fastest_ratio(row))}
    compared = [row for row in rows if row["operation"] in speed_ups]
    alone = [row for row in rows if row["operation"] not in speed_ups]
    sections = [
        heading("Each operation alone", "operations", _OPERATIONS),
        table(columns, sorted(compared, key=lambda row: speed_ups[row["operation"]])),
    ]
    return "\n".join(sections + (["No counterpart in these libraries:\n", table(columns[:2], alone)] if alone else []))


def classification(results: Results) -> str:
    """The policy's pipeline on the peers that have it."""
    columns: list[Column] = [
        ("", lambda row: title(results, row["who"])),
        ("images/s", rate),
        *ratio_columns("speed-up of fused", lambda row: row["fused_to_it"], quartiles=True),
    ]
    rows = results["classification"]["classification"]
    reasons = {row["who"]: row["missing"] for row in rows if "missing" in row}
    return heading("A recipe", "classification", _RECIPE) + "\n" + table(columns, measured(rows)) + left_out(reasons)


def fastest_ratio(row: Row) -> Ratio | None:
    """The speed-up over the peer that is fastest by CPU time; `row` has an operation's rows by peer."""
    ratios = [row[name]["fused_to_it"] for name in OPERATION_PEERS[1:] if name in row and row[name]["fused_to_it"]]
    return min(ratios, key=lambda ratio: ratio["cpu"], default=None)


def _fastest_peer(row: Row) -> str:
    ratio = fastest_ratio(row)
    return next(_LABELS[name] for name in OPERATION_PEERS[1:] if name in row and row[name]["fused_to_it"] is ratio)


def _nanoseconds(name: str, row: Row) -> str:
    """A peer's CPU time of a canvas pixel, in a row for an operation."""
    return f"{1e9 / (row[name]['images_per_cpu_s'] * SIZE * SIZE):.2f}" if name in row else ""


def scaling(results: Results) -> str:
    """Ours over batch, size, operations, one more operation, and masks."""
    section = results["scaling"]
    sections = [heading("Scaling of `fused`", "scaling", _SCALING)]
    sections += [
        table([(name, lambda row: row["case"]), ("images/s", rate)], section[name])
        for name in ("batch", "size", "operations")
    ]
    sections.append(_ONE_MORE)
    sections += [_added_cost(rows, f"batches of {batch}") for batch, rows in section["one more"].items()]
    if "masks" in section:
        sections.append("The pipeline again, batches of 64.\n\n" + _added_cost(section["masks"]))
    series = tuple(f"{name}, " for name in section)
    return "\n".join(sections) + left_out(
        {name: why for name, why in results["missing"].items() if name.startswith(series)}
    )


def _added_cost(rows: Sequence[Row], label: str = "") -> str:
    """How much more time than the first row."""

    def more(clock: str) -> Callable[[Row], str]:
        return lambda row: f"{100 * (1 / row['to_first'][clock] - 1):+.1f} %"

    return table(
        [(label, lambda row: row["case"]), ("images/s", rate), ("time, wall", more("wall")), ("CPU", more("cpu"))], rows
    )


def first_batches(results: Results) -> str:
    """Starts with and without cached kernels: medians."""

    def median(key: str, scale: float, form: str) -> Callable[[Row], str]:
        return lambda starts: f"{scale * statistics.median(start[key] for start in starts):{form}}"

    columns: list[Column] = [
        ("kernels", lambda starts: "cached" if starts[0]["kept"] else "not cached"),
        ("imports", median("imports", 1, ".1f")),
        ("first batch of the process, s", median("start", 1, ".1f")),
        ("CPU", median("start_cpu", 1, ".1f")),
        ("first batch of a new pipeline, ms", median("first", 1000, ".0f")),
        ("its tenth", median("tenth", 1000, ".0f")),
    ]
    starts = [[start for start in results["first"]["start"] if start["kept"] is kept] for kept in (False, True)]
    return heading("First batches", "first", _FIRST) + "\n" + table(columns, starts)


def gpu(results: Results) -> str:
    """The GPU's tables, or why there are none."""
    section = results["gpu"]
    if "missing" in section:
        return heading("GPU", "gpu", f": not measured: {section['missing']}.")
    sections = [heading("GPU", "gpu", _GPU.format(name=section["name"]))]
    sections += [
        _gpu_table(results, case, rows, "gpu_fused", "gpu_kornia", "copy")
        for case, rows in section.get("device", {}).items()
    ]
    if "operations" in section:
        sections += ["Each operation alone, in the largest batches:\n", _gpu_operations(section["operations"])]
    sections += [_HOST] if "host" in section else []
    sections += [
        _gpu_table(results, case, rows, "host_fused", "host_kornia", "download")
        for case, rows in section.get("host", {}).items()
    ]
    missing = results["missing"]
    return "\n".join(sections) + left_out({name: missing[name] for name in (*DEVICE, *HOST) if name in missing})  # fmt: skip


def _gpu_table(results: Results, case: str, rows: Sequence[Row], fused: str, kornia: str, limit: str) -> str:
    by_name = {row["who"]: row for row in rows}

    def name(row: Row) -> str:
        if row["who"] not in _BYTES_COPIED:
            return title(results, row["who"])
        return f"{row['who']}, {row['images_per_s'] * _BYTES_COPIED[row['who']] / 1e9:,.1f} GB/s"

    def of_peers(cell: Callable[[Row], str]) -> Callable[[Row], str]:
        return lambda row: "" if row["who"] in _BYTES_COPIED else cell(row)

    columns: list[Column] = [
        (case, name),
        ("images/s", rate),
        ("× Kornia", of_peers(lambda row: ratio(row["to"].get(kornia)))),
        ("speed-up of fused", of_peers(lambda row: ratio(_ratio(by_name.get(fused), row["who"]), ".1f"))),
        (f"÷ {limit}", of_peers(lambda row: ratio(row["to"].get(limit), ".3f"))),
        ("mean abs. difference", _difference),
    ]
    return table(columns, measured(rows)) + left_out({row["who"]: row["missing"] for row in rows if "missing" in row})


def _gpu_operations(operations: Mapping[str, Sequence[Row]]) -> str:
    columns: list[Column] = [("", _operation)]
    columns += [*_peer_columns("gpu_fused", "fused, images/s"), *_peer_columns("gpu_kernels", "its kernels alone")]
    for name, label in (("gpu_kornia", "Kornia"), ("gpu_compiled", "compiled"), ("gpu_torchvision", "torchvision")):
        columns += _peer_columns(name, label)
        columns.append(("speed-up", partial(_speed_up, name)))
    columns.append(("kernels ÷ copy", lambda row: ratio(_ratio(row.get("gpu_kernels"), "copy"), ".3f")))
    return table(columns, _by_operation(operations))


def _speed_up(name: str, row: Row) -> str:
    """Ours over a peer, in a row for an operation."""
    return ratio(_ratio(row.get("gpu_fused"), name), ".1f")


def _by_operation(operations: Mapping[str, Sequence[Row]]) -> list[Row]:
    """A row for each operation: its name, and the measured rows of the peers by name."""
    return [
        {"operation": name, **{row["who"]: row for row in rows if "missing" not in row}}
        for name, rows in operations.items()
    ]


def _operation(row: Row) -> str:
    return f"`{row['operation']}`"


def _peer_columns(name: str, label: str) -> list[Column]:
    """A peer's rate, in a row for an operation."""
    return [(label, lambda row: rate(row[name]) if name in row else "–")]


def _ratio(row: Row | None, other: str) -> Ratio | None:
    """To another entry of the same comparison."""
    return row["to"].get(other) if row and "to" in row else None


def _difference(row: Row) -> str:
    levels = row.get("levels_from_fused")
    return "" if levels is None else f"{levels:.1f}"


_PTXAS = """: what NVIDIA's assembler makes of the CUDA kernels for sm_90, without a GPU. *Occupancy* is the fraction of a
multiprocessor's 64 warps that registers leave room for. *Executed* is how many PTX instructions a thread runs for its pixel of
the pipeline of the targets, counted by interpreting the compiled code (tests compare its pixels with the CPU's, to the bit)."""


def ptxas(results: Results) -> str:
    """Every CUDA kernel, and the estimate."""
    columns: list[Column] = [
        ("kernel", lambda row: f"`{row['kernel']}`"),
        ("registers", lambda row: str(row["registers"])),
        ("spilled bytes", lambda row: str(row["spill_bytes"])),
        ("occupancy", lambda row: f"{row['occupancy']:.0%}"),
        ("PTX instructions", lambda row: f"{row['ptx']:,}"),
        ("machine instructions", lambda row: f"{row['machine'] or 0:,}" if row["machine"] else ""),
        ("executed per pixel", lambda row: f"{row['executed']:,.0f}" if row["executed"] else ""),
    ]
    section = results["ptxas"]
    parts = [heading("CUDA kernels", "ptxas", _PTXAS), table(columns, section["kernels"])]
    if section.get("images_per_s"):
        parts.append(
            "An **estimate**, not a measurement: if nothing but issuing these instructions took time, an H200 "
            f"(132 multiprocessors, 4 schedulers each, 1.98 GHz) would render {section['images_per_s']:,.0f} images/s.\n"
        )
    return "\n".join(parts)
