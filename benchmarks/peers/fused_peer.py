"""This package: what a server does with a batch once its samples are decoded, draws and cameras included."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache
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
from benchmarks.peers import Run

TITLE = "augsvc, `fused`, a thread a core"
_workers = ThreadPoolExecutor(cores())


def version() -> str:
    """Of this package."""
    return augsvc.__version__


@cache
def _executor() -> Executor:
    return open_executor("fused", torch.device("cpu"), default_folder())


def make(pipeline: list[dict[str, Any]], images: np.ndarray) -> Run:
    """The pipeline over the pictures: drawn anew for every batch, as it is served."""
    return over(pipeline, images, None)


def over(pipeline: list[dict[str, Any]], images: np.ndarray, masks: np.ndarray | None) -> Run:
    """The same, and masks (N, H, W) if there are any."""
    n, height, width, channels = images.shape
    plan = Plan.of(parse_pipeline(pipeline), Canvas(height, width, channels), "cover")
    samples = [
        Sample(image, 0, mask) for image, mask in zip(images, [None] * n if masks is None else masks, strict=True)
    ]
    arrays, addresses = {"image": np.empty((n, channels, height, width), np.uint8)}, iter(range(1 << 24))
    if masks is not None:
        arrays["mask"] = np.empty((n, height, width), np.uint8)

    def run() -> np.ndarray:
        address = Address(np.arange(n), next(addresses), 0)
        augment(samples, address, 1, plan, _executor(), arrays, _workers, lambda: None, Stages())
        return arrays["image"]

    return run
