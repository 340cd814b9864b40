"""The section about the CUDA kernels' machine code: measured on the compiled code, without a GPU."""

from typing import Any

import numpy as np
import skimage.data
from cuda.pathfinder import find_nvidia_binary_utility

from augsvc.numerics.geometry import Canvas
from augsvc.numerics.rng import Address
from augsvc.ops.pipeline import parse_pipeline
from augsvc.planning.image_plan import Plan
from benchmarks.bench import Bench
from benchmarks.ptx_device import InterpretedDevice, interpreted
from benchmarks.ptxas import assemble_all
from benchmarks.recipes import PIPELINE, SIZE

# An H200 (SXM): 132 multiprocessors with 4 schedulers, each issues an instruction for a warp of 32 threads a cycle; boost clock.
MULTIPROCESSORS, SCHEDULERS, CLOCK_HZ, WARP = 132, 4, 1.98e9, 32
_EVERY = 12  # block of a launch is interpreted: 17 of 196


def ptxas(bench: Bench) -> dict[str, Any]:
    """Every kernel's registers, occupancy and instructions, and how many of them the pipeline of the targets executes."""
    if find_nvidia_binary_utility("ptxas") is None:
        bench.missing["ptxas"] = "nvidia-cuda-nvcc is not installed"
        return {"kernels": []}
    bench.log("ptxas: counting instructions")
    executed = count_executed()
    rows: list[dict[str, Any]] = [
        {
            "kernel": kernel.name,
            "registers": kernel.registers,
            "spill_bytes": kernel.spill_bytes,
            "occupancy": kernel.occupancy,
            "ptx": kernel.ptx_instructions,
            "machine": kernel.machine_instructions,
            "executed": executed.get(kernel.name),
        }
        for kernel in assemble_all()
    ]
    return {"kernels": rows, "images_per_s": estimate_images_per_s(rows)}


def count_executed() -> dict[str, float]:
    """Kernel → PTX instructions that a thread executes on average, for one image of 224 × 224."""
    device = InterpretedDevice(step=_EVERY)
    photo = skimage.data.astronaut()  # type: ignore[no-untyped-call]
    image = np.ascontiguousarray(photo[100 : 100 + SIZE, 100 : 100 + SIZE])
    plan = Plan.of(parse_pipeline(PIPELINE), Canvas(SIZE, SIZE, 3), "cover")
    draws = plan.draw(0, Address(np.arange(1), 0, 0))
    cameras = [plan.cameras(pass_, draws, [(SIZE, SIZE)]) for pass_ in plan.passes]
    interpreted(device).render(plan, [image], cameras, draws, np.empty((1, 3, SIZE, SIZE), np.uint8), lambda: None)
    return {name: float(np.mean(counts)) for name, counts in device.counts.items()}


def estimate_images_per_s(rows: list[dict[str, Any]]) -> float | None:
    """Images per second if nothing but issuing instructions took time; None without nvdisasm.

    Executed PTX instructions stand for machine instructions in the proportion that a whole kernel has. Divergence within
    a warp is not counted.
    """
    used = [row for row in rows if row["executed"]]
    if not all(row["machine"] for row in used):
        return None
    per_pixel = sum(row["executed"] * row["machine"] / row["ptx"] for row in used)
    per_second: float = MULTIPROCESSORS * SCHEDULERS * CLOCK_HZ * WARP / (per_pixel * SIZE * SIZE)
    return per_second
