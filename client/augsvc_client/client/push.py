"""Push mode: the caller's samples are sent to a replica and returned augmented.

arrays → one safetensors body → POST /v1/augment → arrays in the one buffer that the socket was read into
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from augsvc_client import wire
from augsvc_client.errors import BadResponse
from augsvc_client.fields.coordinates import require_pixels
from augsvc_client.fields.flat import cast, to_array
from augsvc_client.fields.parts import add_indices, restore_batch
from augsvc_client.fields.reader import Reader
from augsvc_client.fields.roles import CONTENT, role_of
from augsvc_client.transport.connection import Request, Response

# of the tensors on the wire: dtypes, axes; a label has any
_FORMS: Mapping[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
    "image": (("uint8",), (4,)),
    "audio": (("float32",), (2, 3)),  # of one channel, or of several
    "index": (("int64",), (1,)),
    "lengths": (("int32", "int64"), (1,)),
    "mask": (("uint8",), (3,)),
    "mask_bits": (("uint8",), (4,)),
    "boxes": (("float32",), (3,)),
    "box_labels": (("int64",), (2,)),
    "boxes_valid": (("bool",), (2,)),
    "keypoints": (("float32",), (3, 4)),  # of all objects, or of each
    "keypoints_valid": (("bool",), (2, 3)),
}
_STILL_KINDS = ("tone", "filter", "noise", "erase", "opaque")  # every other kind may move pixels


class Augmented(NamedTuple):
    """The same fields, augmented, and the arithmetic id of the replica that computed them."""

    arrays: dict[str, Any]
    arithmetic: str


Push = Callable[[wire.Arrays, Mapping[str, Any], float | None], Augmented]  # tensors, request, time waited


def is_wire_form(batch: object) -> bool:
    """Whether a batch can be sent as it is: arrays with the names, dtypes and axes of the wire."""
    return isinstance(batch, Mapping) and all(_is_wire_tensor(name, value) for name, value in batch.items())


def check_coordinates(tensors: Mapping[str, Any], moves: Callable[[], bool]) -> None:
    """Raises ValueError for boxes and keypoints in fractions of the image; `moves`: whether the request moves pixels."""
    for role in ("boxes", "keypoints"):
        if role in tensors and "image" in tensors and len(tensors[role]) and (role == "boxes" or moves()):
            require_pixels(role, role, [tensors])


def _is_wire_tensor(name: str, value: object) -> bool:
    if not isinstance(value, np.ndarray):
        return False
    dtypes, axes = _FORMS.get(name, ((), ()))
    with_visibility = name == "keypoints" and value.shape[-1:] == (3,)
    return name == "label" or (value.dtype.name in dtypes and value.ndim in axes and not with_visibility)


def augment_fields(
    batch: Mapping[str, Any], reader: Reader, push: Push, request: Mapping[str, Any], waited_s: float | None
) -> Augmented:
    """Augments a batch of any form that `reader` takes: one push for the samples of each size, all with one arithmetic."""
    named = reader.name_fields(batch)
    parts, rest = reader.split(named)
    index = cast("index", to_array("index", named["index"]), np.int64)
    responses = []
    for arrays in add_indices(parts, index):
        responses.append(push(arrays, request, waited_s))
        request, waited_s = {**request, "expect_arithmetic": responses[-1].arithmetic}, None
    canvas = request.get("size")
    fields = restore_batch(parts, rest, [response.arrays for response in responses], canvas)
    for name, value in named.items():  # a list stays one, also of images of one size
        if canvas is None and isinstance(value, list | tuple) and (name in CONTENT or role_of(name) == "mask"):
            fields[name] = list(fields[name])
    return Augmented(fields, responses[0].arithmetic)


def moves_pixels(request: Mapping[str, Any], kinds: Callable[[], Mapping[str, str]]) -> bool:
    """Whether a request can move pixels, so that labels that stay behind would be wrong. `kinds`: those of all operations."""
    pipeline = request["pipeline"]
    if request.get("size") is not None:
        return True
    if isinstance(pipeline, str) or not pipeline:
        return bool(pipeline) and pipeline != "none"  # every other preset moves pixels
    return any(_moves(step, kinds()) for step in pipeline)


def _moves(step: Mapping[str, Any], kinds: Mapping[str, str]) -> bool:
    """Whether an operation, or one of those in a container, can move pixels; a policy's do."""
    children = step.get("of")
    if isinstance(children, list):
        return any(not isinstance(child, Mapping) or _moves(child, kinds) for child in children)
    return kinds.get(str(step.get("op"))) not in _STILL_KINDS


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
    if "image" in tensors and "keypoints" not in tensors:  # a batch without objects; beside audio the server refuses it
        fields = {name: value for name, value in fields.items() if name != "flip_pairs"}
    layout = wire.Layout(_specs(tensors), "", {"request": json.dumps(fields, allow_nan=False)})
    body, views = layout.allocate(n)
    for name, array in tensors.items():
        views[name][:] = array
    layout.seal(body, n, epoch=0, start=0)
    headers = {"Content-Type": "application/x-safetensors", wire.DIGEST_HEADER: wire.digest(body)}
    if waited_s is not None:
        headers[wire.WAIT_HEADER] = str(round(waited_s * 1000))
    expected = _response_layout(tensors, fields)
    limit = (0 if expected is None else expected.size(n)) + wire.MAX_HEADER_BYTES
    return Request("POST", "/v1/augment", headers, body.data, limit_bytes=limit)


