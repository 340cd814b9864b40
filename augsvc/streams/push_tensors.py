"""The tensors of a push: their validation, their samples, and the tensors of the response."""

from collections.abc import Mapping

import numpy as np

from augsvc.arrays import F32, Arrays, Bools, Pixels, Sample, count_planes
from augsvc.errors import BodyMalformed, DuplicateIndex
from augsvc.numerics.rng import MAX_SAMPLES
from augsvc_client.decoding.limits import MAX_CLIP_CHANNELS
from augsvc_client.decoding.window import Window, apply_window
from augsvc_client.wire import TensorSpec

LOUDEST = 65536.0  # full scales; louder input is not audio, and gains could overflow float32


def validate_tensors(arrays: Arrays, media: str, has_window: bool) -> tuple[int, ...]:
    """Validates the tensors, and returns the shape of one sample: height, width and channels, or the shape of a clip.
    With a window images may be uint16 or float32 too.

    Raises:
        BodyMalformed, DuplicateIndex: the tensors are invalid.
    """
    main = _audio(arrays) if media == "audio" else _image(arrays, has_window)
    _check_index(arrays, len(main))
    allowed = {media, "index", "label"}
    if "label" in arrays and (arrays["label"].ndim == 0 or len(arrays["label"]) != len(main)):
        raise BodyMalformed("label must have one entry per sample", field="label")
    if media == "audio":
        allowed |= _check_lengths(arrays, len(main), main.shape[-1])
    else:
        allowed |= _check_labels(arrays, *main.shape[:3])
    unknown = set(arrays) - allowed
    if unknown:
        raise BodyMalformed(f"unknown tensor beside {media}; docs/batches.md lists the known ones", field=min(unknown))
    return main.shape[1:]


def _image(arrays: Arrays, has_window: bool) -> np.ndarray:
    dtype = arrays["image"].dtype.name if "image" in arrays else "uint8"
    if dtype in ("uint16", "float32") and not has_window:
        raise BodyMalformed(
            f"image must be uint8, or, with `window` set to the numbers [low, high] that are black and white, {dtype}",
            field="image",
        )
    image = _need(arrays, "image", dtype if has_window and dtype in ("uint16", "float32") else "uint8", 4)
    if image.shape[3] not in (1, 3) or min(image.shape) < 1:
        raise BodyMalformed(
            f"image must be {dtype} N,H,W,C with at least one sample and C of 1 or 3, got the shape {image.shape}"
            + ("; transpose N,C,H,W" if image.shape[1] in (1, 3) and image.shape[3] not in (1, 3) else ""),
            field="image",
        )
    if dtype == "float32" and not np.isfinite((image.min(), image.max())).all():  # the extremes of NaN are NaN
        raise BodyMalformed("image holds a value that is NaN or infinite", field="image")
    return image


def _audio(arrays: Arrays) -> np.ndarray:
    ndim = 3 if "audio" in arrays and arrays["audio"].ndim == 3 else 2
    audio = _need(arrays, "audio", "float32", ndim)
    if min(audio.shape) < 1 or (ndim == 3 and not 2 <= audio.shape[1] <= MAX_CLIP_CHANNELS):
        raise BodyMalformed(
            f"audio must be float32 N,T or N,C,T with C of 2 to {MAX_CLIP_CHANNELS}, at least one clip and T of at least 1",
            field="audio",
        )
    rows = audio.reshape(len(audio), -1)
    valid = (rows.max(axis=1) <= LOUDEST) & (rows.min(axis=1) >= -LOUDEST)  # False for NaN
    if not valid.all():
        bad = int(np.flatnonzero(~valid)[0])
        raise BodyMalformed(
            f"audio: clip {bad} holds a value that is NaN, infinite or beyond {LOUDEST:.0f} full scales", field="audio"
        )
    return audio


def _check_lengths(arrays: Arrays, n: int, samples: int) -> set[str]:
    """Validates the lengths of clips, and returns the name that they have."""
    if (lengths := arrays.get("lengths")) is not None:
        if lengths.dtype.name not in ("int32", "int64") or lengths.shape != (n,):
            raise BodyMalformed("lengths must be int32 or int64 N, the samples of each clip", field="lengths")
        if int(lengths.min()) < 0 or int(lengths.max()) > samples:
            raise BodyMalformed(f"lengths must be 0 to {samples}, the samples of a row of audio", field="lengths")
    return {"lengths"}


def _check_index(arrays: Arrays, n: int) -> None:
    index = _need(arrays, "index", "int64", 1)
    if len(index) != n or int(index.min()) < 0 or int(index.max()) >= MAX_SAMPLES:
        raise BodyMalformed("index must be int64 N, each from 0 to 2^32 - 1", field="index")
    in_order = np.sort(index)
    if (in_order[1:] == in_order[:-1]).any():
        raise DuplicateIndex(
            "duplicate index: two samples would share random numbers; give each sample a distinct one", field="index"
        )


def _check_labels(arrays: Arrays, n: int, height: int, width: int) -> set[str]:
    """Validates the labels of images, and returns the names that labels can have."""
    per_object = (None, None) if "keypoints" in arrays and arrays["keypoints"].ndim == 4 else (None,)
    shapes: dict[str, tuple[str, tuple[int | None, ...]]] = {
        "mask": ("uint8", (n, height, width)),
        "boxes": ("float32", (n, None, 4)),
        "keypoints": ("float32", (n, *per_object, 2)),
        "mask_bits": ("uint8", (n, None, height, width)),
    }
    for name, (dtype, shape) in shapes.items():
        if name in arrays:
            array = _need(arrays, name, dtype, len(shape))
            if any(want is not None and want != got for want, got in zip(shape, array.shape, strict=True)):
                raise BodyMalformed(f"the shape of {name} does not match the images", field=name)
    rows = {"box_labels": "boxes", "boxes_valid": "boxes", "keypoints_valid": "keypoints"}
    for name, owner in rows.items():
        if name in arrays:
            ndim = len(shapes[owner][1]) - 1
            array = _need(arrays, name, "int64" if name == "box_labels" else "bool", ndim)
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


def _need(arrays: Arrays, name: str, dtype: str, ndim: int) -> np.ndarray:
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
