"""Images as a medium."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from augsvc.arrays import U8, count_planes
from augsvc.data.source import Source, SourceInfo
from augsvc.executors.protocol import Executor
from augsvc.numerics.geometry import Canvas
from augsvc.planning.image_plan import Plan
from augsvc.planning.labels import flip_order
from augsvc.planning.reduction import least_size
from augsvc.planning.spec import StreamSpec
from augsvc.planning.spec_media import SPEC_MEDIA
from augsvc.streams.label_effects import effect_on_image_labels
from augsvc.streams.medium import Figure, Medium, Opened
from augsvc.streams.probes import probe_spec
from augsvc.streams.pushed_images import image_renderer, require_image_labels, require_images
from augsvc.streams.render_image import ImageRenderer
from augsvc.streams.selftest_specs import image_corner_specs, image_specs
from augsvc_client.wire import TensorSpec

_MIN_SIDE = 64  # smaller images are enlarged by an integer factor


def _missing(info: SourceInfo) -> list[str]:
    return ["size"] if info.size is None else []


def _fill(spec: StreamSpec, info: SourceInfo) -> StreamSpec:
    return spec.for_images(info.size, info.channels)


def _open(spec: StreamSpec, info: SourceInfo, executor: Executor, _: Mapping[str, Source]) -> Opened:
    spec = _fill(spec, info)
    canvas = Canvas(*spec.canvas_size, spec.channels or info.channels, info.colors)
    plan = Plan.of(spec.pipeline, canvas, spec.fit)
    plan.require_labels(info.labels, "this dataset has")
    flipped = flip_order(info.flip_pairs, info.keypoints)
    planes = count_planes(info.boxes) if info.mask_bits else 0
    renderer = ImageRenderer(plan, executor, spec.output, info.mask, flipped, info.window is not None, planes)
    return Opened(spec, renderer, least_size(plan) if spec.decode == "fit" else None)


def _figure(row: Sequence[int]) -> Figure:
    height, width, channels = row
    scale = max(1, _MIN_SIDE // min(height, width))

    def enlarge(image: U8) -> U8:
        enlarged: U8 = image.repeat(scale, axis=0).repeat(scale, axis=1)
        return enlarged

    return Figure((height * scale, width * scale), channels, enlarge)


IMAGES = Medium(
    name="image",
    fields=SPEC_MEDIA["image"],
    noun="images",
    preset="standard",
    check_fields=MappingProxyType({"pipeline": "strong", "size": [64, 64]}),
    missing=_missing,
    fill=_fill,
    open=_open,
    figure=_figure,
    pushed=TensorSpec("uint8", (-1, -1, -1)),
    require_samples=require_images,
    require_labels=require_image_labels,
    push_renderer=image_renderer,
    opaque_ground="opaque",
    traits=lambda executor: executor.traits,
    opaque_traits=lambda executor: executor.opaque_traits,
    probe_spec=probe_spec,
    ground_specs=image_specs,
    corner_specs=image_corner_specs,
    label_effect=effect_on_image_labels,
)
