"""Bodies of the Open Inference Protocol, version 2, with its binary tensor extension.

    JSON header │ tensors in the order of `inputs` or `outputs`, little-endian, row-major, without gaps

The request header Inference-Header-Content-Length is the length of the JSON; without it the body is JSON alone, with the
tensors' values in `data`. Source: the protocol's definition, https://github.com/kserve/open-inference-protocol, and
Triton's extension_binary_data.md.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from augsvc.arrays import U8, Arrays
from augsvc.errors import BatchTooLarge, BodyMalformed, RequestTooLarge, SpecInvalid
from augsvc.validation import explain, parse_json

LENGTH_HEADER = "Inference-Header-Content-Length"
ALIGNMENT = 64  # of the first tensor in memory
MAX_JSON_BYTES = 1 << 20  # parsing holds the interpreter for up to 44 ms (of 260,000 floats)
MAX_JSON_VALUES = 1 << 18  # of a response: 0.1 s to write
_CHUNK = 4096  # values written without interruption
_DATATYPES: Mapping[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
}
_NAMES = {dtype.name: name for name, dtype in _DATATYPES.items()}
_JSON_TYPES: Mapping[str, tuple[type, ...]] = {"b": (bool,), "i": (int,), "u": (int,), "f": (int, float)}

Datatype = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64"
]
_Name = Annotated[str, Field(min_length=1, max_length=64, strict=True)]
_Natural = Annotated[int, Field(ge=0, lt=1 << 53, strict=True)]
_STRICT = ConfigDict(frozen=True, extra="forbid")


class _InputParameters(BaseModel):
    model_config = _STRICT
    binary_data_size: _Natural | None = None


class _Input(BaseModel):
    model_config = _STRICT
    name: _Name
    shape: Annotated[tuple[_Natural, ...], Field(max_length=8)]
    datatype: Datatype
    parameters: _InputParameters = _InputParameters()
    data: Any = None


class _OutputParameters(BaseModel):
    model_config = _STRICT
    binary_data: Annotated[bool, Field(strict=True)] | None = None


class _Output(BaseModel):
    model_config = _STRICT
    name: _Name
    parameters: _OutputParameters = _OutputParameters()


class _Header(BaseModel):
    """The JSON of a request."""

    model_config = _STRICT
    id: Annotated[str, Field(max_length=256, strict=True)] | None = None
    parameters: dict[str, Any] = {}
    inputs: Annotated[tuple[_Input, ...], Field(min_length=1, max_length=16)]
    outputs: Annotated[tuple[_Output, ...], Field(max_length=32)] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """What a request asks of its response: which outputs, by default all, and which of them as binary data."""

    id: str | None
    outputs: tuple[tuple[str, bool | None], ...]
    binary: bool


@dataclass(frozen=True, slots=True, eq=False)
class InferRequest:
    """A parsed request. `parameters` are without the protocol's own; `copied_bytes` were allocated beside its body."""

    parameters: dict[str, Any]
    arrays: dict[str, np.ndarray]
    reply: Reply
    copied_bytes: int


def read_length(header: str | None) -> int:
    """Bytes of the JSON by the request header, 0 without one.

    Raises:
        BodyMalformed: it is no number. RequestTooLarge: the JSON is over MAX_JSON_BYTES.
    """
    if header is None:
        return 0
    if not header.isdecimal() or not header.isascii() or len(header) > 20:
        raise BodyMalformed(f"{LENGTH_HEADER} must be the bytes of the JSON", field=LENGTH_HEADER)
    if int(header) > MAX_JSON_BYTES:
        raise RequestTooLarge(f"the JSON has at most {MAX_JSON_BYTES} bytes; send tensors as binary data")
    return int(header)


