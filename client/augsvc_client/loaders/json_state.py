"""A wrapped loader's own state as JSON, and back: tensors, arrays, bytes, tuples and keys that are not strings are tagged."""

import base64
import math
from collections.abc import Callable, Mapping
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
    if isinstance(state, tuple):
        return _tagged("tuple", [to_json(entry) for entry in state])
    if isinstance(state, bytes):
        return _tagged("bytes", base64.b64encode(state).decode())
    if hasattr(state, "detach"):
        return _tagged("tensor", to_json(state.detach().cpu().numpy()))
    if isinstance(state, np.ndarray | np.generic) and not state.dtype.hasobject:
        data = base64.b64encode(np.ascontiguousarray(state).tobytes()).decode()
        return _tagged("array", [state.dtype.str, list(state.shape), data])
    raise TypeError(f"the wrapped loader's state holds a {type(state).__name__}, which cannot be saved as JSON")


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


_FROM: dict[str, Callable[[Any], Any]] = {
    "float": float,
    "dict": lambda pairs: {from_json(key): from_json(value) for key, value in pairs},
    "tuple": lambda entries: tuple(from_json(entry) for entry in entries),
    "bytes": base64.b64decode,
    "array": _to_array,
    "tensor": _to_tensor,
}
