"""The executor that the settings name."""

from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch

from augsvc.executors.fused.image import FusedExecutor
from augsvc.executors.protocol import Executor
from augsvc.executors.reference.image import KorniaExecutor

ExecutorName = Literal["fused", "kornia"]


def open_executor(
    name: ExecutorName, device: torch.device, kernel_cache: Path | None, device_cache_bytes: int = 0
) -> Executor:
    """An executor on a device; its first work compiles its kernels, unless the folder `kernel_cache` holds them.
    On CUDA `fused` keeps sources of so many bytes on the device.

    Raises:
        ValueError: for the operator: the executor cannot use the device.
    """
    if name == "kornia":
        return KorniaExecutor.on(device)
    if device.type == "cpu":
        return FusedExecutor.on(kernel_cache)
    if not runs_on_cuda(name):
        raise ValueError(
            "executor fused runs on CUDA with numba-cuda, which is not installed: install augsvc[cuda], or set device to "
            "cpu, or executor to kornia"
        )
    from augsvc.executors.cuda.image import FusedCudaExecutor  # only now: Numba's CUDA part, which others need not have
    from augsvc.executors.cuda.lane import CudaLane

    return FusedCudaExecutor.on(device, lambda: CudaLane.on(device), device_cache_bytes)


def runs_on_cuda(name: ExecutorName) -> bool:
    """Whether an executor has what it needs to use CUDA, besides the device."""
    return name == "kornia" or find_spec("numba_cuda") is not None