def parse_request(body: U8, length: int, allocate: Callable[[int], U8]) -> InferRequest:
    """Parses a body whose first `length` bytes are JSON (0: all of it). Arrays are views of it; those that would not be
    aligned are copied into memory from `allocate`.

    Raises:
        BadJson, SpecInvalid, RequestTooLarge: the JSON is wrong. BodyMalformed: a tensor does not match its description.
        What `allocate` raises.
    """
    length = length or len(body)
    if length > len(body):
        raise BodyMalformed(f"{LENGTH_HEADER} is larger than the body", field=LENGTH_HEADER)
    if length > MAX_JSON_BYTES:
        raise RequestTooLarge(f"JSON has at most {MAX_JSON_BYTES} bytes; send tensors as binary data")
    header = _parse_header(body[:length].tobytes())
    arrays, copied_bytes = _read_inputs(header.inputs, body[length:], allocate)
    parameters = dict(header.parameters)
    binary = parameters.pop("binary_data_output", False)
    if not isinstance(binary, bool):
        raise SpecInvalid("parameters.binary_data_output must be true or false", field="parameters.binary_data_output")
    outputs = tuple((output.name, output.parameters.binary_data) for output in header.outputs)
    if len(dict(outputs)) < len(outputs):
        raise SpecInvalid("outputs names a tensor twice", field="outputs")
    return InferRequest(parameters, arrays, Reply(header.id, outputs, binary), copied_bytes)


def _parse_header(text: bytes) -> _Header:
    content = parse_json(text)
    if not isinstance(content, dict):
        raise SpecInvalid("the request must be a JSON object with `inputs`")
    try:
        return _Header.model_validate(content)
    except ValidationError as err:
        raise explain(err, model=_Header) from err


def _read_inputs(
    inputs: Sequence[_Input], data: U8, allocate: Callable[[int], U8]
) -> tuple[dict[str, np.ndarray], int]:
    arrays: dict[str, np.ndarray] = {}
    position = copied_bytes = 0
    for entry in inputs:
        if entry.name in arrays:
            raise BodyMalformed(f"{entry.name} occurs twice in inputs", field=entry.name)
        size = entry.parameters.binary_data_size
        if size is None:
            arrays[entry.name] = _read_values(entry)
            continue
        view = _view(entry, data[position : position + size], size)
        if not view.flags.aligned:
            copy = allocate(size).view(view.dtype).reshape(view.shape)
            copy[...] = view
            view, copied_bytes = copy, copied_bytes + size
        arrays[entry.name] = view
        position += size
    if position != len(data):
        raise BodyMalformed(f"the inputs have {position} bytes of binary data, and the body {len(data)} after its JSON")
    return arrays, copied_bytes


def _view(entry: _Input, data: U8, size: int) -> np.ndarray:
    dtype, field = _DATATYPES[entry.datatype], entry.name
    if entry.data is not None:
        raise BodyMalformed(f"{field} must have either data or binary_data_size", field=field)
    if size != prod(entry.shape) * dtype.itemsize:
        raise BodyMalformed(f"{field}: binary_data_size is not that of its shape and datatype", field=field)
    if len(data) < size:
        raise BodyMalformed(f"{field}: the body ends inside its data", field=field)
    if dtype.kind == "b" and size and data.max() > 1:
        raise BodyMalformed(f"{field}: a BOOL is neither 0 nor 1", field=field)
    return _shaped(np.frombuffer(data, dtype), entry)  # a view of bytes would have to be aligned


def _read_values(entry: _Input) -> np.ndarray:
    """The tensor of JSON numbers, flat or nested as its shape."""
    dtype, field = _DATATYPES[entry.datatype], entry.name
    values, shape = _flatten(entry.data, field)
    if len(values) != prod(entry.shape) or (len(shape) > 1 and shape != entry.shape):
        raise BodyMalformed(f"{field}: data does not match its shape", field=field)
    if not all(type(value) in _JSON_TYPES[dtype.kind] for value in values):
        raise BodyMalformed(f"{field}: a value is no {entry.datatype}", field=field)
    if dtype.kind in "iu" and values:
        limits = np.iinfo(dtype)
        if min(values) < limits.min or max(values) > limits.max:
            raise BodyMalformed(f"{field}: a value is out of range for {entry.datatype}", field=field)
    try:
        with np.errstate(over="ignore"):  # infinite, which the tensor's own rule takes or refuses
            return _shaped(np.array(values, np.float64 if dtype.kind == "f" else dtype).astype(dtype), entry)
    except OverflowError as err:  # an integer beyond float64
        raise BodyMalformed(f"{field}: a value is out of range for {entry.datatype}", field=field) from err


