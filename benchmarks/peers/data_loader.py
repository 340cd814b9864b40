"""JPEG files through torch's `DataLoader`: a worker a core, which persist; images cross as bytes, and become floats here."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from augsvc.cpus import cores
from benchmarks.peers import Run
from benchmarks.recipes import BATCH

LoadFunction = Callable[[str], torch.Tensor]  # of a path: an augmented image, uint8 (3, H, W)


class Files(Dataset[torch.Tensor]):
    """The files below a folder."""

    def __init__(self, folder: str, load: LoadFunction) -> None:
        self._paths = sorted(map(str, Path(folder).rglob("*.jpg")))
        self._load = load

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self._load(self._paths[index])


def epochs(folder: str, load: LoadFunction, start_worker: Callable[[int], None] | None = None) -> Run:
    """A run is an epoch in batches of floats in [-1, +1], and returns the last one."""
    torch.set_num_threads(1)
    loader = DataLoader(
        Files(folder, load), BATCH, shuffle=True, drop_last=True, num_workers=cores(), persistent_workers=True,
        worker_init_fn=start_worker,
    )  # fmt: skip

    def run() -> np.ndarray:
        for batch in loader:
            floats: torch.Tensor = batch.float().mul_(2.0).div_(255.0).sub_(1.0)
        return floats.numpy()

    return run
