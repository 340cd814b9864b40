"""Runs a pipeline over images in memory, as a stream does, and compares pixels with references in float64."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain

import numpy as np
import skimage.data
import torch
from scipy import ndimage

from augsvc.arrays import Sample
from augsvc.data.source import Source, SourceInfo
from augsvc.executors.factory import open_executor
from augsvc.executors.protocol import Executor
from augsvc.numerics.color_statistics import ColorStatistics
from augsvc.numerics.rng import Address
from augsvc.ops.kinds.audio import SpecChange
from augsvc.ops.kinds.mix import Mix
from augsvc.ops.operation import Kind
from augsvc.ops.pipeline import parse_pipeline
from augsvc.ops.registry import Registry, registry
from augsvc.planning.spec import validate_spec
from augsvc.settings import default_kernel_cache
from augsvc.streams.selftest import _corners, _grounds
from augsvc.streams.stream import Stream
from augsvc_client.wire import parse
from tests.kernels import compile_kernels


class ListSource(Source):
    """Samples in a list; what the first one has, all have."""

    def __init__(self, samples: Sequence[Sample], colors: ColorStatistics | None = None) -> None:
        first = samples[0]
        sizes = {sample.image.shape[:2] for sample in samples}
        self.samples = list(samples)
        self.info = SourceInfo(
            name="list",
            version="1",
            classes=("only",),
            channels=first.image.shape[2],
            size=sizes.pop() if len(sizes) == 1 else None,
            mask=first.mask is not None,
            mask_bits=first.mask_bits is not None,
            boxes=0 if first.boxes is None else len(first.boxes),
            keypoints=0 if first.keypoints is None else len(first.keypoints),
            colors=colors,
        )

    def __len__(self) -> int:
        return len(self.samples)

    def read(self, index: int) -> Sample:
        return self.samples[index]

    def labels(self):
        return np.array([sample.label for sample in self.samples])

    def describe(self, index: int) -> str:
        return f"sample {index}"


@cache
def open_cpu(name: str) -> Executor:
    compile_kernels()
    return open_executor(name, torch.device("cpu"), default_kernel_cache())


class _Chosen:
    """The executor that everything here runs on: the fixture `each_executor` changes it."""

    name = "fused"


@contextmanager
def using(name: str) -> Iterator[None]:
    before, _Chosen.name = _Chosen.name, name
    yield
    _Chosen.name = before


def executor() -> Executor:
    return open_cpu(_Chosen.name)


def few_operations() -> Registry:
    """One operation of each kind, and those that the self-test runs in any case or beside these."""
    chosen = {(op.kind, op.media): name for name, op in registry().items()}.values()
    specs = chain(*_grounds().values(), *(_corners(name, registry()[name]) for name in chosen))
    needed = {step.op for spec in specs for step in parse_pipeline(spec.get("pipeline", []))}
    return {name: op for name, op in registry().items() if name in needed}


def compatible(steps: Sequence[dict[str, object]]) -> list[dict[str, object]]:
    """Drawn steps as a pipeline takes them: no frame behind the first step, at most one mix, and MixUp and CutMix last; at most
    one of a name that changes spectrograms.
    """
    operations = [registry()[step["op"]] for step in steps]
    mixes = [index for index, operation in enumerate(operations) if operation.kind is Kind.MIX]
    names = [step["op"] for step in steps]
    again = [k for k, operation in enumerate(operations) if issubclass(operation, SpecChange) and names[k] in names[:k]]
    kept = [
        (issubclass(operation, Mix), index)
        for index, operation in enumerate(operations)
        if not (index and operation.kind is Kind.FRAME) and index not in mixes[1:] + again
    ]
    return [steps[index] for _, index in sorted(kept)]


@dataclass(frozen=True)
class Run:
    """One stream over one source, in the source's order."""

    stream: Stream

    def batch(self, epoch=0, start=0, count=None, view=0) -> dict[str, np.ndarray]:
        with ThreadPoolExecutor(2) as workers:
            body = self.stream.produce(epoch, start, count or self.stream.samples, view, workers, lambda: None)
        return parse(body.buffer)[0]

    def images(self, **address) -> np.ndarray:
        return self.batch(**address)["image"]

    def receipt(self, position: int, number: int = 0, epoch: int = 0) -> dict[str, object]:
        """What a receipt says of the operation at that place in the pipeline."""
        return self.receipt_rows(position, epoch)[number]

    def receipt_rows(self, position: int, epoch: int = 0) -> list[dict[str, object]]:
        """What a receipt says of all operations."""
        return self.stream.receipt(epoch, position, 0)["operations"]

    def draws(self, position: int, number: int = 0, epoch: int = 0) -> dict[str, float]:
        return self.receipt(position, number, epoch)["draws"]

    def selected(self, number: int = 0) -> np.ndarray:
        """What the receipts of the first epoch say of all samples, drawn at once: 200 receipts cost 0.1 CPU seconds."""
        address = Address(self.stream.indices(0, 0, self.stream.samples), 0, 0)
        return self.stream.plan.draw(self.stream.spec.aug_seed, address)[number].selected


