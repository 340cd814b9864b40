"""This package over pictures with masks."""

from typing import Any

import numpy as np

from benchmarks.peers import Run, fused_peer

TITLE = "augsvc, `fused`, with masks"
version = fused_peer.version


def make(pipeline: list[dict[str, Any]], images: np.ndarray) -> Run:
    """The pipeline over the pictures, a mask of 8 classes beside each."""
    return fused_peer.over(pipeline, images, images[..., 0] // 32)
