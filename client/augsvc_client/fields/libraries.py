"""What results need of NumPy and torch alike: a loader's are tensors, also on a GPU, those of `Client` are arrays."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def zeros(like: Any, shape: Sequence[int]) -> Any:
    """Zeros of this shape, in the library and dtype of `like`."""
    return np.zeros(shape, like.dtype) if isinstance(like, np.ndarray) else like.new_zeros(shape)


def convert(like: Any, values: Any) -> Any:
    """Values in the library and dtype of `like`."""
    return np.asarray(values, like.dtype) if isinstance(like, np.ndarray) else like.new_tensor(values)


def select_rows(values: npt.NDArray[Any], rows: Any) -> npt.NDArray[Any]:
    """The entry of `values` (…, K) at each of `rows` (…, K), an array or a tensor; all in their order if `rows` is None."""
    if rows is None:
        return values
    rows = np.asarray(rows.cpu() if hasattr(rows, "cpu") else rows).astype(np.intp)
    padded = np.zeros(rows.shape, values.dtype)  # an object may have fewer keypoints than others
    padded[..., : values.shape[-1]] = values
    return np.take_along_axis(padded, rows, axis=-1)[..., : values.shape[-1]]


def stack(entries: Sequence[Any]) -> Any:
    """Entries of one shape along a new first axis."""
    if isinstance(entries[0], np.ndarray | np.generic):
        return np.stack(entries)
    import torch

    return torch.stack(list(entries))


def with_dtype_of(array: Any, value: Any) -> Any:
    """The array in the dtype of `value`, if that belongs to the same library."""
    if isinstance(array, np.ndarray):
        return array.astype(value.dtype) if isinstance(value, np.ndarray) else array
    return array.to(value.dtype) if hasattr(value, "new_zeros") else array
