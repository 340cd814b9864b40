"""Opens the executor that the settings name."""

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
    """An executor on a device.

    Its kernels are compiled when they are first used, unless the folder `kernel_cache` holds their code. On CUDA `fused`
    keeps up to `device_cache_bytes` of sources on the device.

    Raises:
        ValueError: the executor cannot use the device; the message is for the operator.
    """
    if name == "kornia":
        return KorniaExecutor.on(device)
    if device.type == "cpu":
        return FusedExecutor.on(kernel_cache)
    if not runs_on_cuda(name):
        raise ValueError(
            "executor fused needs numba-cuda to run on CUDA, which is not installed: install augsvc[cuda], set device to "
            "cpu, or set executor to kornia"
        )
    from augsvc.executors.cuda.cuda_device import CudaDevice  # here: numba-cuda is optional
    from augsvc.executors.cuda.image import FusedCudaExecutor

    return FusedCudaExecutor.on(device, lambda: CudaDevice.on(device), device_cache_bytes)


def runs_on_cuda(name: ExecutorName) -> bool:
    """Whether the packages are installed that an executor needs to use CUDA."""
    return name == "kornia" or find_spec("numba_cuda") is not None
