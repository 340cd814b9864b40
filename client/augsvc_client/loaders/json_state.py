"""A wrapped loader's own state as JSON, and back.

Tensors, arrays, bytes, tuples, sets, paths and keys that are not strings are tagged.
"""

import base64
import math
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from augsvc_client.errors import StateMismatch

_TAG = "__augsvc__"


def to_json(state: Any) -> Any:
    """A copy of the state in JSON's types; raises TypeError for a value that has no form in JSON."""
    if state is None or isinstance(state, bool | str) or type(state) is int:
        return state
    if isinstance(state, float):
        return float(state) if math.isfinite(state) else _tagged("float", str(state))
    if isinstance(state, list):
        return [to_json(entry) for entry in state]
    if isinstance(state, Mapping):
        if all(isinstance(key, str) for key in state) and _TAG not in state:
            return {str(key): to_json(value) for key, value in state.items()}
        return _tagged("dict", [[to_json(key), to_json(value)] for key, value in state.items()])
    for kind in (tuple, set, frozenset):
        if isinstance(state, kind):
            return _tagged(kind.__name__, [to_json(entry) for entry in state])
    return _leaf_to_json(state)


def _leaf_to_json(state: Any) -> Any:
    if isinstance(state, bytes):
        return _tagged("bytes", base64.b64encode(state).decode())
    if isinstance(state, PurePath):
        return _tagged("path", str(state))
    if hasattr(state, "detach"):
        return _tensor_to_json(state.detach().cpu().contiguous())
    if isinstance(state, np.ndarray | np.generic) and not state.dtype.hasobject:
        data = base64.b64encode(np.ascontiguousarray(state).tobytes()).decode()
        return _tagged("array", [state.dtype.str, list(state.shape), data])
    raise TypeError(f"the wrapped loader's state holds a {type(state).__name__}, which cannot be saved as JSON")


class NoJson:
    """In place of a state that has no form in JSON; `reason` is raised when it is saved."""

    def __init__(self, reason: TypeError) -> None:
        self.reason = reason


def try_to_json(state: Any) -> Any:
    """`to_json`, or NoJson: a state that is never saved may hold anything."""
    try:
        return to_json(state)
    except TypeError as err:
        return NoJson(err)


def _tensor_to_json(tensor: Any) -> dict[str, Any]:
    """A tensor on the CPU; the types that NumPy lacks (bfloat16) as their bytes."""
    import torch

    try:
        return _tagged("tensor", to_json(tensor.numpy()))
    except TypeError:
        data = to_json(tensor.reshape(-1).view(torch.uint8).numpy())
        return _tagged("tensor_bytes", [str(tensor.dtype).removeprefix("torch."), list(tensor.shape), data])


def _tagged(kind: str, content: Any) -> dict[str, Any]:
    return {_TAG: kind, "content": content}


def from_json(state: Any) -> Any:
    """The state that `to_json` was given; raises StateMismatch for anything else."""
    if isinstance(state, list):
        return [from_json(entry) for entry in state]
    if not isinstance(state, Mapping):
        return state
    if _TAG not in state:
        return {key: from_json(value) for key, value in state.items()}
    try:
        return _FROM[state[_TAG]](state["content"])
    except (KeyError, TypeError, ValueError) as err:
        raise StateMismatch("the wrapped loader's part of the state is damaged") from err


def _to_array(content: Any) -> Any:
    dtype, shape, data = content
    array = np.frombuffer(base64.b64decode(data), np.dtype(dtype)).reshape(shape).copy()
    return array if shape else array[()]


def _to_tensor(content: Any) -> Any:
    import torch

    return torch.from_numpy(np.array(from_json(content)))


def _to_tensor_of_bytes(content: Any) -> Any:
    import torch

    dtype, shape, data = content
    return torch.from_numpy(np.array(from_json(data))).view(getattr(torch, dtype)).reshape(shape)


_FROM: dict[str, Callable[[Any], Any]] = {
    "float": float,
    "dict": lambda pairs: {from_json(key): from_json(value) for key, value in pairs},
    "tuple": lambda entries: tuple(from_json(entry) for entry in entries),
    "bytes": base64.b64decode,
    "array": _to_array,
    "set": lambda entries: {from_json(entry) for entry in entries},
    "frozenset": lambda entries: frozenset(from_json(entry) for entry in entries),
    "path": Path,
    "tensor": _to_tensor,
    "tensor_bytes": _to_tensor_of_bytes,
}
