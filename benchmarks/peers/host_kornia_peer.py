"""Kornia on a GPU for who has his pictures on the host: there, augmented, and back as bytes."""

from typing import Any

import numpy as np

from benchmarks.peers import Run, gpu_kornia_peer
from benchmarks.peers.on_device import travelling

TITLE = "Kornia, from the host and back"
version = gpu_kornia_peer.version


def make(pipeline: list[dict[str, Any]], images: np.ndarray, device: str = "cuda") -> Run:
    """From pinned memory into pinned memory."""
    return travelling(gpu_kornia_peer.change(pipeline, device), images, device)
