"""This package without a server: the work of a batch once its samples are decoded, draws and cameras included."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

import augsvc
from augsvc.arrays import Sample
from augsvc.cpus import cores
from augsvc.data import builtin
from augsvc.executors.factory import open_executor
from augsvc.executors.protocol import Executor
from augsvc.numerics.color_statistics import ColorStatistics, read_statistics
from augsvc.numerics.geometry import Canvas
from augsvc.numerics.rng import Address
from augsvc.ops.pipeline import parse_pipeline
from augsvc.planning.image_plan import Plan
from augsvc.planning.spec import Output
from augsvc.settings import default_kernel_cache
from augsvc.streams.render_image import ImageRenderer
from augsvc.timing import Stages
from benchmarks.peers import Missing, Peer, Run, on_gpu
from benchmarks.recipes import SIZE, has_frame

_MASK_CLASSES = 8
_workers = ThreadPoolExecutor(cores())
RenderEpoch = Callable[
    [Executor, int], np.ndarray
]  # the batch of an epoch, uint8 in the layout, in memory that is reused
Layout = Literal["NCHW", "NHWC"]


@cache
def executor_on(device: str) -> Executor:
    """The `fused` executor."""
    return open_executor("fused", torch.device(device), default_kernel_cache())


@cache
def _colors() -> ColorStatistics:
    """Those of a built-in dataset."""
    return read_statistics(Path(builtin.__file__).parent / "fitted" / "photos.json")


def prepare(
    pipeline: list[dict[str, Any]], images: np.ndarray, with_masks: bool = False, layout: Layout = "NCHW"
) -> RenderEpoch:
    """Plans the pipeline over the images. Every epoch has its own draws."""
    n, channels = len(images), images.shape[3]
    height, width = (SIZE, SIZE) if has_frame(pipeline) else images.shape[1:3]
    plan = Plan.of(parse_pipeline(pipeline), Canvas(height, width, channels, _colors()), "cover")
    samples = [_sample(plan, image, with_masks) for image in images]
    if plan.images > 1:
        before = [[samples[index - 1 - k] for k in range(plan.images - 1)] for index in range(n)]
        samples = [
            replace(
                sample, tiles=tuple(others[: plan.tiles - 1]), partner=others[-1] if plan.images > plan.tiles else None
            )
            for sample, others in zip(samples, before, strict=True)
        ]
    row = (channels, height, width) if layout == "NCHW" else (height, width, channels)
    arrays = {"image": np.empty((n, *row), np.uint8)}
    if with_masks:
        arrays["mask"] = np.empty((n, height, width), np.uint8)

    def render(executor: Executor, epoch: int) -> np.ndarray:
        address = Address(np.arange(n), epoch, 0)
        renderer = ImageRenderer(plan, executor, Output(layout=layout), mask=with_masks)
        renderer.fill(samples, address, 1, arrays, _workers, lambda: None, Stages())
        return arrays["image"]

    return render


def _sample(plan: Plan, image: np.ndarray, with_mask: bool) -> Sample:
    """An image with the labels that the pipeline's frame looks at."""
    height, width = image.shape[:2]
    labels = plan.frame.labels if plan.frame else frozenset()
    box = np.array([[0.25 * width, 0.25 * height, 0.75 * width, 0.75 * height]], np.float32)
    return Sample(
        image,
        0,
        image[..., 0] // (256 // _MASK_CLASSES) if with_mask or "mask" in labels else None,
        boxes=box if "boxes" in labels else None,
        boxes_valid=np.ones(1, np.bool_) if "boxes" in labels else None,
        keypoints=box.reshape(2, 2) if "keypoints" in labels else None,
        keypoints_valid=np.ones(2, np.bool_) if "keypoints" in labels else None,
    )


def make(pipeline: list[dict[str, Any]], images: np.ndarray, with_masks: bool = False) -> Run:
    """On the CPU, channels last as the peers have them."""
    render, epochs = prepare(pipeline, images, with_masks, "NHWC"), iter(range(1 << 24))
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
