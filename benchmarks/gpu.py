"""The rows that need CUDA. Nothing is claimed where there is none.

    device      pictures lie on the GPU and stay there: whole pipelines, beside the rate at which the GPU copies
    operations  each operation alone, likewise
    host        from pinned memory and back into it, beside the rates of the wire between

A run is some batches, queued one behind the other and waited for together. Bytes moved are counted in pictures: a copy that
reads and writes a picture's bytes once is the least that an augmentation of it can do, so the ratio to it is the share of the
roofline that memory sets.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from benchmarks import peers
from benchmarks.crew import Worker
from benchmarks.peers import gpu_memory_peer
from benchmarks.peers.on_device import GROUP
from benchmarks.recipes import OPERATIONS, PIPELINE, PIPELINE_QUIET, SIZE, Pipeline
from benchmarks.rounds import Contestant, against_all, interleave
from benchmarks.sections import Bench

DEVICE = ("gpu_fused", "gpu_kernels", "gpu_kornia", "gpu_compiled", "gpu_torchvision")
HOST = ("host_fused", "host_kornia", "host_torchvision")
PARTS = ("device", "operations", "host")
MEMORY = "gpu_memory"
BATCHES = (64, 256)
CASES = {"with noise": PIPELINE, "without noise": PIPELINE_QUIET}
Rows = list[dict[str, Any]]


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
    """All contests, by name of the part and of the case."""
    makers = {"device": _device, "operations": _operations, "host": _host}
    return {part: makers[part](bench, batches, size) for part in parts}


def _cases(
    bench: Bench, crew: Sequence[Worker], moving: Sequence[tuple[str, Worker]], batches: Sequence[int], size: int, what: str
) -> dict[str, Rows]:  # fmt: skip
    found = {
        f"{case}, batches of {batch}": _contest(bench, crew, moving, pipeline, batch, size, f"{what}, {case}, {batch}")
        for case, pipeline in CASES.items()
        for batch in batches
    }
    _close([*crew, *(worker for _, worker in moving)])
    return found


def _device(bench: Bench, batches: Sequence[int], size: int) -> dict[str, Rows]:
    return _cases(bench, bench.crew(DEVICE), _moving(bench, "copy"), batches, size, "gpu")


def _operations(bench: Bench, batches: Sequence[int], size: int) -> dict[str, Rows]:
    short = Bench(max(3, bench.rounds // 2), bench.seconds / 3, bench.say)
    crew, copy = bench.crew(DEVICE), _moving(bench, "copy")
    found = {
        step["op"]: _contest(short, crew, copy, [step], max(batches), size, f"gpu, {step['op']}") for step in OPERATIONS
    }
    _close([*crew, *(worker for _, worker in copy)])
    return found


def _host(bench: Bench, batches: Sequence[int], size: int) -> dict[str, Rows]:
    return _cases(bench, bench.crew(HOST), _moving(bench, "upload", "download"), batches, size, "gpu, host")


def _moving(bench: Bench, *kinds: str) -> list[tuple[str, Worker]]:
    """One who moves bytes, for each kind of move."""
    return [(kind, worker) for kind in kinds for worker in bench.crew((MEMORY,))]


def _close(crew: Sequence[Worker]) -> None:
    for worker in crew:
        worker.close()


def _contest(
    bench: Bench, crew: Sequence[Worker], moving: Sequence[tuple[str, Worker]], pipeline: Pipeline, batch: int, size: int,
    what: str,
) -> Rows:  # fmt: skip
    """A pipeline by everybody who has it, and bytes moved in the same rounds."""
    contestants, looks, missing = [], {}, {}
    moved = GROUP * gpu_memory_peer.BYTES // (3 * size * size)
    orders = [(worker.name, worker, (pipeline, batch, size), GROUP * batch) for worker in crew]
    orders += [(kind, worker, ([{"op": kind}], 1, size), moved) for kind, worker in moving]
    for name, worker, order, images in orders:
        bench.say(f"{what}: {name} gets ready")
        try:
            looks[name], seconds = worker.make(*order)
            contestants.append(Contestant(name, images, seconds, worker.run))
        except peers.Missing as err:
            missing[name] = str(err)
    missing |= interleave(contestants, bench.rounds, bench.seconds, lambda text: bench.say(f"{what}: {text}"))
    ours = next((look for name, look in looks.items() if name.endswith("_fused")), None)
    rows: Rows = against_all(contestants)
    for row in rows:
        if ours is not None and row["who"] in (*DEVICE, *HOST):
            row["levels_from_fused"] = float(np.abs(looks[row["who"]].astype(float) - ours).mean())
    return rows + [{"who": name, "missing": why} for name, why in missing.items()]
