"""Samples of the caller's own, as his loader gives them, as the arrays that the service takes.

batch (dict, tuple, list) → fields by name → arrays for the service, and a rest that it does not know
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
_KNOWN = {*CONTENT, "label", "mask", *_DTYPES}  # what the service takes; everything else is handed through


@dataclass(frozen=True, slots=True)
class Reader:
    """Turns a batch of the wrapped loader into arrays for the service and a rest that it does not know."""

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

    def named(self, batch: object) -> dict[str, Any]:
        """Raises ValueError for what is no batch with pictures or sound."""
        if isinstance(batch, Mapping):
            found = dict(batch)
        elif isinstance(batch, tuple | list) and len(batch) == len(self.fields):
            found = dict(zip(self.fields, batch, strict=True))
        else:
            many = f" of {len(batch)}" if isinstance(batch, tuple | list) else ""
            raise ValueError(
                f"a batch is a dict, or a tuple in the order of fields={self.fields}; the wrapped loader gave "
                f"{type(batch).__name__}{many}"
            )
        there = ", ".join(map(str, found)) or "nothing"
        if len(found.keys() & set(CONTENT)) != 1:
            raise ValueError(f"the wrapped loader's batch has {there}: it needs 'image', or 'audio', one of them")
        if self.index_key is not None and self.index_key not in found:
            raise ValueError(f"the wrapped loader's batch has no {self.index_key!r}, only {there}")
        if "index" in found and self.index_key != "index":
            raise ValueError("the batch has a field 'index': say index_key='index' to use it, or give it another name")
        return found

    def split(self, found: Mapping[str, Any]) -> tuple[Arrays, dict[str, Any]]:
        """Arrays of the caller's own tensors, copied: a loader may fill the same buffers again while they wait."""
        arrays = {name: _converted(name, value, self.layout) for name, value in found.items() if name in _KNOWN}
        if self.index_key is not None:
            arrays["index"] = _cast("index", _array("index", found[self.index_key]), np.int64)
        return arrays, {name: value for name, value in found.items() if name not in _KNOWN and name != "index"}


def count(found: Mapping[str, Any]) -> int:
    """How many samples a named batch holds."""
    return next(len(found[name]) for name in CONTENT if name in found)


def _converted(name: str, value: object, layout: str) -> npt.NDArray[Any]:
    array = _array(name, value)
    if name == "image":
        return _pixels(array, layout)
    if name == "audio":
        return _sound(array)
    if name == "mask":
        return _mask(array)
    return _cast(name, array, _DTYPES[name]) if name in _DTYPES else array


def _array(name: str, value: Any) -> npt.NDArray[Any]:
    """A copy as a NumPy array, of a tensor on any device too."""
    try:
        if hasattr(value, "detach"):
            value = value.detach().cpu()
            value = (value.float() if value.is_floating_point() and value.itemsize < 4 else value).numpy()
        return np.array(value)
    except (TypeError, ValueError) as err:
        raise ValueError(
            f"{name} is a tensor or array with one row for each sample; what differs in number is padded, with "
            f"{name}_valid to say which rows count"
        ) from err


def _cast(name: str, array: npt.NDArray[Any], dtype: type[np.generic]) -> npt.NDArray[Any]:
    try:
        return array.astype(dtype, casting="unsafe" if dtype is np.bool_ else "same_kind", copy=False)
    except TypeError as err:
        raise ValueError(f"{name} is {np.dtype(dtype).name}, got {array.dtype.name}") from err


def _pixels(array: npt.NDArray[Any], layout: str) -> npt.NDArray[np.uint8]:
    if array.ndim != 4 or array.shape[3 if layout == "NHWC" else 1] not in (1, 3):
        hint = "; give layout='NCHW'" if layout == "NHWC" and array.ndim == 4 and array.shape[1] in (1, 3) else ""
        raise ValueError(f"image is {','.join(layout)} with C of 1 or 3, got the shape {array.shape}{hint}")
    if np.issubdtype(array.dtype, np.floating):
        low, high = (array.min(), array.max()) if array.size else (0.0, 0.0)
        if not (low >= 0 and high <= 1):  # NaN is in no range
            raise ValueError(
                f"image is uint8, or float in [0, 1] and not normalised yet; got floats from {low:g} to {high:g}"
            )
        array = np.rint(array * array.dtype.type(255)).astype(np.uint8)
    if array.dtype != np.uint8:
        raise ValueError(f"image is uint8, or float in [0, 1], got {array.dtype.name}")
    return array if layout == "NHWC" else array.transpose(0, 2, 3, 1)


def _sound(array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    if array.ndim != 2:
        hint = "; one channel a clip: take x[:, 0]" if array.ndim == 3 else ""
        raise ValueError(f"audio is N,T, got the shape {array.shape}{hint}")
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"audio is float, full scale at ±1 (16 bits: divide by 32768), got {array.dtype.name}")
    return array.astype(np.float32, copy=False)


def _mask(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if array.dtype.kind not in "bui" or (array.size and not 0 <= array.min() <= array.max() <= 255):
        raise ValueError("mask is uint8 N,H,W, or other integers in 0 … 255 (255: shows nothing of the source)")
    return array.astype(np.uint8, copy=False)
