"""tf.data service as it is when nothing is said: with compression."""

from typing import Any

import numpy as np

from benchmarks.peers import Run
from benchmarks.peers.tf_service_peer import ahead, delivered, end, version

__all__ = ["TITLE", "ahead", "end", "make", "version"]
TITLE = "tf.data service, one worker, its default compression"


def make(pipeline: list[dict[str, Any]], images: np.ndarray) -> Run:
    """Over the service, compressed as it likes."""
    return delivered(pipeline, images, compression="AUTO")