def _specs(tensors: Mapping[str, npt.NDArray[Any]]) -> dict[str, wire.TensorSpec]:
    return {name: wire.TensorSpec(array.dtype.name, array.shape[1:]) for name, array in tensors.items()}


def _response_layout(tensors: Mapping[str, npt.NDArray[Any]], fields: Mapping[str, Any]) -> wire.Layout | None:
    """The tensors of a good response, as the server lays them out; None for a request that it will refuse."""
    specs, size, output = _specs(tensors), fields.get("size"), fields.get("output") or {}
    try:
        if "image" in specs:
            *canvas, channels = specs["image"].row
            canvas = canvas if size is None else list(size)
            row = (*canvas, channels) if output.get("layout") == "NHWC" else (channels, *canvas)
            specs["image"] = wire.TensorSpec(str(output.get("dtype", "uint8")), row)
            if "mask" in specs:
                specs["mask"] = wire.TensorSpec("uint8", tuple(canvas))
            if "mask_bits" in specs:
                specs["mask_bits"] = wire.TensorSpec("uint8", (specs["mask_bits"].row[0], *canvas))
        for name in specs.keys() & {"boxes", "keypoints"}:
            specs[f"{name}_valid"] = wire.TensorSpec("bool", specs[name].row[:-1])
        if "flip_pairs" in fields and "keypoints" in specs:
            specs["keypoint_rows"] = wire.TensorSpec("int32", specs["keypoints"].row[:-1])
        return wire.Layout(specs, "")
    except (ValueError, TypeError):  # an unknown dtype or an impossible size
        return None


def parse_augmented(
    response: Response, tensors: Mapping[str, npt.NDArray[Any]], fields: Mapping[str, Any]
) -> Augmented:
    """The response's tensors; raises BadResponse if they are not those of the samples that were sent, or of other forms."""
    arrays, metadata = response.batch()
    index = tensors["index"]
    expected = tensors.keys() | {f"{name}_valid" for name in tensors.keys() & {"boxes", "keypoints"}}
    complete = expected <= arrays.keys() and all(array.shape[:1] == index.shape for array in arrays.values())
    if not complete or not np.array_equal(arrays["index"], index) or not metadata.get("arithmetic"):
        raise BadResponse(f"{response.replica.url} returned samples other than those it was sent")
    layout = _response_layout(tensors, fields)
    for name, spec in layout.tensors.items() if layout is not None else ():
        array = arrays.get(name)
        if array is None or (array.dtype, array.shape[1:]) != (spec.held, spec.row):
            form = "none" if array is None else f"{array.dtype.name} of {list(array.shape[1:])}"
            raise BadResponse(
                f"{response.replica.url} returned {form} as {name}, expected {spec.held.name} of {list(spec.row)}"
            )
    return Augmented(arrays, metadata["arithmetic"])
