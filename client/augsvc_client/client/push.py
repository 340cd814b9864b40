"""Push mode: the caller's samples are sent to a replica and returned augmented.

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

CONTENT = ("image", "audio")  # the tensors that are augmented; all others accompany them


class Augmented(NamedTuple):
    """The same tensors, augmented, and the arithmetic id of the replica that computed them."""

    arrays: wire.Arrays
    arithmetic: str


def push_request(tensors: Mapping[str, npt.NDArray[Any]], fields: Mapping[str, Any], waited_s: float | None) -> Request:
    """The request for tensors with N rows each; `fields` is its JSON. Raises ValueError if the rows differ."""
    if "index" not in tensors or not tensors.keys() & set(CONTENT):
        raise ValueError(f"image or audio, and index, are required; got {', '.join(sorted(tensors)) or 'no tensors'}")
    if empty := [name for name, array in tensors.items() if array is None]:
        raise ValueError(f"{empty[0]} is None; leave it out")
    rows = {name: len(array) for name, array in tensors.items()}
    if len(set(rows.values())) != 1:
        raise ValueError(f"every tensor has one row for each sample, got {rows}")
    n = rows["index"]
    layout = wire.Layout(_specs(tensors), "", {"request": json.dumps(fields, allow_nan=False)})
    body, views = layout.allocate(n)
    for name, array in tensors.items():
        views[name][:] = array
    layout.seal(body, n, epoch=0, start=0)
    headers = {"Content-Type": "application/x-safetensors", wire.DIGEST_HEADER: wire.digest(body)}
    if waited_s is not None:
        headers[wire.WAIT_HEADER] = str(round(waited_s * 1000))
    limit = _response_bytes(tensors, n, fields.get("size"), fields.get("output") or {}) + wire.MAX_HEADER_BYTES
    return Request("POST", "/v1/augment", headers, body.data, limit_bytes=limit)


def _specs(tensors: Mapping[str, npt.NDArray[Any]]) -> dict[str, wire.TensorSpec]:
    return {name: wire.TensorSpec(array.dtype.name, array.shape[1:]) for name, array in tensors.items()}


def _response_bytes(
    tensors: Mapping[str, npt.NDArray[Any]], n: int, size: Sequence[int] | None, output: Mapping[str, object]
) -> int:
    """The bytes of a good response, as the server lays it out; 0 for a request that it will refuse."""
    specs = _specs(tensors)
    if "image" in specs:
        *canvas, channels = specs["image"].row or (0,)
        canvas = canvas if size is None else list(size)
        specs["image"] = wire.TensorSpec(str(output.get("dtype", "uint8")), (*canvas, channels))
        if "mask" in specs:
            specs["mask"] = wire.TensorSpec("uint8", tuple(canvas))
    for name in specs.keys() & {"boxes", "keypoints"}:
        specs[f"{name}_valid"] = wire.TensorSpec("bool", specs[name].row[:1])
    try:
        return wire.Layout(specs, "").size(n)
    except ValueError:  # an unknown dtype or an impossible size
        return 0


def parse_augmented(response: Response, tensors: Mapping[str, npt.NDArray[Any]]) -> Augmented:
    """The response's tensors; raises BadResponse if they are not those of the samples that were sent."""
    arrays, metadata = response.batch()
    index = tensors["index"]
    expected = tensors.keys() | {f"{name}_valid" for name in tensors.keys() & {"boxes", "keypoints"}}
    complete = expected <= arrays.keys() and all(array.shape[:1] == index.shape for array in arrays.values())
    if not complete or not np.array_equal(arrays["index"], index) or not metadata.get("arithmetic"):
        raise BadResponse(f"{response.replica.url} returned samples other than those it was sent")
    return Augmented(arrays, metadata["arithmetic"])
