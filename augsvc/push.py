"""Push mode: samples that a client brings, augmented as a pure function of its own indices.

body → arrays → samples → augment → body
"""

from collections.abc import Callable
from concurrent.futures import Executor as Workers
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from augsvc.augment import augment
from augsvc.batch import U8, Arrays, Bools, Sample
from augsvc.errors import BodyMalformed, DuplicateIndex, NotAvailable, SpecInvalid, StreamMismatch
from augsvc.executors.base import Executor
from augsvc.geometry import Canvas, Fit
from augsvc.ops.registry import Registry
from augsvc.plan import Plan
from augsvc.rng import MAX_EPOCHS, MAX_SAMPLES, MAX_VIEWS, Address
from augsvc.spec import MAX_SIDE, Operations, Output, Seed, Side
from augsvc.stream import Body
from augsvc.validation import explain
from augsvc_client.wire import Layout, TensorSpec, digest


class PushRequest(BaseModel):
    """What is to be done with the samples: `__metadata__.request`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    pipeline: Operations = ()
    aug_seed: Seed = 0
    epoch: Annotated[int, Field(ge=0, lt=MAX_EPOCHS, strict=True)] = 0
    view: Annotated[int, Field(ge=0, lt=MAX_VIEWS, strict=True)] = 0
    size: tuple[Side, Side] | None = None
    fit: Fit = "cover"
    output: Output = Output()
    expect_arithmetic: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Push:
    """Validated samples, ready to be augmented."""

    request: PushRequest
    arrays: Arrays
    plan: Plan
    executor: Executor
    layout: Layout

    @staticmethod
    def of(
        fields: object,
        arrays: Arrays,
        executor: Executor,
        known: Registry,
        arithmetic_of: Callable[[set[str]], str],
    ) -> "Push":
        """From the parsed request and the body's tensors.

        Raises:
            SpecInvalid, NotAvailable: the request.
            BodyMalformed, DuplicateIndex: the tensors.
            StreamMismatch: this replica's arithmetic is not the expected one.
        """
        request = _validated(fields, known)
        arithmetic = arithmetic_of({operation.op for operation in request.pipeline})
        if request.expect_arithmetic not in (None, arithmetic):
            raise StreamMismatch("this replica would give other bytes: ask another one", {"arithmetic": arithmetic})
        n, height, width, channels = _image_shape(arrays)
        _check_index(arrays, n)
        _check_labels(arrays, n, height, width)
        size = request.size or (height, width)
        if max(size) > MAX_SIDE:
            raise SpecInvalid(f"size is at most {MAX_SIDE} a side; the pictures are larger: give size", field="size")
        plan = Plan.of(request.pipeline, Canvas(*size, channels), request.fit)
        layout = Layout(_answer(arrays, size, channels, request.output), "", {"arithmetic": arithmetic})
        return Push(request, arrays, plan, executor, layout)

    @property
    def size(self) -> int:
        """Bytes of the answer."""
        return self.layout.size(len(self.arrays["index"]))

    def produce(self, workers: Workers, check: Callable[[], None]) -> Body:
        """The same tensors, augmented. `check` is called now and then, and ends the work by raising."""
        n = len(self.arrays["index"])
        buffer, out = self.layout.allocate(n)
        for name in ("index", "label", "box_labels"):
            if name in out:
                out[name][:] = self.arrays[name]
        if self.request.output.layout == "NHWC":
            out["image"] = out["image"].transpose(0, 3, 1, 2)
        canvas = self.plan.canvas
        step = self.executor.threads * self.executor.rows(canvas.channels * canvas.height * canvas.width)
        samples = [_sample(self.arrays, row) for row in range(n)]
        for at in range(0, n, step):
            check()
            part = slice(at, min(at + step, n))
            address = Address(self.arrays["index"][part], self.request.epoch, self.request.view)
            rows = {name: array[part] for name, array in out.items()}
            augment(samples[part], address, self.request.aug_seed, self.plan, self.executor, rows, workers, check)
        self.layout.seal(buffer, n, epoch=self.request.epoch, start=0)
        return Body(buffer, digest(buffer), n, ())


def _validated(fields: object, known: Registry) -> PushRequest:
    if not isinstance(fields, dict):
        raise SpecInvalid("__metadata__.request is a JSON object", field="request")
    if "sample_rate" in fields:
        raise NotAvailable("sound is not available yet", field="sample_rate")
    try:
        return PushRequest.model_validate(fields, context=known)
    except ValidationError as err:
        raise explain(err, known=PushRequest.model_fields) from err


def _image_shape(arrays: Arrays) -> tuple[int, int, int, int]:
    if "audio" in arrays:
        raise NotAvailable("sound is not available yet", field="audio")
    image = _need(arrays, "image", "uint8", 4)
    n, height, width, channels = image.shape
    if channels not in (1, 3) or min(image.shape) < 1:
        raise BodyMalformed("image is uint8 N,H,W,C with at least one sample and C of 1 or 3", field="image")
    return n, height, width, channels


def _check_index(arrays: Arrays, n: int) -> None:
    index = _need(arrays, "index", "int64", 1)
    if len(index) != n or int(index.min()) < 0 or int(index.max()) >= MAX_SAMPLES:
        raise BodyMalformed("index is int64 N, each from 0 to 2^32 - 1", field="index")
    if len(np.unique(index)) < n:
        raise DuplicateIndex("an index stands twice: two samples would share random numbers", field="index")


def _check_labels(arrays: Arrays, n: int, height: int, width: int) -> None:
    shapes: dict[str, tuple[str | None, int, tuple[int | None, ...]]] = {
        "mask": ("uint8", 3, (n, height, width)),
        "boxes": ("float32", 3, (n, None, 4)),
        "keypoints": ("float32", 3, (n, None, 2)),
    }
    for name, (dtype, ndim, shape) in shapes.items():
        if name in arrays:
            array = _need(arrays, name, dtype, ndim)
            if any(want is not None and want != got for want, got in zip(shape, array.shape, strict=True)):
                raise BodyMalformed(f"{name} does not fit the pictures: its shape is another", field=name)
    rows = {"box_labels": "boxes", "boxes_valid": "boxes", "keypoints_valid": "keypoints"}
    for name, owner in rows.items():
        if name in arrays:
            array = _need(arrays, name, "int64" if name == "box_labels" else "bool", 2)
            if owner not in arrays or array.shape != arrays[owner].shape[:2]:
                raise BodyMalformed(f"{name} has one entry for each row of {owner}", field=name)
    if "label" in arrays and len(arrays["label"]) != n:
        raise BodyMalformed("label has one entry for each picture", field="label")
    unknown = set(arrays) - {"image", "index", "label", *shapes, *rows}
    if unknown:
        raise BodyMalformed("there is a tensor that is not known here; docs/batches.md lists them", field=min(unknown))


def _need(arrays: Arrays, name: str, dtype: str | None, ndim: int) -> np.ndarray:
    if name not in arrays:
        raise BodyMalformed(f"{name} is required", field=name)
    array = arrays[name]
    if array.dtype.name != dtype or array.ndim != ndim:
        raise BodyMalformed(f"{name} is {dtype} with {ndim} dimensions", field=name)
    return array


def _answer(arrays: Arrays, size: tuple[int, int], channels: int, output: Output) -> dict[str, TensorSpec]:
    planar = (channels, *size)
    tensors = {
        "image": TensorSpec("uint8", planar if output.layout == "NCHW" else (*size, channels)),
        "index": TensorSpec("int64", ()),
    }
    for name in ("label", "boxes", "box_labels", "keypoints"):
        if name in arrays:
            tensors[name] = TensorSpec(arrays[name].dtype.name, arrays[name].shape[1:])
    if "mask" in arrays:
        tensors["mask"] = TensorSpec("uint8", size)
    for name in ("boxes", "keypoints"):
        if name in arrays:
            tensors[f"{name}_valid"] = TensorSpec("bool", arrays[name].shape[1:2])
    return tensors


def _sample(arrays: Arrays, row: int) -> Sample:
    boxes, boxes_valid = _boxes(arrays, row) if "boxes" in arrays else (None, None)
    keypoints, keypoints_valid = _keypoints(arrays, row) if "keypoints" in arrays else (None, None)
    image: U8 = arrays["image"][row]
    return Sample(
        image=image,
        label=0,
        mask=arrays["mask"][row] if "mask" in arrays else None,
        boxes=boxes,
        boxes_valid=boxes_valid,
        keypoints=keypoints,
        keypoints_valid=keypoints_valid,
    )


def _boxes(arrays: Arrays, row: int) -> tuple[np.ndarray, Bools]:
    boxes = arrays["boxes"][row]
    with np.errstate(invalid="ignore"):
        sound = np.isfinite(boxes).all(axis=1) & (boxes[:, 0] < boxes[:, 2]) & (boxes[:, 1] < boxes[:, 3])
    if "boxes_valid" in arrays:
        sound &= arrays["boxes_valid"][row]
    return np.where(sound[:, None], boxes, np.float32(0.0)), sound


def _keypoints(arrays: Arrays, row: int) -> tuple[np.ndarray, Bools]:
    points = arrays["keypoints"][row]
    sound = np.isfinite(points).all(axis=1)
    if "keypoints_valid" in arrays:
        sound &= arrays["keypoints_valid"][row]
    return np.where(sound[:, None], points, np.float32(0.0)), sound
