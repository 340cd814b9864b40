"""Renders decoded images through a plan: pixels by the executor, labels through the same cameras, into the memory of the batch.

samples → draws → cameras → executor.render, executor.move_masks → bytes
                     └────→ boxes, keypoints
"""

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor as Workers
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from augsvc.arrays import F32, F64, I64, Arrays, Bools, Pixels, Sample, ranges, required
from augsvc.executors.protocol import Executor
from augsvc.numerics.geometry import Camera, Canvas
from augsvc.numerics.rng import Address
from augsvc.ops.kinds.image import EDGE, Sources
from augsvc.ops.operation import Draw
from augsvc.planning.image_plan import Plan
from augsvc.planning.labels import Boxes, Keypoints, Moves, move_boxes, move_keypoints
from augsvc.planning.spec import Output
from augsvc.streams.output import BYTES, apply_tables, output_tables
from augsvc.timing import Stages
from augsvc_client.wire import TensorSpec

LABEL_ROWS = (
    1 << 15
)  # boxes or keypoints between two checks: 54 ms a move for boxes; their corners as float64 take 2 MB
_MAX_DRAWS = 1 << 13  # samples times operations of one thread: the tables of 64 tones take 80 MB


@dataclass(frozen=True, slots=True, eq=False)
class ImageRenderer:
    """Renders the batches of an image stream, or of pushed images."""

    plan: Plan
    executor: Executor
    output: Output
    mask: bool  # whether samples have masks
    flip_order: I64 | None = None  # of the keypoints of mirrored images
    is_deep: bool = False  # whether sources are values of 16 bits

    @property
    def tensors(self) -> dict[str, TensorSpec]:
        """The rendered tensors of one sample."""
        canvas = self.plan.canvas
        size, channels = (canvas.height, canvas.width), canvas.channels
        row = (channels, *size) if self.output.layout == "NCHW" else (*size, channels)
        tensors = {"image": TensorSpec(self.output.dtype, row)}
        return tensors | ({"mask": TensorSpec("uint8", size)} if self.mask else {})

    def plain(self) -> "ImageRenderer":
        """The same renderer without operations."""
        return replace(self, plan=Plan.of((), self.plan.canvas, self.plan.fit))

    def for_display(self) -> "ImageRenderer":
        """The same renderer with uint8 N,H,W,C output."""
        return replace(self, output=Output(layout="NHWC"))

    @property
    def rows(self) -> int:
        """The number of samples to render together, over all threads."""
        canvas = self.plan.canvas
        most = self.executor.rows(canvas.channels * canvas.height * canvas.width)
        return self.executor.threads * max(1, min(most, _MAX_DRAWS // max(1, len(self.plan.operations))))

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
        """Fills `image` and every label in `arrays`, in parallel chunks on the executor's threads.

        `check` is called regularly, from several threads, and cancels the work by raising.
        """
        # drawn for all samples together: 8 take the interpreter as long as 64, and chunks would wait for it in turns
        with stages.of("draw"):
            draws = self.plan.draw(seed, address)
            cameras = self._cameras(samples, draws)
        tables = output_tables(self.output, self.plan.canvas.channels, self.is_deep)
        chunks = list(ranges(len(samples), -(-len(samples) // self.executor.threads)))
        chunk_stages = stages.among(len(chunks))

        def fill_chunk(rows: slice) -> None:
            chunk = {name: array[rows] for name, array in arrays.items()}
            chunk_draws = [draw.take(rows) for draw in draws]
            chunk_cameras = [camera and camera.take(rows) for camera in cameras]
            self._fill_chunk(samples[rows], chunk_cameras, chunk_draws, chunk, check, chunk_stages, tables)

        list(workers.map(fill_chunk, chunks))

    def _cameras(self, samples: Sequence[Sample], draws: Sequence[Draw]) -> list[Camera | None]:
        """The camera of each pass; one that fits the source to the canvas depends on the size of each image."""
        canvas = (self.plan.canvas.height, self.plan.canvas.width)
        sizes = [required(sample.image).shape[:2] for sample in samples]
        sources = self._sources(samples, sizes)
        canvases = [canvas] * len(samples)
        return [self.plan.cameras(step, draws, sizes if step.fits else canvases, sources) for step in self.plan.passes]

    def _sources(self, samples: Sequence[Sample], sizes: Sequence[tuple[int, int]]) -> Sources:
        """What the frame may look at."""
        labels: Collection[str] = self.plan.frame.labels if self.plan.frame else ()
        sources = Sources(np.array(sizes, dtype=np.int64))
        if "mask" in labels:
            sources = replace(sources, masks=[required(sample.mask) for sample in samples])
        if "boxes" in labels:
            boxes, valid = _finite(
                [required(sample.boxes) for sample in samples], [required(sample.boxes_valid) for sample in samples]
            )
            sources = replace(sources, boxes=boxes, boxes_valid=valid)
        if "keypoints" in labels:
            points, valid = _finite(
                [required(sample.keypoints) for sample in samples],
                [required(sample.keypoints_valid) for sample in samples],
            )
            sources = replace(sources, keypoints=points, keypoints_valid=valid)
        return sources

    def _fill_chunk(
        self,
        samples: Sequence[Sample],
        cameras: Sequence[Camera | None],
        draws: Sequence[Draw],
        arrays: Arrays,
        check: Callable[[], None],
        stages: Stages,
        tables: npt.NDArray[Any] | None,
    ) -> None:
        plan, executor = self.plan, self.executor
        image = arrays["image"] if self.output.layout == "NCHW" else arrays["image"].transpose(0, 3, 1, 2)
        pixels = image
        if tables is not None:
            pixels = np.empty(image.shape, np.uint8 if tables.shape[1] == BYTES else np.uint16)
        with stages.of("kernels"):
            images = [with_channels(required(sample.image), plan.canvas.channels) for sample in samples]
            keys = [sample.key for sample in samples]
            executor.render(plan, images, cameras, draws, pixels, check, keys)
            moves = [
                (camera, step.padding or EDGE) for camera, step in zip(cameras, plan.passes, strict=True) if camera
            ]
            if "mask" in arrays:
                executor.move_masks([required(sample.mask) for sample in samples], moves, arrays["mask"], check, keys)
        with stages.of("encode"):
            if tables is not None:
                apply_tables(pixels, tables, image)
            move_labels(samples, moves, plan.canvas, arrays, check)
            if self.flip_order is not None:
                swap_keypoints(moves, self.flip_order, arrays)


def _finite(rows: Sequence[F32], valid: Sequence[Bools]) -> tuple[F64, Bools]:
    """Boxes or keypoints of samples, stacked; a row with a coordinate that is not a number is not valid."""
    values = np.stack(rows).astype(np.float64)
    finite = np.asarray(np.isfinite(values).all(axis=2))
    return np.where(finite[..., None], values, 0.0), np.stack(valid) & finite


def move_labels(
    samples: Sequence[Sample], moves: Moves, canvas: Canvas, arrays: Arrays, check: Callable[[], None]
) -> None:
    """Fills the rows of `boxes` and `keypoints`, LABEL_ROWS boxes or keypoints at a time, with a check for each move."""
    for rows, columns in _tiles(arrays.get("boxes")):
        corners = np.stack([required(sample.boxes)[columns] for sample in samples[rows]]).astype(np.float64)
        boxes = Boxes.of(corners, np.stack([required(sample.boxes_valid)[columns] for sample in samples[rows]]))
        for camera, _ in moves:
            check()
            boxes = move_boxes(boxes, camera.forward[rows], canvas)
        arrays["boxes"][rows, columns], arrays["boxes_valid"][rows, columns] = boxes.on(canvas), boxes.valid
    for rows, columns in _tiles(arrays.get("keypoints")):
        points = np.stack([required(sample.keypoints)[columns] for sample in samples[rows]]).astype(np.float64)
        valid = np.stack([required(sample.keypoints_valid)[columns] for sample in samples[rows]])
        keypoints = Keypoints(points, valid)
        for camera, _ in moves:
            check()
            keypoints = move_keypoints(keypoints, camera.forward[rows], canvas)
        arrays["keypoints"][rows, columns], arrays["keypoints_valid"][rows, columns] = keypoints.points, keypoints.valid


def swap_keypoints(moves: Moves, order: I64, arrays: Arrays) -> None:
    """Brings the rows into `order` in samples that are mirrored: by a flip along either axis, not by both."""
    mirrored = np.logical_xor.reduce([camera.mirrors for camera, _ in moves])
    for name in arrays.keys() & {"keypoints", "keypoints_valid", "keypoint_rows"}:
        arrays[name][mirrored] = arrays[name][mirrored][:, order]


def _tiles(labels: npt.NDArray[Any] | None) -> list[tuple[slice, slice]]:
    """Labels (N, M, …) in tiles of at most LABEL_ROWS; none without labels."""
    if labels is None:
        return []
    n, m = labels.shape[:2]
    columns = ranges(m, LABEL_ROWS)
    return [(rows, some) for rows in ranges(n, max(1, LABEL_ROWS // max(1, m))) for some in columns]


def with_channels(image: Pixels, channels: int) -> Pixels:
    """Converts pixels (H, W, C) to 1 or 3 channels: grey is repeated, colour becomes Rec. 601 luma (16-bit fixed point)."""
    if image.shape[2] == channels:
        return image
    if channels == 3:
        return np.repeat(image, 3, axis=2)
    wide = image.astype(np.uint32)  # 65,280 · 2^16 fits 32 bits
    luma = (wide[..., 0] * 19595 + wide[..., 1] * 38470 + wide[..., 2] * 7471 + 32768) >> 16
    return luma.astype(image.dtype)[..., None]
