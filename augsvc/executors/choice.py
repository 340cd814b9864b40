"""The executor that the settings name."""

from pathlib import Path
from typing import Literal

import torch

from augsvc.executors.base import Executor
from augsvc.executors.fused import FusedExecutor
from augsvc.executors.kornia import KorniaExecutor

ExecutorName = Literal["fused", "kornia"]


def open_executor(name: ExecutorName, device: torch.device, kernel_cache: Path | None) -> Executor:
    """An executor on a device; its first work compiles its kernels, unless the folder `kernel_cache` holds them.

    Raises:
        ValueError: for the operator: the executor cannot use the device.
    """
    if name == "kornia":
        return KorniaExecutor.on(device)
    return FusedExecutor.on(device, kernel_cache)
