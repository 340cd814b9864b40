"""This package without a server: the work of a batch once its samples are decoded, draws and cameras included."""

from collections.abc import Callable
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
from augsvc.planning.spec import Output
from augsvc.streams.render_image import ImageRenderer
from augsvc.timing import Stages
from benchmarks.peers import Missing, Peer, Run, on_gpu

_MASK_CLASSES = 8
_workers = ThreadPoolExecutor(cores())
RenderEpoch = Callable[
    [Executor, int], np.ndarray
]  # the batch of an epoch, uint8 (N, C, H, W), in memory that is reused


@cache
def executor_on(device: str) -> Executor:
    """The `fused` executor."""
    return open_executor("fused", torch.device(device), default_folder())


def prepare(pipeline: list[dict[str, Any]], images: np.ndarray, with_masks: bool = False) -> RenderEpoch:
    """Plans the pipeline over the images. Every epoch has its own draws."""
    n, height, width, channels = images.shape
    plan = Plan.of(parse_pipeline(pipeline), Canvas(height, width, channels), "cover")
    masks = images[..., 0] // (256 // _MASK_CLASSES) if with_masks else [None] * n
    samples = [Sample(image, 0, mask) for image, mask in zip(images, masks, strict=True)]
    arrays = {"image": np.empty((n, channels, height, width), np.uint8)}
    if with_masks:
        arrays["mask"] = np.empty((n, height, width), np.uint8)

    def render(executor: Executor, epoch: int) -> np.ndarray:
        address = Address(np.arange(n), epoch, 0)
        renderer = ImageRenderer(plan, executor, Output(), mask=with_masks)
        renderer.fill(samples, address, 1, arrays, _workers, lambda: None, Stages())
        return arrays["image"]

    return render


def make(pipeline: list[dict[str, Any]], images: np.ndarray, with_masks: bool = False) -> Run:
    """On the CPU."""
    render, epochs = prepare(pipeline, images, with_masks), iter(range(1 << 24))
    return lambda: render(executor_on("cpu"), next(epochs))


def make_on_gpu(pipeline: list[dict[str, Any]], images: np.ndarray) -> Run:
    """As a server with a GPU does it: sources are uploaded with every batch, bytes come back into the batch's memory.

    Raises:
        Missing: the bytes differ from the CPU's.
    """
    render, epochs = prepare(pipeline, images), iter(range(1, 1 << 24))
    executor = executor_on(on_gpu.DEVICE)
    expected = render(executor_on("cpu"), 0).copy()
    if not np.array_equal(render(executor, 0), expected):
        raise Missing("its bytes differ from the CPU's")

    def run() -> np.ndarray:
        for _ in range(on_gpu.GROUP):
            batch = render(executor, next(epochs))
        return batch

    return run


def version() -> str:
    """This package's."""
    return augsvc.__version__


PEERS = {
    "fused": Peer("augsvc, `fused`, a thread a core", version, make),
    "fused_masks": Peer(
        "augsvc, `fused`, with masks", version, lambda pipeline, images: make(pipeline, images, with_masks=True)
    ),
    "host_fused": Peer("augsvc, `fused`, as served, from the host and back", version, make_on_gpu),
}
