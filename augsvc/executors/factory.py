"""Opens the executor that the settings name."""

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch

from augsvc.executors.fused.image import FusedExecutor
from augsvc.executors.protocol import Executor
from augsvc.executors.reference.image import KorniaExecutor
from augsvc.validation import human

logger = logging.getLogger("augsvc")
ExecutorName = Literal["fused", "kornia"]


def choose_device(name: str, executor: ExecutorName) -> torch.device:
    """The device that the setting `device` names; `auto` is CUDA where it is available and the executor can use it.

    Raises:
        ValueError: for the operator: there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() and runs_on_cuda(executor) else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError("device cuda: torch finds no usable GPU on this machine; set device to cpu or auto")
    return torch.device(name)


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

    if warning := find_device_excess(device_cache_bytes, torch.cuda.get_device_properties(device).total_memory):
        logger.warning(warning)
    return FusedCudaExecutor.on(device, lambda: CudaDevice.on(device), device_cache_bytes)


def find_device_excess(device_cache_bytes: int, device_bytes: int) -> str | None:
    """A line for the operator, with the cure, if the cache is larger than the memory of the device."""
    if device_cache_bytes <= device_bytes:
        return None
    return f"device_cache_bytes: {human(device_cache_bytes)}, and the device has {human(device_bytes)} in all: lower it"


def runs_on_cuda(name: ExecutorName) -> bool:
    """Whether the packages are installed that an executor needs to use CUDA."""
    return name == "kornia" or find_spec("numba_cuda") is not None
