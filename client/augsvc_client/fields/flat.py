"""Fields that are one array of N rows: conversion to the tensors that the service takes, and back to the field's own form.

field (masks N,1,H,W; bbox N,4 as x y width height; keypoints N,K,3 …) → FlatField → tensor of its role → field
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from augsvc_client.fields.libraries import convert as convert_like
from augsvc_client.fields.libraries import select_rows, zeros
from augsvc_client.fields.roles import Path, join_path
from augsvc_client.wire import Arrays

_DTYPES: dict[str, type[np.generic]] = {
    "boxes": np.float32,
    "box_labels": np.int64,
    "mask_bits": np.uint8,
    "keypoints": np.float32,
    "boxes_valid": np.bool_,
    "keypoints_valid": np.bool_,
}
BOX_FORMATS = ("xyxy", "xywh")


class Form(NamedTuple):
    """What a field looked like: its shape, and the visibility of its keypoints if it has one."""

    shape: tuple[int, ...]
    visibility: npt.NDArray[Any] | None = None


@dataclass(frozen=True, slots=True)
class FlatField:
    """A field that is sent as the tensor of its role. `path`: its name, below those of the mappings that hold it."""

    path: Path
    role: str
    layout: str
    box_format: str | None = None
    has_window: bool = False  # of an image: the request maps its numbers

    @property
    def name(self) -> str:
        """The name for messages."""
        return join_path(self.path)

    def to_arrays(self, value: object) -> tuple[Arrays, Form]:
        """The tensors to send, `_valid` too if the field holds it, and the field's own form."""
        given = to_array(self.name, value)
        array, form = convert(self, given), Form(given.shape)
        if self.role == "boxes":
            return {"boxes": self._to_corners(array)}, form
        if self.role == "keypoints" and array.ndim in (3, 4) and array.shape[-1] == 3:
            visibility = array[..., 2]
            if not np.isin(visibility, (0, 1, 2)).all():
                raise ValueError(f"{self.name} is N,K,2, or N,K,3 with a visibility of 0, 1 or 2")
            return {"keypoints": array[..., :2], "keypoints_valid": visibility > 0}, form._replace(
                visibility=visibility
            )
        return {self.role: array}, form

    def restore(self, moved: Mapping[str, Any], form: Form) -> dict[Path, Any]:
        """The field in its own form, from the response's tensors, and `<name>_valid` beside boxes and keypoints."""
        tensor = moved[self.role]
        if self.role in ("boxes", "keypoints"):
            return self._with_valid(tensor, moved[f"{self.role}_valid"], form, moved.get("keypoint_rows"))
        if self.role == "mask" and len(form.shape) == 4:  # N,1,H,W or N,H,W,1
            tensor = tensor[:, None] if form.shape[1] == 1 else tensor[..., None]
        return {self.path: tensor}

    def _with_valid(self, tensor: Any, valid: Any, form: Form, rows: Any) -> dict[Path, Any]:
        if self.role == "boxes" and self.box_format == "xywh":
            tensor[..., 2:] -= tensor[..., :2]
        if form.visibility is not None:
            points = zeros(tensor, form.shape)
            points[..., :2] = tensor
            points[..., 2] = convert_like(tensor, select_rows(form.visibility, rows)) * valid
            tensor = points
        if len(form.shape) == 2:  # one box for each sample
            tensor, valid = tensor[:, 0], valid[:, 0]
        return {self.path: tensor, (*self.path[:-1], f"{self.path[-1]}_valid"): valid}

    def _to_corners(self, boxes: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if boxes.ndim == 2 and boxes.shape[1] == 4:
            boxes = boxes[:, None]
        if boxes.ndim != 3 or boxes.shape[2] != 4:
            raise ValueError(f"{self.name} is N,M,4 or N,4, got the shape {boxes.shape}")
        if self.box_format == "xywh":
            boxes = boxes.copy()
            boxes[..., 2:] += boxes[..., :2]
        return boxes


def read_box_format(boxes: Any) -> str | None:
    """The form that torchvision's BoundingBoxes state, alone or as the first of a list: "xyxy", "cxcywh"; None for others."""
    first = boxes[0] if isinstance(boxes, list | tuple) and boxes else boxes
    form = getattr(getattr(first, "format", None), "value", None)
    return form.lower() if isinstance(form, str) else None


def convert(field: FlatField, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array as the service takes it; raises ValueError if that is not possible."""
    if field.role == "image":
        return _convert_numbers(array, field.layout) if field.has_window else _convert_image(array, field.layout)
    if field.role == "audio":
        return _convert_audio(array)
    if field.role == "mask":
        return _convert_mask(field.name, array)
    if field.role == "lengths":
        return _convert_lengths(field.name, array)
    return cast(field.name, array, _DTYPES[field.role]) if field.role in _DTYPES else array


def to_array(name: str, value: Any) -> npt.NDArray[Any]:
    """A copy as a NumPy array, also of a tensor on a GPU."""
    try:
        if hasattr(value, "detach"):
            value = value.detach().cpu()
            value = (value.float() if value.is_floating_point() and value.itemsize < 4 else value).numpy()
        return np.array(value)
    except (TypeError, ValueError, RuntimeError) as err:  # the last one of a nested tensor
        raise ValueError(
            f"{name} is a tensor or array with one row for each sample; rows of different lengths are padded, with "
            f"{name}_valid to mark the entries that count"
        ) from err


def cast(name: str, array: npt.NDArray[Any], dtype: type[np.generic]) -> npt.NDArray[Any]:
    """The array in this dtype; raises ValueError if that changes the kind of its numbers."""
    try:
        return array.astype(dtype, casting="unsafe" if dtype is np.bool_ else "same_kind", copy=False)
    except TypeError as err:
        raise ValueError(f"{name} must be {np.dtype(dtype).name}, got {array.dtype.name}") from err


def _convert_image(array: npt.NDArray[Any], layout: str) -> npt.NDArray[np.uint8]:
    _require_shape(array, layout)
    if np.issubdtype(array.dtype, np.floating):
        low, high = (array.min(), array.max()) if array.size else (0.0, 0.0)
        if not (low >= 0 and high <= 1):  # also refuses NaN
            raise ValueError(
                f"image is uint8, or float in [0, 1] before normalisation; got floats from {low:g} to {high:g}: set "
                f"window=(low, high) to the numbers that are black and white"
            )
        array = np.rint(array * array.dtype.type(255)).astype(np.uint8)
    if array.dtype != np.uint8:
        raise ValueError(
            f"image is uint8, or float in [0, 1], got {array.dtype.name}: set window=(low, high) to the numbers that are "
            f"black and white"
        )
    return array if layout == "NHWC" else array.transpose(0, 2, 3, 1)


def _convert_numbers(array: npt.NDArray[Any], layout: str) -> npt.NDArray[Any]:
    """Bytes and uint16 as they are, all other numbers as float32."""
    _require_shape(array, layout)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"image is integers or floats, got {array.dtype.name}")
    if array.dtype not in (np.uint8, np.uint16):
        array = array.astype(np.float32)
    return array if layout == "NHWC" else array.transpose(0, 2, 3, 1)


def _require_shape(array: npt.NDArray[Any], layout: str) -> None:
    if array.ndim != 4 or array.shape[3 if layout == "NHWC" else 1] not in (1, 3):
        hint = "; set layout='NCHW'" if layout == "NHWC" and array.ndim == 4 and array.shape[1] in (1, 3) else ""
        raise ValueError(f"image is {','.join(layout)} with C of 1 or 3, got the shape {array.shape}{hint}")


def _convert_audio(array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    if array.ndim not in (2, 3):
        raise ValueError(f"audio is N,T or N,C,T, got the shape {array.shape}")
    if array.ndim == 3 and array.shape[1] == 1:
        raise ValueError(f"audio of one channel is N,T, got the shape {array.shape}: send x[:, 0]")
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"audio is float, full scale at ±1 (16 bits: divide by 32768), got {array.dtype.name}")
    return array.astype(np.float32, copy=False)


def _convert_lengths(name: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise ValueError(
            f"{name} is the number of samples of each clip, integers N, got {array.dtype.name} of the shape {array.shape}; "
            f"set passthrough=({name!r},) if it is something else"
        )
    return array if array.dtype == np.int32 else array.astype(np.int64)


def _convert_mask(name: str, array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if array.ndim == 4 and 1 in (array.shape[1], array.shape[3]):
        array = array[:, 0] if array.shape[1] == 1 else array[..., 0]
    if array.dtype.kind not in "bui" or (array.size and not 0 <= array.min() <= array.max() <= 255):
        raise ValueError(f"{name} is uint8 N,H,W, or other integers in 0 … 255 (255: outside the source)")
    if array.ndim != 3:
        raise ValueError(f"{name} is one mask for each sample, N,H,W, got the shape {array.shape}")
    return array.astype(np.uint8, copy=False)
