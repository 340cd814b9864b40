"""The tensors of a stream's batches, and the keys of their samples."""

from collections.abc import Sequence

import numpy as np

from augsvc.arrays import U8
from augsvc.data.source import SourceInfo
from augsvc.errors import SpecInvalid
from augsvc_client.wire import TensorSpec

MAX_KEY_BYTES = 4096  # of the longest key: it is the width of `key`


def view_tensors(rendered: dict[str, TensorSpec], info: SourceInfo, images: int) -> dict[str, TensorSpec]:
    """The tensors that each view has: those that are rendered, boxes and keypoints; `images` are a sample and its partners."""
    boxes, keypoints = images * info.boxes, images * info.keypoints
    tensors = dict(rendered)
    if boxes:
        tensors["boxes"], tensors["boxes_valid"] = TensorSpec("float32", (boxes, 4)), TensorSpec("bool", (boxes,))
    if keypoints:
        tensors["keypoints"] = TensorSpec("float32", (keypoints, 2))
        tensors["keypoints_valid"] = TensorSpec("bool", (keypoints,))
    return tensors


def common_tensors(info: SourceInfo, images: int, tiles: int) -> dict[str, TensorSpec]:
    """The tensors that all views share; `tiles` of a collage, 0 without one."""
    tensors = {
        "label": TensorSpec(*info.label_tensor),
        "index": TensorSpec("int64", ()),
        "valid": TensorSpec("bool", ()),
    }
    if tiles:
        tensors |= {"tile_labels": TensorSpec("int64", (tiles,)), "tile_weights": TensorSpec("float32", (tiles,))}
    elif images > 1:
        tensors |= {"label2": TensorSpec("int64", ()), "mix_weight": TensorSpec("float32", ())}
    if info.boxes:
        tensors["box_labels"] = TensorSpec("int64", (images * info.boxes,))
    return tensors


def key_tensor(longest: int) -> TensorSpec:
    """The tensor of keys in UTF-8, with zeros after their ends; refuses keys over MAX_KEY_BYTES with SpecInvalid."""
    if longest > MAX_KEY_BYTES:
        raise SpecInvalid(
            f"the longest key of this dataset has {longest:,} bytes, and a batch holds {MAX_KEY_BYTES:,}", field="keys"
        )
    return TensorSpec("uint8", (longest,))


def fill_keys(keys: Sequence[str], out: U8) -> None:
    """Writes one key a row into `out` (N, W)."""
    width = out.shape[1]
    joined = b"".join(key.encode().ljust(width, b"\0") for key in keys)
    out[:] = np.frombuffer(joined, np.uint8).reshape(-1, width)
