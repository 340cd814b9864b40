"""What results need of NumPy and torch alike: a loader's are tensors, also on a GPU, those of `Client` are arrays."""

from collections.abc import Sequence
from typing import Any

import numpy as np


def zeros(like: Any, shape: Sequence[int]) -> Any:
    """Zeros of this shape, in the library and dtype of `like`."""
    return np.zeros(shape, like.dtype) if isinstance(like, np.ndarray) else like.new_zeros(shape)


def convert(like: Any, values: Any) -> Any:
    """Values in the library and dtype of `like`."""
    return np.asarray(values, like.dtype) if isinstance(like, np.ndarray) else like.new_tensor(values)


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
