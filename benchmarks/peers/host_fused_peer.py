"""This package on a GPU as a server uses it: `augment`, draws and cameras included, bytes in the batch's own memory."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

import augsvc
from augsvc.arrays import Sample
from augsvc.cpus import cores
from augsvc.executors.factory import open_executor
from augsvc.executors.fused.kernel_cache import default_folder
from augsvc.executors.protocol import Executor
from augsvc.numerics.geometry import Canvas
from augsvc.numerics.rng import Address
from augsvc.ops.pipeline import parse_pipeline
from augsvc.planning.image_plan import Plan
from augsvc.streams.render_image import augment
from augsvc.timing import Stages
from benchmarks.peers import Missing, Run
from benchmarks.peers.on_device import GROUP

TITLE = "augsvc, `fused`, as served, from the host and back"
_workers = ThreadPoolExecutor(cores())


def version() -> str:
    """Of this package."""
    return augsvc.__version__


def make(pipeline: list[dict[str, Any]], images: np.ndarray, device: str = "cuda") -> Run:
    """Sources are sent with every batch, drawn anew.

    Raises:
        Missing: the bytes are not those of the CPU: what is wrong has no speed.
    """
    n, height, width, channels = images.shape
    plan = Plan.of(parse_pipeline(pipeline), Canvas(height, width, channels), "cover")
    samples = [Sample(image, 0) for image in images]
    addresses = iter(range(1, 1 << 24))

    def batch(executor: Executor, epoch: int, out: np.ndarray) -> np.ndarray:
        address = Address(np.arange(n), epoch, 0)
        augment(samples, address, 1, plan, executor, {"image": out}, _workers, lambda: None, Stages())
        return out

    fused = open_executor("fused", torch.device(device), default_folder())
    reference = open_executor("fused", torch.device("cpu"), default_folder())
    out, expected = (np.empty((n, channels, height, width), np.uint8) for _ in range(2))
    if not np.array_equal(batch(fused, 0, out), batch(reference, 0, expected)):
        raise Missing("its bytes are not the CPU's")

    def run() -> np.ndarray:
        for _ in range(GROUP):
            batch(fused, next(addresses), out)
        return out

    return run
