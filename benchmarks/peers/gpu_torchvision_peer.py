"""torchvision's v2 transforms on a GPU, over a whole batch: one draw for all pictures of it, which is less than the others do."""

from typing import Any

import numpy as np

from benchmarks.peers import Run, fastest, steps, torchvision_peer
from benchmarks.peers.on_device import Change, staying, to_floats
from benchmarks.peers.torchvision_peer import v2  # loaded there, with what it needs

TITLE = "torchvision v2, one draw a batch"
version = torchvision_peer.version


def changes(pipeline: list[dict[str, Any]]) -> dict[str, Change]:
    """On bytes, as its authors advise, and on floats, which a GPU may prefer."""
    transforms = v2.Compose(steps(torchvision_peer.STEPS, pipeline))
    return {"bytes": transforms, "floats": lambda batch: transforms(to_floats(batch))}


def make(pipeline: list[dict[str, Any]], images: np.ndarray, device: str = "cuda") -> Run:
    """On the device."""
    return fastest({name: staying(change, images, device) for name, change in changes(pipeline).items()})
