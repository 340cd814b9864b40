"""This package over files: `RemoteDataLoader` from the server of serving/served.py, without a cache and from it."""

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


def _make(pipeline: list[dict[str, Any]], folder: str, cache_bytes: int) -> Run:
    """A run is an epoch in batches of floats in [-1, +1], and returns the last one."""
    torch.set_num_threads(1)
    datasets = {"files": {"format": "image_folder", "path": folder}}
    server = served.serve(served.Plan(_UNUSED, settings={"cache_bytes": cache_bytes, "datasets": datasets}))
    server.wait_until_idle()
    loader = server.closing(
        RemoteDataLoader(server.url, dataset="files", pipeline=pipeline, size=[SIZE, SIZE], batch_size=BATCH)
    )

    def run() -> np.ndarray:
        for batch in loader:
            floats = batch["image"]
        return floats.numpy()

    return run


PEERS = {
    name: Peer(title, lambda: augsvc.__version__, partial(_make, cache_bytes=n), works_ahead=True, close=served.close)
    for name, title, n in (("files", "augsvc", 0), ("files_cached", "augsvc, from its cache", 4 << 30))
}
