"""The way of the data, on one page.

    address → order → source → decode → draw → plan.run → encode → wire

A stream is a specification made ready over one dataset. `produce` gives a batch's bytes from its address alone: nothing
is remembered between two calls, so any replica, after any restart, in any order, gives the same.
"""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import Executor as Workers
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np

from augsvc.batch import I64, U8, Arrays, Sample
from augsvc.errors import Cancelled, DatasetUnreadable, PastTheEnd, SpecInvalid, Undecodable
from augsvc.executors.kornia import KorniaExecutor
from augsvc.geometry import Camera, Canvas
from augsvc.labels import Boxes, Keypoints, move_boxes, move_keypoints, move_mask
from augsvc.order import Order
from augsvc.pipeline import operation_id
from augsvc.plan import Plan
from augsvc.rng import MAX_EPOCHS, SUBSET_KEY, Address, philox4x32, seed_key
from augsvc.sources.base import Source
from augsvc.spec import StreamSpec
from augsvc_client.wire import Layout, TensorSpec

T = TypeVar("T")
MAX_TRIES = 64  # of samples in a row that cannot be decoded


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """One batch as it is sent, and how many of its samples were replaced."""

    buffer: U8
    samples: int
    replaced: int


@dataclass(frozen=True, eq=False)
class Stream:
    """A specification made ready. Everything in it is a constant; it may be used from several threads."""

    spec: StreamSpec  # filled
    source: Source
    plan: Plan
    executor: KorniaExecutor
    members: I64 | None  # of the subset, ascending
    arithmetic: str = ""

    @staticmethod
    def open(spec: StreamSpec, source: Source, executor: KorniaExecutor) -> "Stream":
        """Makes a specification ready; its arithmetic id is still to be set (`with_arithmetic`)."""
        info = source.info
        spec = spec.filled(info.size, info.channels)
        height, width = spec.canvas_size
        plan = Plan.of(spec.pipeline, Canvas(height, width, spec.channels or info.channels), spec.fit)
        members = None
        if spec.subset:
            members = subset_members(source.labels(), len(info.classes), spec.subset.per_class, spec.subset.seed)
        return Stream(spec, source, plan, executor, members)

    def with_arithmetic(self, arithmetic: str) -> "Stream":
        """The same stream with its arithmetic id, which its own id depends on."""
        return replace(self, arithmetic=arithmetic)

    @property
    def samples(self) -> int:
        """The length of an epoch."""
        return len(self.source) if self.members is None else len(self.members)

    @cached_property
    def id(self) -> str:
        """The first 32 hex digits of SHA-256(canonical form ‖ dataset version ‖ arithmetic id)."""
        parts = (self.spec.canonical(), self.source.info.version.encode(), self.arithmetic.encode())
        return hashlib.sha256(b"".join(parts)).hexdigest()[:32]

    @cached_property
    def layout(self) -> Layout:
        """Names, dtypes and shapes of a batch's tensors, and where they lie in its bytes."""
        canvas, info = self.plan.canvas, self.source.info
        planar = (canvas.channels, canvas.height, canvas.width)
        tensors = {
            "image": TensorSpec("uint8", planar if self.spec.output.layout == "NCHW" else (*planar[1:], planar[0])),
            "label": TensorSpec("int64", ()),
            "index": TensorSpec("int64", ()),
            "valid": TensorSpec("bool", ()),
        }
        if info.mask:
            tensors["mask"] = TensorSpec("uint8", planar[1:])
        if info.boxes:
            tensors["boxes"] = TensorSpec("float32", (info.boxes, 4))
            tensors["box_labels"] = TensorSpec("int64", (info.boxes,))
            tensors["boxes_valid"] = TensorSpec("bool", (info.boxes,))
        if info.keypoints:
            tensors["keypoints"] = TensorSpec("float32", (info.keypoints, 2))
            tensors["keypoints_valid"] = TensorSpec("bool", (info.keypoints,))
        return Layout(tensors, self.id)

    def indices(self, epoch: int, start: int, count: int) -> I64:
        """The samples at positions start … start + count − 1 of the epoch's order; fewer at the end.

        Raises:
            SpecInvalid: an epoch out of range.
            PastTheEnd: start is at or past the end.
        """
        if not 0 <= epoch < MAX_EPOCHS:
            raise SpecInvalid("an epoch is an integer from 0 to 2^24 - 1", field="epoch")
        if start >= self.samples:
            raise PastTheEnd(f"the epoch has {self.samples} samples", field="start")
        positions = np.arange(start, min(start + count, self.samples), dtype=np.int64)
        places = Order(self.samples, self.spec.order_seed, epoch, self.spec.shuffle).indices(positions)
        return places if self.members is None else self.members[places]

    def produce(
        self, epoch: int, start: int, count: int, view: int, workers: Workers, wanted: Callable[[], bool]
    ) -> Body:
        """The bytes of one batch. When nobody is `wanted` any more, work stops.

        Raises:
            PastTheEnd, SpecInvalid: the address does not exist.
            DatasetUnavailable, DatasetUnreadable: the samples cannot be had now.
            Cancelled: nobody wants the answer any more.
        """
        indices = self.indices(epoch, start, count)
        buffer, arrays = self.layout.allocate(len(indices))
        canvas, threads = self.plan.canvas, self.executor.threads
        rows = self.executor.rows(canvas.channels * canvas.height * canvas.width)
        for slab in ranges(len(indices), threads * rows):  # decoded pictures may be far larger than the canvas
            if not wanted():
                raise Cancelled
            self._slab(Address(indices[slab], epoch, view), rows_of(arrays, slab), workers)
        self.layout.seal(buffer, len(indices), epoch=epoch, start=start)
        return Body(buffer, len(indices), int((~arrays["valid"]).sum()))

    def _slab(self, address: Address, arrays: Arrays, workers: Workers) -> None:
        """Some of a batch's samples: decoded in parallel, then augmented in ranges side by side."""
        found = list(workers.map(self._readable, address.indices.tolist()))
        arrays["index"][:] = address.indices
        arrays["valid"][:] = np.array([place for _, place in found]) == address.indices
        samples = [sample for sample, _ in found]

        def augment(part: slice) -> None:
            self._augment(samples[part], address.part(part), rows_of(arrays, part))

        list(workers.map(augment, ranges(len(samples), -(-len(samples) // self.executor.threads))))

    def _augment(self, samples: Sequence[Sample], address: Address, arrays: Arrays) -> None:
        """Some of a batch's samples, into their part of its memory."""
        plan = self.plan
        draws = plan.draw(self.spec.aug_seed, address)
        canvas = (plan.canvas.height, plan.canvas.width)
        sizes = [(sample.image.shape[0], sample.image.shape[1]) for sample in samples]
        cameras = [plan.cameras(part, draws, sizes if part.fits else [canvas] * len(sizes)) for part in plan.passes]
        images = [with_channels(sample.image, plan.canvas.channels) for sample in samples]
        pixels = self.executor.run(plan, images, cameras, draws)
        self.executor.encode(pixels, arrays["image"], self.spec.output.layout)
        arrays["label"][:] = [sample.label for sample in samples]
        moves = [(camera, part.border or "edge") for camera, part in zip(cameras, plan.passes, strict=True) if camera]
        if "mask" in arrays:
            for row, sample in enumerate(samples):
                mask = required(sample.mask)
                for camera, border in moves:
                    mask = move_mask(mask, camera.backward[row], border, plan.canvas)
                arrays["mask"][row] = mask
        self._move_points(samples, [camera for camera, _ in moves], arrays)

    def _move_points(self, samples: Sequence[Sample], cameras: Sequence[Camera], arrays: Arrays) -> None:
        if "boxes" in arrays:
            corners = np.stack([required(sample.boxes) for sample in samples]).astype(np.float64)
            boxes = Boxes.of(corners, np.stack([required(sample.boxes_valid) for sample in samples]))
            for camera in cameras:
                boxes = move_boxes(boxes, camera.forward, self.plan.canvas)
            arrays["boxes"][:], arrays["boxes_valid"][:] = boxes.on(self.plan.canvas), boxes.valid
            arrays["box_labels"][:] = np.stack([required(sample.box_labels) for sample in samples])
        if "keypoints" in arrays:
            points = np.stack([required(sample.keypoints) for sample in samples]).astype(np.float64)
            keypoints = Keypoints(points, np.stack([required(sample.keypoints_valid) for sample in samples]))
            for camera in cameras:
                keypoints = move_keypoints(keypoints, camera.forward, self.plan.canvas)
            arrays["keypoints"][:], arrays["keypoints_valid"][:] = keypoints.points, keypoints.valid

    def _readable(self, index: int) -> tuple[Sample, int]:
        """The sample, or the next one of this stream that can be decoded (cyclic), and which one it was."""
        place = index
        for _ in range(min(MAX_TRIES, self.samples)):
            try:
                return self.source.read(place), place
            except Undecodable:
                place = self._next(place)
        raise DatasetUnreadable(f"{MAX_TRIES} samples in a row cannot be decoded: check the dataset's files")

    def _next(self, index: int) -> int:
        if self.members is None:
            return (index + 1) % len(self.source)
        return int(self.members[(np.searchsorted(self.members, index) + 1) % len(self.members)])

    def receipt(self, epoch: int, position: int, view: int) -> dict[str, object]:
        """What happened to one sample: its place in the dataset, and every operation's draws."""
        indices = self.indices(epoch, position, 1)
        draws = self.plan.draw(self.spec.aug_seed, Address(indices, epoch, view))
        place = self._readable(int(indices[0]))[1]
        receipt: dict[str, object] = {"index": int(indices[0]), "source": self.source.describe(int(indices[0]))}
        if place != int(indices[0]):
            receipt["replaced_by"] = {"index": place, "source": self.source.describe(place)}
        receipt["operations"] = [
            {
                "op": operation.op,
                "id": operation_id(operation),
                "selected": bool(draw.selected[0]),
                "draws": {name: np.round(draw.value(name)[0], 12).tolist() for name in draw.words},
            }
            for operation, draw in zip(self.plan.operations, draws, strict=True)
        ]
        return receipt


def ranges(n: int, step: int) -> list[slice]:
    """0 … n cut into pieces of at most `step`."""
    return [slice(at, min(at + step, n)) for at in range(0, n, step)]


def rows_of(arrays: Arrays, part: slice) -> Arrays:
    """Views of some rows of every array."""
    return {name: array[part] for name, array in arrays.items()}


def subset_members(labels: I64, classes: int, per_class: int, seed: int) -> I64:
    """The samples, ascending, of a subset: in each class those with the smallest keyed numbers, ties by index.

    Raises:
        SpecInvalid: a class has fewer samples than are asked for.
    """
    low, high, _, _ = philox4x32((0, SUBSET_KEY, np.arange(len(labels)), 0), seed_key(seed))
    numbers = low.astype(np.uint64) | (high.astype(np.uint64) << np.uint64(32))
    chosen = []
    for label in range(classes):
        places = np.flatnonzero(labels == label)
        if len(places) < per_class:
            raise SpecInvalid(f"class {label} has only {len(places)} samples", field="subset.per_class")
        chosen.append(places[np.argsort(numbers[places], kind="stable")[:per_class]])
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def with_channels(image: U8, channels: int) -> U8:
    """Pixels (H, W, C) with 1 or 3 channels: grey repeated, colour to Rec. 601 luma (in 16-bit fixed point)."""
    if image.shape[2] == channels:
        return image
    if channels == 3:
        return np.repeat(image, 3, axis=2)
    wide = image.astype(np.uint32)
    luma = (wide[..., 0] * 19595 + wide[..., 1] * 38470 + wide[..., 2] * 7471 + 32768) >> 16
    return luma.astype(np.uint8)[..., None]


def required(value: T | None) -> T:
    """A label that the dataset's info promises."""
    if value is None:
        raise ValueError("the dataset's info promises a label that its sample lacks")
    return value
