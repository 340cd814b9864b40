"""`RemoteDataLoader` on the same host, in memory that it lends, with an idle engine."""

from typing import Any

import numpy as np

from benchmarks.peers import Run
from benchmarks.peers.loader_idle_peer import AHEAD, end, repeated, version

__all__ = ["AHEAD", "TITLE", "end", "make", "version"]
TITLE = "augsvc on the same host, `RemoteDataLoader`, idle engine"


def make(pipeline: list[dict[str, Any]], images: np.ndarray) -> Run:
    """As it is when client and server share a Unix socket."""
    return repeated(pipeline, images, unix=True)
