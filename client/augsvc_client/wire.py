"""The wire format of batches in both directions: safetensors, written so that equal batches are equal bytes.

    u64 header length │ JSON header, padded with spaces │ tensors without gaps: largest elements first, then by name

The length of the header is a constant of the stream, 8 + header is a multiple of 8, so the executor can write a
batch straight into the buffer that is sent, and every tensor lies at a multiple of its element's size. The client and
the server both use this module. The safetensors library reads what it writes; it is not used for writing because it
puts metadata in hash order.
"""

import base64
import binascii
import json
import math
import re
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from augsvc_client.errors import WireError

Buffer = bytes | bytearray | memoryview | npt.NDArray[np.uint8]
Arrays = dict[str, npt.NDArray[Any]]

SPEC_HEADER = "Augsvc-Spec"
VERSION_HEADER = "Augsvc-Dataset-Version"
WAIT_HEADER = "Augsvc-Wait-Ms"
DIGEST_HEADER = "Augsvc-Digest"
MAX_HEADER_BYTES = 1 << 20
MAX_ROWS = 1 << 32
MAX_EPOCHS = 1 << 24
MAX_VIEWS = 1 << 8

_METADATA = "__metadata__"
LENGTH_BYTES = 8
_CODES = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "uint16": "U16",
    "int16": "I16",
    "float16": "F16",
    "bfloat16": "BF16",
    "uint32": "U32",
    "int32": "I32",
    "float32": "F32",
    "uint64": "U64",
    "int64": "I64",
    "float64": "F64",
}
_STORED_AS = {"bfloat16": "uint16"}  # a type that NumPy lacks: the array holds its bits
_DTYPES = {code: np.dtype(_STORED_AS.get(name, name)).newbyteorder("<") for name, code in _CODES.items()}
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor of a batch: its dtype by NumPy's name, or bfloat16, and the shape of one sample (without N)."""

    dtype: str
    row: tuple[int, ...]

    @property
    def held(self) -> np.dtype[Any]:
        """The dtype of the array: uint16, holding the bits, for bfloat16."""
        return _DTYPES[_CODES[self.dtype]]

    @property
    def row_bytes(self) -> int:
        """Bytes of one sample."""
        return math.prod(self.row) * self.held.itemsize


