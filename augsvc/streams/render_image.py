"""Decoded samples through a plan: pixels by the executor, labels through the same cameras, into a batch's own memory.

samples → draws → cameras → executor.render, executor.move_masks → bytes
                     └────→ boxes, keypoints
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor as Workers
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from augsvc.arrays import U8, Arrays, Sample, ranges, required
from augsvc.executors.protocol import Executor
from augsvc.numerics.geometry import Camera, Canvas
from augsvc.numerics.rng import Address
from augsvc.ops.operation import Draw
from augsvc.planning.image_plan import Plan
from augsvc.planning.labels import Boxes, Keypoints, Moves, move_boxes, move_keypoints
from augsvc.planning.spec import Output
from augsvc.streams.output import output_tables, write_floats
from augsvc.timing import Stages
from augsvc_client.wire import TensorSpec


def augment(
    samples: Sequence[Sample],
    address: Address,
    seed: int,
    plan: Plan,
    executor: Executor,
    arrays: Arrays,
    workers: Workers,
    check: Callable[[], None],
    stages: Stages,
    tables: npt.NDArray[Any] | None = None,
) -> None:
    """Fills the rows of `image` and of every label that `arrays` has, in ranges side by side on the executor's threads.

    `arrays["image"]` is N,C,H,W (it may be a view of N,H,W,C), uint8, or what `tables` (C, 256) hold. The samples' draws are
    those of the address. `check` is called now and then, from several threads, and ends the work by raising.
    """

    # drawn for all at once: a range of 8 alone takes the interpreter as long as 64, and ranges wait for it in turns
    with stages.of("draw"):
        draws = plan.draw(seed, address)
        canvas = (plan.canvas.height, plan.canvas.width)
        sizes = [required(sample.image).shape[:2] for sample in samples]
        cameras = [plan.cameras(part, draws, sizes if part.fits else [canvas] * len(sizes)) for part in plan.passes]
    parts = list(ranges(len(samples), -(-len(samples) // executor.threads)))
    share = stages.among(len(parts))

    def some(part: slice) -> None:
        rows = {name: array[part] for name, array in arrays.items()}
        drawn, seen = [draw.part(part) for draw in draws], [camera and camera.part(part) for camera in cameras]
        _augment(samples[part], plan, executor, seen, drawn, rows, check, share, tables)

    list(workers.map(some, parts))


@dataclass(frozen=True, slots=True, eq=False)
class ImageRenderer:
    """What a stream of pictures, or a push of them, computes its batches with."""

    plan: Plan
    executor: Executor
    output: Output
    mask: bool  # whether samples have one

    @property
    def tensors(self) -> dict[str, TensorSpec]:
        """What it makes of a sample's pixels."""
        canvas = self.plan.canvas
        size, channels = (canvas.height, canvas.width), canvas.channels
        row = (channels, *size) if self.output.layout == "NCHW" else (*size, channels)
        found = {"image": TensorSpec(self.output.dtype, row)}
        return found | ({"mask": TensorSpec("uint8", size)} if self.mask else {})

    def plain(self) -> "ImageRenderer":
        """The same without operations."""
        return replace(self, plan=Plan.of((), self.plan.canvas, self.plan.fit))

    def for_display(self) -> "ImageRenderer":
        """The same in bytes, N,H,W,C."""
        return replace(self, output=Output(layout="NHWC"))

    @property
    def rows(self) -> int:
        """How many samples should be run at once, on all threads together."""
        canvas = self.plan.canvas
        return self.executor.threads * self.executor.rows(canvas.channels * canvas.height * canvas.width)

    def fill(
        self,
        samples: Sequence[Sample],
        address: Address,
        seed: int,
        arrays: Arrays,
        workers: Workers,
        check: Callable[[], None],
        stages: Stages,
    ) -> None:
        """Fills the rows of `image` and of every label that `arrays` has; `check` ends the work by raising."""
        image = arrays["image"] if self.output.layout == "NCHW" else arrays["image"].transpose(0, 3, 1, 2)
        tables = None if self.output.dtype == "uint8" else output_tables(self.output, self.plan.canvas.channels)
        rows = {**arrays, "image": image}
        augment(samples, address, seed, self.plan, self.executor, rows, workers, check, stages, tables)


def _augment(
    samples: Sequence[Sample],
    plan: Plan,
    executor: Executor,
    cameras: Sequence[Camera | None],
    draws: Sequence[Draw],
    arrays: Arrays,
    check: Callable[[], None],
    stages: Stages,
    tables: npt.NDArray[Any] | None,
) -> None:
    image = arrays["image"]
    pixels = image if tables is None else np.empty(image.shape, dtype=np.uint8)
    with stages.of("kernels"):
        images = [with_channels(required(sample.image), plan.canvas.channels) for sample in samples]
        keys = [sample.key for sample in samples]
        executor.render(plan, images, cameras, draws, pixels, check, keys)
        moves = [(camera, part.border or "edge") for camera, part in zip(cameras, plan.passes, strict=True) if camera]
        if "mask" in arrays:
            executor.move_masks([required(sample.mask) for sample in samples], moves, arrays["mask"], check, keys)
    with stages.of("encode"):
        if tables is not None:
            write_floats(pixels, tables, image)
        _move_labels(samples, moves, plan.canvas, arrays)


def _move_labels(samples: Sequence[Sample], moves: Moves, canvas: Canvas, arrays: Arrays) -> None:
    if "boxes" in arrays:
        corners = np.stack([required(sample.boxes) for sample in samples]).astype(np.float64)
        boxes = Boxes.of(corners, np.stack([required(sample.boxes_valid) for sample in samples]))
        for camera, _ in moves:
            boxes = move_boxes(boxes, camera.forward, canvas)
        arrays["boxes"][:], arrays["boxes_valid"][:] = boxes.on(canvas), boxes.valid
    if "keypoints" in arrays:
        points = np.stack([required(sample.keypoints) for sample in samples]).astype(np.float64)
        keypoints = Keypoints(points, np.stack([required(sample.keypoints_valid) for sample in samples]))
        for camera, _ in moves:
            keypoints = move_keypoints(keypoints, camera.forward, canvas)
        arrays["keypoints"][:], arrays["keypoints_valid"][:] = keypoints.points, keypoints.valid


def with_channels(image: U8, channels: int) -> U8:
    """Pixels (H, W, C) with 1 or 3 channels: grey repeated, colour to Rec. 601 luma (in 16-bit fixed point)."""
    if image.shape[2] == channels:
        return image
    if channels == 3:
        return np.repeat(image, 3, axis=2)
    wide = image.astype(np.uint32)
    luma = (wide[..., 0] * 19595 + wide[..., 1] * 38470 + wide[..., 2] * 7471 + 32768) >> 16
    return luma.astype(np.uint8)[..., None]
