"""Push mode: augments samples that a client sends, as a pure function of the client's indices.

body → arrays → samples → augment → body
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor as Workers
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from augsvc.arrays import I64, Arrays, ranges
from augsvc.errors import NeedsDataset, SpecInvalid, StreamMismatch
from augsvc.executors.protocol import Executor
from augsvc.numerics.geometry import Canvas, Fit
from augsvc.numerics.rng import MAX_EPOCHS, MAX_VIEWS, Address
from augsvc.ops.kinds.audio import Clip
from augsvc.ops.operation import Step
from augsvc.ops.pipeline import needing_fitted, needing_partners
from augsvc.ops.registry import Registry
from augsvc.planning.audio_plan import SoundPlan
from augsvc.planning.image_plan import Plan
from augsvc.planning.labels import flip_order
from augsvc.planning.spec import MAX_CLIP, MAX_SIDE, Context, Operations, Output, Rate, Seed, Side, require_media
from augsvc.streams.push_tensors import response_tensors, to_samples, validate_tensors
from augsvc.streams.reading import SOURCE_BYTES
from augsvc.streams.render_audio import SoundRenderer
from augsvc.streams.render_image import ImageRenderer
from augsvc.streams.stream import Body
from augsvc.timing import Stages
from augsvc.validation import Window, explain
from augsvc_client.wire import Layout, digest

_IMAGE_FIELDS = ("size", "fit", "output", "window", "flip_pairs")
_AUDIO_FIELDS = ("sample_rate",)
# Tensors of keypoints, and the axes of one
_OF_KEYPOINTS = MappingProxyType({"keypoints": (2,), "keypoints_valid": (), "keypoint_rows": ()})


_Row = Annotated[int, Field(ge=0, strict=True)]


class PushRequest(BaseModel):
    """The request of a push: `__metadata__.request`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    pipeline: Operations = ()
    aug_seed: Seed = 0
    epoch: Annotated[int, Field(ge=0, lt=MAX_EPOCHS, strict=True)] = 0
    view: Annotated[int, Field(ge=0, lt=MAX_VIEWS, strict=True)] = 0
    size: tuple[Side, Side] | None = None
    fit: Fit = "cover"
    output: Output = Output()
    window: Window | None = None  # the numbers of `image` that are black and white
    flip_pairs: tuple[tuple[_Row, _Row], ...] = ()  # keypoints of an object that a mirrored image swaps
    sample_rate: Rate | None = None
    expect_arithmetic: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Push:
    """Validated samples, ready to be augmented."""

    request: PushRequest
    arrays: Arrays
    renderer: ImageRenderer | SoundRenderer
    layout: Layout

    @staticmethod
    def of(
        fields: object,
        arrays: Arrays,
        executor: Executor,
        known: Registry,
        arithmetic_of: Callable[[Sequence[Step], str], str],
    ) -> "Push":
        """Validates the parsed request and the tensors of the body. `arithmetic_of` takes steps and their ground.

        Raises:
            SpecInvalid, NeedsDataset, NotAvailable: an invalid request.
            BodyMalformed, DuplicateIndex: invalid tensors.
            StreamMismatch: this replica's arithmetic is not the expected one.
        """
        media = "audio" if "audio" in arrays and "image" not in arrays else "image"
        request = _validate_request(fields, known, media)
        require_media(request.pipeline, media)
        if field := needing_fitted(request.pipeline):
            raise NeedsDataset(f"{field} needs the statistics of a dataset, so it works on streams only", field=field)
        if mix := needing_partners(request.pipeline):
            reason = "a mix takes its partners from a dataset, so it works on streams only"
            raise NeedsDataset(f"{mix}: {reason}", field=mix)
        is_deep = media == "image" and (request.window is not None or request.output.dtype == "uint16")
        arithmetic = arithmetic_of(request.pipeline, "deep" if is_deep else media)
        if request.expect_arithmetic not in (None, arithmetic):
            raise StreamMismatch(
                "this replica would produce different bytes; use another replica", {"arithmetic": arithmetic}
            )
        row = validate_tensors(arrays, media, request.window is not None)
        renderer: ImageRenderer | SoundRenderer
        if media == "audio":
            renderer = _audio_renderer(request, row, executor, "lengths" in arrays)
        else:
            renderer = _image_renderer(request, row, executor, arrays)
            renderer.plan.require_labels(arrays.keys(), "this request sends")
        tensors = response_tensors(arrays, renderer.tensors, bool(request.flip_pairs))
        layout = Layout(tensors, "", {"arithmetic": arithmetic})
        return Push(request, arrays, renderer, layout)

    @property
    def samples(self) -> int:
        """The number of samples."""
        return len(self.arrays["index"])

    @property
    def labels(self) -> int:
        """The number of boxes and keypoints of each sample."""
        rows = (self.arrays[name].shape[1:-1] for name in ("boxes", "keypoints") if name in self.arrays)
        return sum(map(prod, rows))

    @property
    def size(self) -> int:
        """Bytes of the response."""
        return self.layout.size(self.samples)

    def produce(self, workers: Workers, check: Callable[[], None], stages: Stages) -> Body:
        """Augments the tensors. `check` is called regularly and cancels the work by raising."""
        n = self.samples
        buffer, out = self.layout.allocate(n)
        for name in ("index", "label", "box_labels"):
            if name in out:
                out[name][:] = self.arrays[name]
        if "keypoint_rows" in out:
            out["keypoint_rows"][:] = np.arange(out["keypoint_rows"].shape[-1])
        for name in out.keys() & _OF_KEYPOINTS.keys():  # views with one axis for those of all objects
            out[name] = out[name].reshape(n, -1, *_OF_KEYPOINTS[name])
        for rows in ranges(n, self._rows):
            check()
            samples = to_samples(self.arrays, rows, self.request.window)
            address = Address(self.arrays["index"][rows], self.request.epoch, self.request.view)
            chunk = {name: array[rows] for name, array in out.items()}
            self.renderer.fill(samples, address, self.request.aug_seed, chunk, workers, check, stages)
        with stages.of("encode"):
            self.layout.seal(buffer, n, epoch=self.request.epoch, start=0)
            return Body(buffer, digest(buffer), n, (), stages)

    @property
    def _rows(self) -> int:
        """Samples to render together; a window makes copies of their images."""
        if self.request.window is None:
            return self.renderer.rows
        n_bytes = 2 * int(self.arrays["image"][0].size)
        return max(1, min(self.renderer.rows, SOURCE_BYTES // n_bytes))


def _flip_order(request: PushRequest, arrays: Arrays) -> I64 | None:
    if not request.flip_pairs:
        return None
    if "keypoints" not in arrays:
        raise SpecInvalid("flip_pairs need keypoints", field="flip_pairs")
    *objects, keypoints = arrays["keypoints"].shape[1:-1]
    try:
        return flip_order(request.flip_pairs, keypoints, prod(objects))
    except ValueError as err:
        raise SpecInvalid(str(err), field="flip_pairs") from err


def _image_renderer(request: PushRequest, row: tuple[int, ...], executor: Executor, arrays: Arrays) -> ImageRenderer:
    height, width, channels = row
    if request.sample_rate is not None:
        raise SpecInvalid("sample_rate does not apply to images", field="sample_rate")
    size = request.size or (height, width)
    if max(size) > MAX_SIDE:
        raise SpecInvalid(
            f"the images are larger than the maximum canvas, {MAX_SIDE} pixels a side: set `size`", field="size"
        )
    request.output.require_channels(channels)
    plan = Plan.of(request.pipeline, Canvas(*size, channels), request.fit)
    order, is_deep = _flip_order(request, arrays), request.window is not None
    planes = arrays["mask_bits"].shape[1] if "mask_bits" in arrays else 0
    return ImageRenderer(plan, executor, request.output, "mask" in arrays, order, is_deep, planes)


def _audio_renderer(request: PushRequest, row: tuple[int, ...], executor: Executor, pads: bool) -> SoundRenderer:
    for name in _IMAGE_FIELDS:
        if getattr(request, name) != PushRequest.model_fields[name].default:
            raise SpecInvalid(f"{name} does not apply to audio", field=name)
    channels, samples = row if len(row) == 2 else (1, row[0])
    if samples * channels > MAX_CLIP:
        raise SpecInvalid(f"a clip has at most {MAX_CLIP} samples: send shorter clips", field="audio")
    plan = SoundPlan.of(request.pipeline, Clip(samples, request.sample_rate, channels))
    return SoundRenderer(plan, executor.sound, pads or plan.changes_lengths)


def _validate_request(fields: object, known: Registry, media: str) -> PushRequest:
    if not isinstance(fields, dict):
        raise SpecInvalid("__metadata__.request must be a JSON object", field="request")
    try:
        return PushRequest.model_validate(fields, context=Context(known, media))
    except ValidationError as err:
        hidden = _IMAGE_FIELDS if media == "audio" else _AUDIO_FIELDS
        raise explain(err, model=PushRequest, hidden=hidden) from err