def over(source: Source, pipeline, **fields) -> Run:
    """A stream over any source; pixels N,H,W,C unless `output` says otherwise."""
    spec = {"dataset": source.info.name, "shuffle": False, "output": {"layout": "NHWC"}, "pipeline": pipeline, **fields}
    return Run(Stream.open(validate_spec(spec), source, executor()))


def run(pipeline, images, **fields) -> Run:
    """A stream over images uint8 (H, W, C), or over samples."""
    return over(ListSource(as_samples(pipeline, images)), pipeline, **fields)


def as_samples(pipeline, images) -> list[Sample]:
    """Images as samples, with labels for a frame that looks at them; samples as they are."""
    first = registry().get(pipeline[0]["op"]) if isinstance(pipeline, list) and pipeline else None
    sample = labelled if getattr(first, "labels", ()) else partial(Sample, label=0)
    return [i if isinstance(i, Sample) else sample(i) for i in images]


def labelled(image: np.ndarray, keypoints: int = 1) -> Sample:
    """An image with a mask of four quarters, a box around its middle and keypoints from its centre to the box's corner."""
    height, width = image.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    box = np.array([width / 4, height / 4, 3 * width / 4, 3 * height / 4], np.float32)
    return Sample(
        image,
        0,
        mask=(2 * (2 * rows >= height) + (2 * columns >= width)).astype(np.uint8),
        boxes=box[None],
        box_labels=np.zeros(1, int),
        boxes_valid=np.ones(1, bool),
        keypoints=np.linspace([width / 2, height / 2], box[2:], keypoints, dtype=np.float32),
        keypoints_valid=np.ones(keypoints, bool),
    )


def one(pipeline, image, **fields) -> np.ndarray:
    """One image through a pipeline: uint8 (H, W, C)."""
    return run(pipeline, [image], **fields).images()[0]


@cache
def photo(name: str) -> np.ndarray:
    """astronaut 512×512, chelsea 300×451 or coffee 400×600."""
    image = getattr(skimage.data, name)()
    image.setflags(write=False)
    return image


def patch(name: str, height: int, width: int, top: int = 60, left: int = 120) -> np.ndarray:
    return photo(name)[top : top + height, left : left + width]


def grey(image: np.ndarray) -> np.ndarray:
    """One channel of it (H, W, 1)."""
    return image[..., 1:2]


def plain(level: int, height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.full((height, width, channels), level, np.uint8)


def to_levels(values: np.ndarray) -> np.ndarray:
    """Values on the [0, 1] scale as grey levels, halves upwards."""
    return np.floor(np.clip(values, 0.0, 1.0) * 255.0 + 0.5)


def agree(actual: np.ndarray, expected: np.ndarray, *, most: float, mean: float) -> None:
    """Grey levels differ by at most `most` anywhere and by `mean` on average."""
    difference = np.abs(actual.astype(np.float64) - expected.astype(np.float64))
    assert actual.shape == expected.shape
    assert difference.max() <= most, f"{difference.max()} levels apart at {np.argwhere(difference > most)[:5].tolist()}"
    assert difference.mean() <= mean, f"{difference.mean()} levels apart on average"


def psnr(actual: np.ndarray, expected: np.ndarray) -> float:
    """In dB, of grey levels."""
    return float(10.0 * np.log10(255.0**2 / np.mean((actual.astype(np.float64) - expected) ** 2)))


def warp(image: np.ndarray, forward: np.ndarray, size: tuple[int, int], mode: str, order: int = 1) -> np.ndarray:
    """SciPy's bilinear resample in float64 of grey levels, through a 3×3 matrix of continuous coordinates (x, y)."""
    back = np.linalg.inv(forward)
    matrix = back[:2, :2][::-1, ::-1]  # SciPy counts row, column
    offset = matrix @ [0.5, 0.5] + back[:2, 2][::-1] - 0.5  # and puts pixel centres at integers
    planes = [
        ndimage.affine_transform(plane, matrix, offset, size, order=order, mode=mode, prefilter=False)
        for plane in np.moveaxis(image.astype(np.float64), 2, 0)
    ]
    return np.stack(planes, axis=-1)


def centred(linear, width: float, height: float) -> np.ndarray:
    """A 2×2 matrix about the canvas's centre, as 3×3."""
    whole, there = np.eye(3), np.eye(3)
    whole[:2, :2] = linear
    there[:2, 2] = width / 2, height / 2
    return there @ whole @ np.linalg.inv(there)


def turn(degrees: float) -> np.ndarray:
    """Counter-clockwise as seen, with y down."""
    angle = np.deg2rad(degrees)
    return np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def rounded(levels: np.ndarray) -> np.ndarray:
    """Grey levels in float to whole ones, halves upwards."""
    return np.floor(np.clip(levels, 0.0, 255.0) + 0.5)
