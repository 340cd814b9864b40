"""The sections that need CUDA; without it, nothing is claimed.

    device      images are resident on the GPU and stay there: whole pipelines, beside the GPU's copy rate
    operations  each operation alone, likewise
    host        from pinned memory and back into it, beside the transfer rates

A run is several batches, queued back to back, then synchronised once. Copies are counted in images: reading and writing an
image's bytes once is the minimum for an augmentation, so the ratio to the copy rate is the fraction of the memory roofline.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch

from benchmarks.bench import Bench, Job, Rows, compare
from benchmarks.peers import on_gpu
from benchmarks.recipes import PIPELINE, PIPELINE_QUIET, SIZE, Pipeline, operations
from benchmarks.rounds import all_pairs
from benchmarks.workers import Worker

DEVICE = ("gpu_fused", "gpu_kernels", "gpu_kornia", "gpu_compiled", "gpu_torchvision")
HOST = ("host_fused", "host_kornia", "host_torchvision")
PARTS = ("device", "operations", "host")
BATCHES = (64, 256)
CASES = {"with noise": PIPELINE, "without noise": PIPELINE_QUIET}


def gpu(
    bench: Bench, batches: Sequence[int] = BATCHES, size: int = SIZE, parts: Sequence[str] = PARTS
) -> dict[str, Any]:
    """The parts, or why there are none."""
    if not torch.cuda.is_available():
        return {"missing": "no CUDA here"}
    return {"name": torch.cuda.get_device_name(), **sections(bench, batches, size, parts)}


def sections(
    bench: Bench, batches: Sequence[int], size: int, parts: Sequence[str] = PARTS
) -> dict[str, dict[str, Rows]]:
    """All comparisons, by name of the part and of the case."""
    whole = {f"{name}, batches of {batch}": (pipeline, batch) for name, pipeline in CASES.items() for batch in batches}
    alone = {step["op"]: ([step], max(batches)) for step in operations()}
    makers = {
        "device": lambda: _compare_cases(bench, whole, size, DEVICE, ("copy",)),
        "operations": lambda: _compare_cases(bench.scaled(rounds=1 / 2, seconds=1 / 3), alone, size, DEVICE, ("copy",)),
        "host": lambda: _compare_cases(bench, whole, size, HOST, ("upload", "download")),
    }
    return {part: makers[part]() for part in parts}


def _compare_cases(
    bench: Bench, cases: dict[str, tuple[Pipeline, int]], size: int, names: Sequence[str], copies: Sequence[str]
) -> dict[str, Rows]:
    """Cases (pipeline, batch) on the peers, and copies in the same rounds, each kind by its own process."""
    with ExitStack() as stack:
        workers = stack.enter_context(bench.workers(names))
        copiers = [(kind, worker) for kind in copies for worker in stack.enter_context(bench.workers(("gpu_memory",)))]
        return {
            name: _compare(bench, _jobs(workers, copiers, pipeline, batch, size), name)
            for name, (pipeline, batch) in cases.items()
        }


def _jobs(
    workers: Sequence[Worker], copiers: Sequence[tuple[str, Worker]], pipeline: Pipeline, batch: int, size: int
) -> list[Job]:
    images_copied = on_gpu.GROUP * on_gpu.COPY_BYTES // (3 * size * size)
    return [
        *(Job(worker.name, worker, pipeline, batch, size, on_gpu.GROUP * batch) for worker in workers),
        *(Job(kind, worker, [{"op": kind}], 1, size, images_copied) for kind, worker in copiers),
    ]


def _compare(bench: Bench, jobs: Sequence[Job], name: str) -> Rows:
    result = compare(bench, jobs, f"gpu, {name}")
    fused = next((name for name in ("gpu_fused", "host_fused") if name in result.first_images), None)
    rows: Rows = all_pairs(result.entries)
    for row in rows:
        if fused is not None and row["who"] in (*DEVICE, *HOST):
            row["levels_from_fused"] = result.difference(row["who"], fused)
    return rows + result.missing_rows()
