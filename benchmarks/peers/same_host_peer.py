"""This package on the same host, in memory that the client lends, with an idle engine: `Stream.batch` of the same batch."""

from typing import Any

import numpy as np

from benchmarks.peers import Run
from benchmarks.peers.http_peer import end, one_by_one, version
from benchmarks.serving import served

__all__ = ["TITLE", "end", "make", "version"]
TITLE = "augsvc on the same host, `Stream.batch`, one request after the other"


def make(pipeline: list[dict[str, Any]], images: np.ndarray) -> Run:
    """As it is when client and server share a Unix socket."""
    return one_by_one(pipeline, served.Plan(images, repeat=True, unix=True))
