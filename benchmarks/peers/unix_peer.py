"""This package over HTTP on a Unix socket, with an idle engine: `Stream.batch` of the same batch."""

from typing import Any

import numpy as np

from benchmarks.peers import Run
from benchmarks.peers.http_peer import end, one_by_one, version
from benchmarks.serving import served

__all__ = ["TITLE", "end", "make", "version"]
TITLE = "augsvc on a Unix socket, `Stream.batch`, one request after the other"


def make(pipeline: list[dict[str, Any]], images: np.ndarray) -> Run:
    """In the place of a port."""
    return one_by_one(pipeline, served.Plan(images, repeat=True, unix=True))
