"""What a device's memory and its wire to the host can do: bytes moved and nothing done with them.

The pipeline is one step, `copy` (on the device), `upload` or `download` (pinned memory). Sizes are beyond any cache, and
the bytes are random: zeros may travel faster.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch

from benchmarks.peers import Run
from benchmarks.peers.on_device import GROUP, wait

TITLE = "bytes moved, nothing else"
BYTES = 1 << 30  # in each of the GROUP moves of a run


def version() -> str:
    """Of torch."""
    return torch.__version__


def _pinned(device: str) -> torch.Tensor:
    return torch.randint(0, 256, (BYTES,), dtype=torch.uint8, pin_memory=device != "cpu")


def _there(device: str) -> torch.Tensor:
    return torch.randint(0, 256, (BYTES,), dtype=torch.uint8, device=device)


@cache
def _ends(kind: str, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """From where to where; made once, because a gibibyte at random takes seconds."""
    source = _pinned(device) if kind == "upload" else _there(device)
    return source, _pinned(device) if kind == "download" else _there(device)


def make(pipeline: list[dict[str, Any]], images: np.ndarray, device: str = "cuda") -> Run:
    """One kind of move."""
    source, target = _ends(pipeline[0]["op"], device)

    def run() -> Callable[[], np.ndarray]:
        for _ in range(GROUP):
            target.copy_(source, non_blocking=True)
        wait(device)
        return lambda: images

    return run
