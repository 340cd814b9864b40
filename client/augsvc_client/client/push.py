"""Push mode: samples of one's own to a replica, and back augmented.

arrays → one safetensors body → POST /v1/augment → arrays in the one buffer that the socket was read into
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from augsvc_client import wire
from augsvc_client.errors import BadResponse
from augsvc_client.transport.connection import Request, Response

CONTENT = ("image", "audio")  # what is augmented; all else goes along


class Augmented(NamedTuple):
    """The same tensors, augmented, and the arithmetic id of the replica that did it."""

    arrays: wire.Arrays
    arithmetic: str


def push_request(
    tensors: Mapping[str, npt.NDArray[Any]],
    *,
    pipeline: str | Sequence[Mapping[str, object]],
    aug_seed: int,
    epoch: int,
    view: int,
    size: Sequence[int] | None,
    fit: str,
    output: Mapping[str, object] | None,
    sample_rate: int | None,
    expect_arithmetic: str | None,
    waited_s: float | None,
) -> Request:
    """The request for tensors that all have N rows; raises ValueError where they have not."""
    if "index" not in tensors or not tensors.keys() & set(CONTENT):
        raise ValueError(f"image or audio, and index, are required; got {', '.join(sorted(tensors)) or 'nothing'}")
    rows = {name: len(array) for name, array in tensors.items()}
    if len(set(rows.values())) != 1:
        raise ValueError(f"every tensor has one row for each sample, got {rows}")
    fields = {
        "pipeline": pipeline if isinstance(pipeline, str) else [dict(operation) for operation in pipeline],
        "aug_seed": aug_seed,
        "epoch": epoch,
        "view": view,
        "size": None if size is None else list(size),
        "fit": fit,
        "output": None if output is None else dict(output),
        "sample_rate": sample_rate,
        "expect_arithmetic": expect_arithmetic,
    }
    request = json.dumps({name: value for name, value in fields.items() if value is not None}, allow_nan=False)
    specs = {name: wire.TensorSpec(array.dtype.name, array.shape[1:]) for name, array in tensors.items()}
    layout = wire.Layout(specs, "", {"request": request})
    n = next(iter(rows.values()))
    body, views = layout.allocate(n)
    for name, array in tensors.items():
        views[name][:] = array
    layout.seal(body, n, epoch=0, start=0)
    headers = {"Content-Type": "application/x-safetensors", wire.DIGEST_HEADER: wire.digest(body)}
    if waited_s is not None:
        headers[wire.WAIT_HEADER] = str(round(waited_s * 1000))
    limit = _answer_bytes(tensors, n, size, output) + wire.MAX_HEADER_BYTES
    return Request("POST", "/v1/augment", headers, body.data, limit_bytes=limit)


def _answer_bytes(
    tensors: Mapping[str, npt.NDArray[Any]],
    n: int,
    size: Sequence[int] | None,
    output: Mapping[str, object] | None,
) -> int:
    """Those of a good answer, as the server lays it out; 0 where there is none, and it will say why."""
    specs = {name: wire.TensorSpec(array.dtype.name, array.shape[1:]) for name, array in tensors.items()}
    if "image" in specs:
        *canvas, channels = specs["image"].row or (0,)
        canvas = canvas if size is None else list(size)
        specs["image"] = wire.TensorSpec(str((output or {}).get("dtype", "uint8")), (*canvas, channels))
        if "mask" in specs:
            specs["mask"] = wire.TensorSpec("uint8", tuple(canvas))
    for name in specs.keys() & {"boxes", "keypoints"}:
        specs[f"{name}_valid"] = wire.TensorSpec("bool", specs[name].row[:1])
    try:
        return wire.Layout(specs, "").size(n)
    except ValueError:  # a dtype or a size that there is not
        return 0


def augmented(answer: Response, index: npt.NDArray[Any]) -> Augmented:
    """The answer's tensors; raises BadResponse if they are not those of the samples that were sent."""
    url = answer.replica.url
    arrays, metadata = answer.batch()
    if (
        not arrays.keys() & set(CONTENT)
        or not np.array_equal(arrays.get("index", ()), index)
        or "arithmetic" not in metadata
    ):
        raise BadResponse(f"{url} sent back other samples than it was given")
    return Augmented(arrays, metadata["arithmetic"])
