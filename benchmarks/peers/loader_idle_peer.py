"""`RemoteDataLoader` with an idle engine: an epoch of 32 batches again and again, all made before."""

from typing import Any

import numpy as np

from benchmarks.peers import Run
from benchmarks.peers.loader_peer import AHEAD, end, endless, version
from benchmarks.serving import served

__all__ = ["AHEAD", "TITLE", "end", "make", "version"]
TITLE = "augsvc, `RemoteDataLoader`, idle engine"
_BATCHES = 32


def make(pipeline: list[dict[str, Any]], images: np.ndarray) -> Run:
    """The first round computes."""
    n = len(images)
    run = endless(pipeline, n, served.Plan(images, samples=_BATCHES * n, repeat=True))
    for _ in range(_BATCHES):
        run()
    return run
