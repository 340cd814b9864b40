"""This package over files: `RemoteDataLoader` from the server of serving/served.py, without a cache, and from both."""

import tempfile
from functools import partial
from typing import Any

import numpy as np
import torch

import augsvc
from augsvc_client import RemoteDataLoader
from benchmarks.peers import Peer, Run
from benchmarks.recipes import BATCH, SIZE
from benchmarks.serving import served

_UNUSED = np.zeros((1, 1, 1, 3), np.uint8)  # of the dataset in memory


def _make(pipeline: list[dict[str, Any]], folder: str, cache_bytes: int = 0, on_disk: bool = False) -> Run:
    """A run is an epoch in batches of floats in [-1, +1], and returns the last one."""
    torch.set_num_threads(1)
    datasets = {"files": {"format": "image_folder", "path": folder}}
    settings: dict[str, object] = {"cache_bytes": cache_bytes, "datasets": datasets}
    if on_disk:
        settings["disk_cache"] = tempfile.mkdtemp(dir=folder, prefix=".")
    server = served.serve(served.Plan(_UNUSED, settings=settings))
    server.wait_until_idle()
    loader = server.closing(
        RemoteDataLoader(server.url, dataset="files", pipeline=pipeline, size=[SIZE, SIZE], batch_size=BATCH)
    )

    def run() -> np.ndarray:
        for batch in loader:
            floats: torch.Tensor = batch["image"]
        return floats.numpy()

    return run


PEERS = {
    name: Peer(title, lambda: augsvc.__version__, make, works_ahead=True, close=served.close)
    for name, title, make in (
        ("files", "augsvc", _make),
        ("files_cached", "augsvc, from its cache", partial(_make, cache_bytes=4 << 30)),
        ("files_on_disk", "augsvc, from its cache on disk", partial(_make, on_disk=True)),
    )
}
