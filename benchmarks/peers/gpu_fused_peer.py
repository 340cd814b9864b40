"""This package on a GPU, pictures resident, bytes left there: draws, cameras, sheets and launches of every batch anew."""

from collections.abc import Callable
from typing import Any

import numpy as np

import augsvc
from benchmarks.peers import Run, fused_lane
from benchmarks.peers.on_device import GROUP

TITLE = "augsvc, `fused`"


def version() -> str:
    """Of this package."""
    return augsvc.__version__


def make(pipeline: list[dict[str, Any]], images: np.ndarray, device: str = "cuda") -> Run:
    """On the device."""
    resident = fused_lane.OnLane.of(pipeline, images, fused_lane.open_lane(device))

    def run() -> Callable[[], np.ndarray]:
        for _ in range(GROUP):
            resident.batch()
        return resident.fetched

    return run
