"""Kornia on a GPU as its users write it: `AugmentationSequential` over a batch that lies there; floats stay there."""

from typing import Any

import kornia.augmentation as K
import numpy as np

from benchmarks.peers import Run, kornia_peer, steps
from benchmarks.peers.on_device import Change, staying, to_floats

TITLE = "Kornia, `AugmentationSequential`"
version = kornia_peer.version


def change(pipeline: list[dict[str, Any]], device: str) -> Change:
    """Bytes to augmented floats."""
    augmentations = K.AugmentationSequential(*steps(kornia_peer.STEPS, pipeline), data_keys=["input"]).to(device)
    return lambda batch: augmentations(to_floats(batch))


def make(pipeline: list[dict[str, Any]], images: np.ndarray, device: str = "cuda") -> Run:
    """On the device."""
    return staying(change(pipeline, device), images, device)
