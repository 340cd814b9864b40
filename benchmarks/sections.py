"""The sections about pixels. A section is a function of a Bench that returns its part of the results."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.bench import Bench, Job, Rows, compare
from benchmarks.recipes import (
    BATCH,
    BLUR,
    CLASSIFICATION,
    ERASING,
    JITTER,
    NOISE,
    PINNED,
    PIPELINE,
    PIPELINE_QUIET,
    ROTATION,
    SHIFT,
    SIZE,
    SOURCE,
    TWICE,
    Pipeline,
    has_frame,
    operations,
)
from benchmarks.rounds import Entry, interleave, rates, ratio
from benchmarks.workers import ROOT, Worker

PEERS = ("fused", "kornia", "torchvision", "albumentations", "dali", "opencv")
OPERATION_PEERS = ("fused", "kornia", "torchvision", "albumentations")


def _compare(bench: Bench, workers: Sequence[Worker], pipeline: Pipeline, what: str) -> Rows:
    """A pipeline on every worker that has its operations; larger images where it crops them."""
    size = SOURCE if has_frame(pipeline) else SIZE
    jobs = [Job(worker.name, worker, pipeline, BATCH, size, BATCH) for worker in workers]
    result = compare(bench, jobs, what)
    kornia, fused = result.entry("kornia"), result.entry("fused")
    rows: Rows = [
        {
            "who": entry.name,
            **rates(entry),
            "to_kornia": ratio(entry, kornia) if kornia else None,
            "fused_to_it": ratio(fused, entry) if fused else None,
            "levels_from_fused": result.difference(entry.name, "fused") if fused else None,
        }
        for entry in result.entries
    ]
    return rows + result.missing_rows()


def pipeline(bench: Bench) -> dict[str, Rows]:
    """The pipeline of the targets, with and without its noise, on all peers."""
    with bench.workers(PEERS) as workers:
        return {
            "with noise": _compare(bench, workers, PIPELINE, "pipeline"),
            "without noise": _compare(bench, workers, PIPELINE_QUIET, "pipeline without noise"),
        }


def each_operation(bench: Bench) -> dict[str, Rows]:
    """Every registered image operation alone."""
    with bench.workers(OPERATION_PEERS) as workers:
        short = bench.scaled(rounds=1 / 3, seconds=1 / 4)
        return {step["op"]: _compare(short, workers, [step], step["op"]) for step in operations()}


def classification(bench: Bench) -> dict[str, Rows]:
    """random_resized_crop, a flip and RandAugment(2)."""
    with bench.workers(OPERATION_PEERS) as workers:
        return {"classification": _compare(bench, workers, CLASSIFICATION, "classification")}


def _series(bench: Bench, what: str, cases: dict[str, tuple[Pipeline, int, int]], peers: tuple[str, ...] = ()) -> Rows:
    """Cases (pipeline, batch, size) of `fused` or of the given peers, each in its own process."""
    with replace(bench, only=None, against=None).workers(peers or ("fused",) * len(cases)) as workers:
        entries = []
        for worker, (name, (steps, batch, size)) in zip(workers, cases.items(), strict=True):
            _, seconds = worker.make(steps, batch, size)
            entries.append(Entry(name, batch, seconds, worker.run))
        first = entries[0]
        failures = interleave(entries, bench.rounds, bench.seconds / 3, lambda text: bench.log(f"{what}: {text}"))
    bench.missing.update({f"{what}, {name}": why for name, why in failures.items()})
    if first.name in failures:
        return []
    return [{"case": entry.name, **rates(entry), "to_first": ratio(entry, first)} for entry in entries]


def scaling(bench: Bench) -> dict[str, Any]:
    """Over batch size, image size and number of operations; one more operation of a kind that the pass has; masks."""
    steps = [ROTATION, JITTER, BLUR, NOISE, ERASING]
    one_more = {
        "the pass": steps,
        "+ a move": [*TWICE, *steps[1:]],
        "+ a tone": [*steps[:2], SHIFT, *steps[2:]],
        "+ an erase": [*steps, ERASING],
    }
    by_count = {str(n): (PINNED[:n], 16, SIZE) for n in range(1, len(PINNED) + 1)}
    masks = {name: (PIPELINE, BATCH, SIZE) for name in ("images", "+ a mask each")}
    return {
        "batch": _series(bench, "batch", {str(n): (PIPELINE, n, SIZE) for n in (1, 8, 64, 256)}),
        "size": _series(bench, "size", {str(n): (PIPELINE, 16, n) for n in (64, 224, 512)}),
        "operations": _series(bench, "operations", by_count),
        "one more": {
            str(batch): _series(
                bench.scaled(rounds=3, seconds=1),
                "one more",
                {name: (pipeline, batch, SIZE) for name, pipeline in one_more.items()},
            )
            for batch in (BATCH, 16)
        },
        "masks": _series(bench, "masks", masks, ("fused", "fused_masks")),
    }


def first_batches(bench: Bench) -> dict[str, Rows]:
    """Starts with and without cached kernels, and the first and tenth batch of pipelines that are new to the process."""
    rows: Rows = []
    with tempfile.TemporaryDirectory() as folder:
        for index in range(3):
            for cached in (False, True):
                bench.log(f"start {index + 1} of 3, {'with' if cached else 'without'} cached kernels")
                rows.append({"kept": cached, **_cold_start(Path(folder, str(index)), index)})
    return {"start": rows}


def _cold_start(cache: Path, index: int) -> dict[str, float]:
    process = subprocess.run(
        [sys.executable, "-m", "benchmarks.cold", str(cache), str(index)],
        cwd=ROOT, capture_output=True, check=True, text=True,
    )  # fmt: skip
    return {key: float(value) for key, value in (line.split() for line in process.stdout.splitlines())}
