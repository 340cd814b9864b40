"""Pushed images: their validation and their plan."""

from collections.abc import Sequence
from math import prod

import numpy as np

from augsvc.arrays import I64, Arrays, count_planes
from augsvc.errors import BodyMalformed, SpecInvalid
from augsvc.executors.protocol import Executor
from augsvc.numerics.geometry import Canvas
from augsvc.planning.image_plan import Plan
from augsvc.planning.labels import flip_order
from augsvc.planning.spec import MAX_SIDE
from augsvc.streams.push_request import PushRequest
from augsvc.streams.push_tensors import need
from augsvc.streams.render_image import ImageRenderer


def require_images(arrays: Arrays, has_window: bool) -> np.ndarray:
    """Validates `image`, and returns it; with a window images may be uint16 or float32 too. Raises BodyMalformed."""
    dtype = arrays["image"].dtype.name if "image" in arrays else "uint8"
    if dtype in ("uint16", "float32") and not has_window:
        raise BodyMalformed(
            f"image must be uint8, or, with `window` set to the numbers [low, high] that are black and white, {dtype}",
            field="image",
        )
    image = need(arrays, "image", dtype if has_window and dtype in ("uint16", "float32") else "uint8", 4)
    if image.shape[3] not in (1, 3) or min(image.shape) < 1:
        raise BodyMalformed(
            f"image must be {dtype} N,H,W,C with at least one sample and C of 1 or 3, got the shape {image.shape}"
            + ("; transpose N,C,H,W" if image.shape[1] in (1, 3) and image.shape[3] not in (1, 3) else ""),
            field="image",
        )
    if dtype == "float32" and not np.isfinite((image.min(), image.max())).all():  # the extremes of NaN are NaN
        raise BodyMalformed("image holds a value that is NaN or infinite", field="image")
    return image


def require_image_labels(arrays: Arrays, images: np.ndarray) -> set[str]:
    """Validates the labels of images, and returns the names that labels can have; raises BodyMalformed."""
    n, height, width = images.shape[:3]
    per_object = (None, None) if "keypoints" in arrays and arrays["keypoints"].ndim == 4 else (None,)
    shapes: dict[str, tuple[str, tuple[int | None, ...]]] = {
        "mask": ("uint8", (n, height, width)),
        "boxes": ("float32", (n, None, 4)),
        "keypoints": ("float32", (n, *per_object, 2)),
        "mask_bits": ("uint8", (n, None, height, width)),
    }
    for name, (dtype, shape) in shapes.items():
        if name in arrays:
            array = need(arrays, name, dtype, len(shape))
            if any(want is not None and want != got for want, got in zip(shape, array.shape, strict=True)):
                raise BodyMalformed(f"the shape of {name} does not match the images", field=name)
    rows = {"box_labels": "boxes", "boxes_valid": "boxes", "keypoints_valid": "keypoints"}
    for name, owner in rows.items():
        if name in arrays:
            ndim = len(shapes[owner][1]) - 1
            array = need(arrays, name, "int64" if name == "box_labels" else "bool", ndim)
            if owner not in arrays or array.shape != arrays[owner].shape[:-1]:
                raise BodyMalformed(f"{name} must have one entry per row of {owner}", field=name)
    _check_mask_bits(arrays)
    return {*shapes, *rows}


def _check_mask_bits(arrays: Arrays) -> None:
    if "mask_bits" not in arrays:
        return
    if not arrays["mask_bits"].shape[1]:
        raise BodyMalformed("mask_bits needs at least one plane, also without objects", field="mask_bits")
    if "boxes" not in arrays:
        return
    n_boxes = arrays["boxes"].shape[1]
    if arrays["mask_bits"].shape[1] != count_planes(n_boxes):
        raise BodyMalformed(
            f"mask_bits has eight masks a plane: {count_planes(n_boxes)} planes for {n_boxes} boxes", field="mask_bits"
        )


def image_renderer(request: PushRequest, row: Sequence[int], executor: Executor, arrays: Arrays) -> ImageRenderer:
    """Plans a push of images of the shape `row`, H,W,C; raises SpecInvalid."""
    height, width, channels = row
    size = request.size or (height, width)
    if max(size) > MAX_SIDE:
        raise SpecInvalid(
            f"the images are larger than the maximum canvas, {MAX_SIDE} pixels a side: set `size`", field="size"
        )
    request.output.require_channels(channels)
    plan = Plan.of(request.pipeline, Canvas(*size, channels), request.fit)
    plan.require_labels(arrays.keys(), "this request sends")
    order, is_deep = _flip_order(request, arrays), request.window is not None
    planes = arrays["mask_bits"].shape[1] if "mask_bits" in arrays else 0
    return ImageRenderer(plan, executor, request.output, "mask" in arrays, order, is_deep, planes)


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