def _flatten(data: Any, field: str) -> tuple[list[Any], tuple[int, ...]]:
    """The values of nested lists and the lists' lengths, outermost first; each level is as wide throughout."""
    if not isinstance(data, list):
        raise BodyMalformed(f"{field} must have data, a list of numbers, or binary_data_size", field=field)
    shape = [len(data)]
    while data and isinstance(data[0], list):
        width = len(data[0])
        if not all(isinstance(row, list) and len(row) == width for row in data):
            raise BodyMalformed(f"{field}: the lists of data are not equally long", field=field)
        data = [value for row in data for value in row]
        shape.append(width)
    return data, tuple(shape)


def _shaped(array: np.ndarray, entry: _Input) -> np.ndarray:
    try:
        return array.reshape(entry.shape)
    except ValueError as err:  # too large a side beside a 0
        raise BodyMalformed(f"{entry.name}: no tensor can have this shape", field=entry.name) from err


def encode_response(
    head: Mapping[str, object], reply: Reply, arrays: Arrays, bfloat16: Collection[str] = ()
) -> list[bytes | memoryview]:
    """The parts of a response: its JSON, then the binary tensors, as views. `head` are its other fields; the tensors in
    `bfloat16` hold the bits of that type.

    Raises:
        SpecInvalid: an output is unknown. BatchTooLarge: too many values for JSON. BodyMalformed: JSON has no such value.
    """
    wanted = reply.outputs or tuple((name, None) for name in arrays)
    as_binary = {name: reply.binary if binary is None else binary for name, binary in wanted}
    if unknown := as_binary.keys() - arrays.keys():
        known = ", ".join(arrays)
        raise SpecInvalid(f"outputs: the response has no {min(unknown)}; it has {known}", field="outputs")
    if sum(arrays[name].size for name, binary in as_binary.items() if not binary) > MAX_JSON_VALUES:
        raise BatchTooLarge(
            f"a response has at most {MAX_JSON_VALUES} values as JSON; request binary data", field="outputs"
        )
    outputs, parts = [], []
    for name, binary in as_binary.items():
        array = arrays[name]
        datatype = "BF16" if name in bfloat16 else _NAMES[array.dtype.name]
        entry = [f'"name":{json.dumps(name)},"datatype":"{datatype}","shape":{list(array.shape)}']
        if binary:
            entry.append(f'"parameters":{{"binary_data_size":{array.nbytes}}}')
            parts.append(array.reshape(-1).view(np.uint8).data)
        else:
            entry.append(f'"data":[{",".join(_texts(name, array, datatype))}]')
        outputs.append("{" + ",".join(entry) + "}")
    fields = json.dumps({**head, **({} if reply.id is None else {"id": reply.id})})
    return [f'{fields[:-1]},"outputs":[{",".join(outputs)}]}}'.encode(), *parts]


def _texts(name: str, array: np.ndarray, datatype: str) -> Iterator[str]:
    """The values in JSON, some thousand at a time, between which other threads can run."""
    if datatype == "BF16" or (array.dtype.kind == "f" and not np.isfinite(array).all()):
        raise BodyMalformed(f"{name}: JSON has no BF16, NaN or infinity; request binary data", field=name)
    flat = array.reshape(-1)
    for start in range(0, flat.size, _CHUNK):
        yield json.dumps(flat[start : start + _CHUNK].tolist(), separators=(",", ":"))[1:-1]