@dataclass(frozen=True, eq=False)
class Layout:
    """The layout of the body of a stream's batches. `constants` are further metadata.

    Raises ValueError for an unknown dtype, a reserved name or a shape that no batch can have.
    """

    tensors: Mapping[str, TensorSpec]
    stream: str
    constants: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, spec in self.tensors.items():
            if name == _METADATA:
                raise ValueError(f"a tensor cannot be named {_METADATA}: the format reserves it")
            if spec.dtype not in _CODES:
                raise ValueError(f"tensor {name!r}: dtype {spec.dtype!r} is not one of {', '.join(sorted(_CODES))}")
            if any(side < 0 for side in spec.row):
                raise ValueError(f"tensor {name!r}: a sample cannot have the shape {spec.row}")
        object.__setattr__(self, "tensors", dict(self.tensors))  # independent of the caller's mapping
        if self.header_bytes > MAX_HEADER_BYTES:
            raise ValueError(f"the header of these {len(self.tensors)} tensors is over {MAX_HEADER_BYTES} bytes")

    @cached_property
    def row_bytes(self) -> int:
        """Bytes of one sample in all tensors together."""
        return sum(spec.row_bytes for spec in self.tensors.values())

    @cached_property
    def header_bytes(self) -> int:
        """Padded length of the JSON header: a multiple of 64 that holds every n, epoch and start."""
        widest = len(self._header(MAX_ROWS, MAX_EPOCHS - 1, MAX_ROWS))
        return -(-widest // 64) * 64

    def size(self, n: int) -> int:
        """Bytes of the whole body of n samples."""
        return LENGTH_BYTES + self.header_bytes + n * self.row_bytes

    def allocate(self, n: int) -> tuple[npt.NDArray[np.uint8], Arrays]:
        """An uninitialised body for n samples, and the writable arrays [n, *row] inside it, by name."""
        if not 0 <= n <= MAX_ROWS:
            raise ValueError(f"a batch has 0 to {MAX_ROWS} samples, not {n}")
        buffer = np.empty(self.size(n), np.uint8)
        views: Arrays = {}
        offset = LENGTH_BYTES + self.header_bytes
        for name, spec in self._order:
            end = offset + n * spec.row_bytes
            views[name] = buffer[offset:end].view(spec.held).reshape(n, *spec.row)
            offset = end
        return buffer, views

    def seal(self, buffer: npt.NDArray[np.uint8], n: int, *, epoch: int, start: int) -> None:
        """Write length and header in front of the n samples in `buffer`, which `allocate(n)` made."""
        if buffer.shape != (self.size(n),):
            raise ValueError(f"expected the {self.size(n)} bytes that allocate({n}) gives, got shape {buffer.shape}")
        if not (0 <= epoch < MAX_EPOCHS and 0 <= start <= MAX_ROWS):
            raise ValueError(f"epoch {epoch} or start {start} is out of range")
        data = LENGTH_BYTES + self.header_bytes
        head = self.header_bytes.to_bytes(LENGTH_BYTES, "little") + self._header(n, epoch, start)
        buffer[:data] = np.frombuffer(head.ljust(data), np.uint8)

    @cached_property
    def _order(self) -> tuple[tuple[str, TensorSpec], ...]:
        return tuple(sorted(self.tensors.items(), key=lambda item: (-item[1].held.itemsize, item[0])))

    def _header(self, n: int, epoch: int, start: int) -> bytes:
        metadata = {**self.constants, "epoch": str(epoch), "start": str(start), "stream": self.stream}
        head: dict[str, object] = {_METADATA: metadata}
        offset = 0
        for name, spec in self._order:
            end = offset + n * spec.row_bytes
            head[name] = {"dtype": _CODES[spec.dtype], "shape": [n, *spec.row], "data_offsets": [offset, end]}
            offset = end
        return json.dumps(head, sort_keys=True, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class _Entry:
    """The header's entry of one tensor."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    end: int


def parse(buffer: Buffer) -> tuple[Arrays, dict[str, str]]:
    """The arrays of a body, as views onto `buffer`, and its metadata.

    The arrays are writable if the buffer is. Raises WireError for anything that is not one well-formed body.
    """
    data = np.frombuffer(buffer, np.uint8)
    if data.size < LENGTH_BYTES:
        raise WireError(f"a body has at least {LENGTH_BYTES} bytes, got {data.size}")
    length = int.from_bytes(data[:LENGTH_BYTES].tobytes(), "little")
    if length > MAX_HEADER_BYTES:
        raise WireError(f"the header is over {MAX_HEADER_BYTES} bytes", too_large=True)
    if length > data.size - LENGTH_BYTES:
        raise WireError("the body ends inside its header")
    head = _object(data[LENGTH_BYTES : LENGTH_BYTES + length].tobytes())
    metadata = _metadata(head.pop(_METADATA, {}))
    entries = [_parse_entry(name, value) for name, value in head.items()]
    body = data[LENGTH_BYTES + length :]
    _check_tiling(entries, body.size)
    return {entry.name: _view(entry, body) for entry in entries}, metadata


def _object(text: bytes) -> dict[str, object]:
    if not text.startswith(b"{"):
        raise WireError("the header is not a JSON object")
    try:
        head = json.loads(text.decode(), object_pairs_hook=_distinct)
    except (ValueError, RecursionError) as err:
        raise WireError("the header is not JSON") from err
    if not isinstance(head, dict):
        raise WireError("the header is not a JSON object")
    return head


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    entries = dict(pairs)
    if len(entries) != len(pairs):
        raise WireError("the header names something twice")
    return entries


def _metadata(entry: object) -> dict[str, str]:
    if not isinstance(entry, dict) or not all(isinstance(value, str) for value in entry.values()):
        raise WireError("the metadata is not an object of strings")
    return entry


def _parse_entry(name: str, value: object) -> _Entry:
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        raise WireError(f"tensor {name!r}: expected dtype, shape and data_offsets")
    code, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(code, str) or code not in _DTYPES:
        raise WireError(f"tensor {name!r}: unknown dtype")
    if not _naturals(shape) or not _naturals(offsets) or len(offsets) != 2:
        raise WireError(f"tensor {name!r}: shape and data_offsets must be lists of natural numbers")
    begin, end = offsets
    if end - begin != math.prod(shape) * _DTYPES[code].itemsize:
        raise WireError(f"tensor {name!r}: shape and data_offsets disagree")
    return _Entry(name, _DTYPES[code], tuple(shape), begin, end)


def _naturals(value: object) -> bool:
    # numpy refuses sides beyond the address space even where another side is 0
    return isinstance(value, list) and all(type(item) is int and 0 <= item <= sys.maxsize for item in value)


def _check_tiling(entries: list[_Entry], n_bytes: int) -> None:
    end = 0
    for entry in sorted(entries, key=lambda entry: (entry.begin, entry.end)):
        if entry.begin != end:
            raise WireError(f"tensor {entry.name!r} begins at byte {entry.begin}, expected {end}")
        end = entry.end
    if end != n_bytes:
        raise WireError(f"the tensors take {end} bytes, the body has {n_bytes}")


def _view(entry: _Entry, body: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    data = body[entry.begin : entry.end]
    if entry.dtype == np.bool_ and data.size and data.max() > 1:
        raise WireError(f"tensor {entry.name!r}: a truth value is neither 0 nor 1")
    try:
        return data.view(entry.dtype).reshape(entry.shape)
    except ValueError as err:  # too many dimensions, or too large a product beside a 0
        raise WireError(f"tensor {entry.name!r}: no array can have this shape") from err


def encode_spec(canonical: bytes) -> str:
    """The value of the Augsvc-Spec header: base64url without padding of the zlib-compressed specification."""
    return base64.urlsafe_b64encode(zlib.compress(canonical, 9)).decode("ascii").rstrip("=")


def decode_spec(value: str, limit: int = 65536) -> bytes:
    """The specification in an Augsvc-Spec header, at most `limit` bytes.

    Inflates no more than that. Raises WireError, with `too_large` set if only the size is wrong.
    """
    if not _BASE64URL.fullmatch(value):
        raise WireError("the specification header is not base64url without padding")
    inflate = zlib.decompressobj()
    try:
        packed = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
        spec = inflate.decompress(packed, limit + 1)
    except (binascii.Error, zlib.error) as err:
        raise WireError("the specification header is not zlib data in base64url") from err
    if len(spec) > limit:
        raise WireError(f"the specification is over {limit} bytes", too_large=True)
    if not inflate.eof or inflate.unused_data:
        raise WireError("the specification header is cut short or has bytes after its end")
    return spec


def digest(buffer: Buffer) -> str:
    """XXH3-64 of the bytes, seed 0, as 16 lower-case hex digits."""
    return xxhash.xxh3_64_hexdigest(np.frombuffer(buffer, np.uint8).data)


def digesting() -> xxhash.xxh3_64:
    """The same digest, computed in parts: update(bytes) for each, then hexdigest()."""
    return xxhash.xxh3_64()
