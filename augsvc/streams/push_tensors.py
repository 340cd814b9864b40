"""The tensors of a push: their validation, their samples, and the tensors of the response."""

from collections.abc import Mapping

import numpy as np

from augsvc.arrays import F32, Arrays, Bools, Pixels, Sample
from augsvc.errors import BodyMalformed, DuplicateIndex
from augsvc.numerics.rng import MAX_SAMPLES
from augsvc.streams.medium import Medium
from augsvc_client.decoding.window import Window, apply_window
from augsvc_client.wire import TensorSpec


def validate_tensors(arrays: Arrays, medium: Medium, has_window: bool) -> tuple[int, ...]:
    """Validates the tensors, and returns the shape of one sample: height, width and channels, or the shape of a clip.
    With a window images may be uint16 or float32 too.

    Raises:
        BodyMalformed, DuplicateIndex: the tensors are invalid.
    """
    samples = medium.require_samples(arrays, has_window)
    _check_index(arrays, len(samples))
    if "label" in arrays and (arrays["label"].ndim == 0 or len(arrays["label"]) != len(samples)):
        raise BodyMalformed("label must have one entry per sample", field="label")
    unknown = set(arrays) - {medium.name, "index", "label"} - medium.require_labels(arrays, samples)
    if unknown:
        raise BodyMalformed(
            f"unknown tensor beside {medium.name}; docs/batches.md lists the known ones", field=min(unknown)
        )
    return samples.shape[1:]


def _check_index(arrays: Arrays, n: int) -> None:
    index = need(arrays, "index", "int64", 1)
    if len(index) != n or int(index.min()) < 0 or int(index.max()) >= MAX_SAMPLES:
        raise BodyMalformed("index must be int64 N, each from 0 to 2^32 - 1", field="index")
    in_order = np.sort(index)
    if (in_order[1:] == in_order[:-1]).any():
        raise DuplicateIndex(
            "duplicate index: two samples would share random numbers; give each sample a distinct one", field="index"
        )


def need(arrays: Arrays, name: str, dtype: str, ndim: int) -> np.ndarray:
    """The tensor of that name, validated; raises BodyMalformed."""
    if name not in arrays:
        raise BodyMalformed(f"{name} is required", field=name)
    array = arrays[name]
    if array.dtype.name != dtype or array.ndim != ndim:
        raise BodyMalformed(f"{name} must be {dtype} with {ndim} dimensions", field=name)
    return array


def response_tensors(arrays: Arrays, rendered: Mapping[str, TensorSpec], flips: bool) -> dict[str, TensorSpec]:
    """The tensors of the response: the rendered ones, the labels of the request, and with `flips` the rows that the
    keypoints had.
    """
    tensors = {**rendered, "index": TensorSpec("int64", ())}
    for name in ("label", "lengths", "boxes", "box_labels", "keypoints"):
        if name in arrays:
            tensors[name] = TensorSpec(arrays[name].dtype.name, arrays[name].shape[1:])
    for name in ("boxes", "keypoints"):
        if name in arrays:
            tensors[f"{name}_valid"] = TensorSpec("bool", arrays[name].shape[1:-1])
    if flips:
        tensors["keypoint_rows"] = TensorSpec("int32", arrays["keypoints"].shape[1:-1])
    return tensors


def to_samples(arrays: Arrays, rows: slice, window: Window | None = None) -> list[Sample]:
    """Some of the rows as samples, images through a window if there is one; boxes without area and points that are not
    finite become invalid.

    A sample takes some 500 bytes beside its arrays' own, more than a tiny image: never make those of a whole push.
    """
    return [_sample(arrays, row, window) for row in range(rows.start, rows.stop)]


def _sample(arrays: Arrays, row: int, window: Window | None) -> Sample:
    boxes, boxes_valid = _boxes(arrays, row) if "boxes" in arrays else (None, None)
    keypoints, keypoints_valid = _keypoints(arrays, row) if "keypoints" in arrays else (None, None)
    image: Pixels | None = arrays["image"][row] if "image" in arrays else None
    if image is not None and window is not None:
        image = apply_window(image, window)
    audio: F32 | None = arrays["audio"][row] if "audio" in arrays else None
    if audio is not None and "lengths" in arrays:
        audio = audio[..., : arrays["lengths"][row]]
    return Sample(
        image=image,
        audio=audio,
        label=0,
        mask=arrays["mask"][row] if "mask" in arrays else None,
        mask_bits=arrays["mask_bits"][row] if "mask_bits" in arrays else None,
        boxes=boxes,
        boxes_valid=boxes_valid,
        keypoints=keypoints,
        keypoints_valid=keypoints_valid,
    )


def _boxes(arrays: Arrays, row: int) -> tuple[np.ndarray, Bools]:
    boxes = arrays["boxes"][row]
    with np.errstate(invalid="ignore"):
        valid = np.isfinite(boxes).all(axis=1) & (boxes[:, 0] < boxes[:, 2]) & (boxes[:, 1] < boxes[:, 3])
    if "boxes_valid" in arrays:
        valid &= arrays["boxes_valid"][row]
    return np.where(valid[:, None], boxes, np.float32(0.0)), valid


def _keypoints(arrays: Arrays, row: int) -> tuple[np.ndarray, Bools]:
    points = arrays["keypoints"][row].reshape(-1, 2)
    valid = np.isfinite(points).all(axis=1)
    if "keypoints_valid" in arrays:
        valid &= arrays["keypoints_valid"][row].reshape(-1)
    return np.where(valid[:, None], points, np.float32(0.0)), valid
