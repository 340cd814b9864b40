"""Turns the batches of a caller's loader into the arrays that the service takes.

batch (dict, tuple, list) → fields by name → arrays for the service, and the other fields
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from augsvc_client.client.push import CONTENT
from augsvc_client.wire import Arrays

_DTYPES: dict[str, type[np.generic]] = {
    "boxes": np.float32,
    "box_labels": np.int64,
    "keypoints": np.float32,
    "boxes_valid": np.bool_,
    "keypoints_valid": np.bool_,
}
_KNOWN = {*CONTENT, "label", "mask", *_DTYPES}  # sent to the service; all other fields are passed through


@dataclass(frozen=True, slots=True)
class Reader:
    """Splits a batch of the wrapped loader into arrays for the service and fields that are passed through."""

    fields: Sequence[str]
    layout: str
    index_key: str | None

    def __post_init__(self) -> None:
        if self.layout not in ("NHWC", "NCHW"):
            raise ValueError(f"layout is 'NHWC' or 'NCHW', got {self.layout!r}")
        if isinstance(self.fields, str) or len(set(self.fields)) != len(self.fields):
            raise ValueError(
                f"fields is a tuple of distinct names, for example ('image', 'label'), got {self.fields!r}"
            )

    def name_fields(self, batch: object) -> dict[str, Any]:
        """The batch's fields by name; raises ValueError if it is not a batch of images or sound."""
        if isinstance(batch, Mapping):
            named = dict(batch)
        elif isinstance(batch, tuple | list) and len(batch) == len(self.fields):
            named = dict(zip(self.fields, batch, strict=True))
        else:
            length = f" of {len(batch)}" if isinstance(batch, tuple | list) else ""
            raise ValueError(
                f"a batch is a dict, or a tuple in the order of fields={self.fields}; the wrapped loader gave "
                f"{type(batch).__name__}{length}"
            )
        names = ", ".join(map(str, named)) or "no fields"
        if len(named.keys() & set(CONTENT)) != 1:
            raise ValueError(
                f"the wrapped loader's batch has {names}: it needs 'image' or 'audio', exactly one of them"
            )
        if self.index_key is not None and self.index_key not in named:
            raise ValueError(f"the wrapped loader's batch has no {self.index_key!r}, only {names}")
        if "index" in named and self.index_key != "index":
            raise ValueError("the batch has a field 'index': set index_key='index' to use it, or rename the field")
        return named

    def split(self, named: Mapping[str, Any]) -> tuple[Arrays, dict[str, Any]]:
        """Arrays copied from the caller's tensors, which a loader may refill while they wait, and the other fields."""
        arrays = {name: _convert(name, value, self.layout) for name, value in named.items() if name in _KNOWN}
        if self.index_key is not None:
            arrays["index"] = _cast("index", _to_array("index", named[self.index_key]), np.int64)
        return arrays, {name: value for name, value in named.items() if name not in _KNOWN and name != "index"}


def count_samples(named: Mapping[str, Any]) -> int:
    """The number of samples in a batch."""
    return next(len(named[name]) for name in CONTENT if name in named)


def _convert(name: str, value: object, layout: str) -> npt.NDArray[Any]:
    array = _to_array(name, value)
    if name == "image":
        return _convert_image(array, layout)
    if name == "audio":
        return _convert_audio(array)
    if name == "mask":
        return _convert_mask(array)
    return _cast(name, array, _DTYPES[name]) if name in _DTYPES else array


def _to_array(name: str, value: Any) -> npt.NDArray[Any]:
    """A copy as a NumPy array, also of a tensor on a GPU."""
    try:
        if hasattr(value, "detach"):
            value = value.detach().cpu()
            value = (value.float() if value.is_floating_point() and value.itemsize < 4 else value).numpy()
        return np.array(value)
    except (TypeError, ValueError) as err:
        raise ValueError(
            f"{name} is a tensor or array with one row for each sample; rows of different lengths are padded, with "
            f"{name}_valid to mark the entries that count"
        ) from err


def _cast(name: str, array: npt.NDArray[Any], dtype: type[np.generic]) -> npt.NDArray[Any]:
    try:
        return array.astype(dtype, casting="unsafe" if dtype is np.bool_ else "same_kind", copy=False)
    except TypeError as err:
        raise ValueError(f"{name} must be {np.dtype(dtype).name}, got {array.dtype.name}") from err


def _convert_image(array: npt.NDArray[Any], layout: str) -> npt.NDArray[np.uint8]:
    if array.ndim != 4 or array.shape[3 if layout == "NHWC" else 1] not in (1, 3):
        hint = "; set layout='NCHW'" if layout == "NHWC" and array.ndim == 4 and array.shape[1] in (1, 3) else ""
        raise ValueError(f"image is {','.join(layout)} with C of 1 or 3, got the shape {array.shape}{hint}")
    if np.issubdtype(array.dtype, np.floating):
        low, high = (array.min(), array.max()) if array.size else (0.0, 0.0)
        if not (low >= 0 and high <= 1):  # also refuses NaN
            raise ValueError(
                f"image is uint8, or float in [0, 1] before normalisation; got floats from {low:g} to {high:g}"
            )
        array = np.rint(array * array.dtype.type(255)).astype(np.uint8)
    if array.dtype != np.uint8:
        raise ValueError(f"image is uint8, or float in [0, 1], got {array.dtype.name}")
    return array if layout == "NHWC" else array.transpose(0, 2, 3, 1)


def _convert_audio(array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    if array.ndim != 2:
        hint = "; select one channel, for example x[:, 0]" if array.ndim == 3 else ""
        raise ValueError(f"audio is N,T, got the shape {array.shape}{hint}")
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"audio is float, full scale at ±1 (16 bits: divide by 32768), got {array.dtype.name}")
    return array.astype(np.float32, copy=False)


def _convert_mask(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if array.dtype.kind not in "bui" or (array.size and not 0 <= array.min() <= array.max() <= 255):
        raise ValueError("mask is uint8 N,H,W, or other integers in 0 … 255 (255: outside the source)")
    return array.astype(np.uint8, copy=False)
