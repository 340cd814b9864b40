"""torchvision's v2 transforms on a GPU for who has his pictures on the host: there, augmented, and back as bytes."""

from typing import Any

import numpy as np

from benchmarks.peers import Run, fastest, gpu_torchvision_peer
from benchmarks.peers.on_device import travelling

TITLE = "torchvision v2, one draw a batch, from the host and back"
version = gpu_torchvision_peer.version


def make(pipeline: list[dict[str, Any]], images: np.ndarray, device: str = "cuda") -> Run:
    """From pinned memory into pinned memory."""
    changes = gpu_torchvision_peer.changes(pipeline)
    return fastest({name: travelling(change, images, device) for name, change in changes.items()})
