"""Kornia under `torch.compile`, in the modes that its users try: the one that works and is fastest counts."""

from typing import Any

import numpy as np
import torch

from benchmarks.peers import Missing, Run, fastest, gpu_kornia_peer
from benchmarks.peers.on_device import staying

TITLE = "Kornia under `torch.compile`"
MODES: list[dict[str, str]] = [{"mode": "default"}, {"mode": "reduce-overhead"}]
version = gpu_kornia_peer.version


def make(pipeline: list[dict[str, Any]], images: np.ndarray, device: str = "cuda") -> Run:
    """On the device; what it compiles, and compiles again, comes before the clock.

    Raises:
        Missing: no mode works.
    """
    works, whys = {}, []
    for mode in MODES:
        torch.compiler.reset()
        try:
            compiled = torch.compile(gpu_kornia_peer.change(pipeline, device), **mode)
            run = staying(compiled, images, device)
            run()
            works[str(mode)] = run
        except Missing:
            raise
        except Exception as err:  # whatever a compiler says
            whys.append(f"{mode}: {type(err).__name__}")
    if not works:
        raise Missing("cannot be compiled: " + ", ".join(whys))
    return fastest(works)
