"""TFRecord files of tf.train.Example, read without TensorFlow: the framing, and a walk through the message.

u64 length │ u32 masked CRC-32C of the length │ message │ u32 of the message: both are checked
"""

import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from io import BufferedReader
from typing import Literal, NamedTuple

from augsvc.data.formats.crc32c import crc32c, mask_crc
from augsvc.data.formats.dataset_root import DatasetRoot
from augsvc.data.formats.records import MAX_LABEL_BYTES, Record, RecordsFormat, Shard, decode_label
from augsvc.data.formats.sharded import find_shards
from augsvc_client.text import printable

EXTENSIONS = frozenset({".tfrecord", ".tfrecords", ".tfrec"})
_MAX_MORE = 1 << 20  # bytes of a record beside its image
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # protobuf's wire types
_BYTES_LIST, _INT64_LIST = 1, 3  # fields of tf.train.Feature


class TfRecordSettings(RecordsFormat):
    """The operator's settings of a folder of TFRecord files."""

    format: Literal["tfrecord"]

    def find(self, root: DatasetRoot) -> Mapping[str, Sequence[Shard]]:
        """Files like train-00000-of-00010.tfrecord or name-train.tfrecord-00000-of-00010, or in folders like train."""
        shards = find_shards(root, EXTENSIONS)
        return {split: [Shard(file, self._read) for file in files] for split, files in shards.items()}

    def _read(self, file: BufferedReader) -> Iterator[Record]:
        for number, (start, data) in enumerate(walk_records(file, self.max_file_bytes + _MAX_MORE)):
            try:
                yield self._record(start, data)
            except _Damaged as err:
                raise ValueError(f"record {number} is no tf.train.Example, or is damaged") from err
            except ValueError as err:
                raise ValueError(f"record {number}: {err}") from err

    def _record(self, start: int, data: bytes) -> Record:
        features = {name: span for name, span in _features(data) if name in (self.image, self.label)}
        for name in (self.image, self.label):
            if name not in features:
                known = ", ".join(printable(known) for known, _ in _features(data))
                raise ValueError(f"there is no feature {printable(name)!r}, only {known}: name it in the settings")
        kind, values = _values(data, features[self.image])
        if kind != _BYTES_LIST or len(values) != 1:
            raise ValueError(f"the feature {printable(self.image)!r} must be one list of bytes")
        first, last = values[0]
        return Record(_label(data, features[self.label]), start + first, last - first)


class _Damaged(Exception):
    """The message cannot be read."""


class _Field(NamedTuple):
    number: int
    wire: int
    start: int  # of its contents, without the length
    end: int


def walk_records(file: BufferedReader, max_bytes: int) -> Iterator[tuple[int, bytes]]:
    """The offset and the bytes of each record.

    Raises:
        ValueError: the file is cut or damaged, or a record has more than `max_bytes`.
    """
    end, position = file.seek(0, os.SEEK_END), 0
    file.seek(0)
    while position < end:
        head = file.read(12)
        if len(head) < 12 or mask_crc(crc32c(head[:8])) != int.from_bytes(head[8:], "little"):
            packed = (
                "it is compressed: unpack it"
                if head[:2] == b"\x1f\x8b"
                else "it is no TFRecord file, or is damaged or cut"
            )
            raise ValueError(packed)
        (length,) = struct.unpack("<Q", head[:8])
        if length > max_bytes:
            raise ValueError(f"a record has {length:,} bytes, and at most {max_bytes:,} are allowed (`max_file_bytes`)")
        data = file.read(length)
        checksum = file.read(4)
        if len(data) < length or len(checksum) < 4:
            raise ValueError("it is cut")
        if mask_crc(crc32c(data)) != int.from_bytes(checksum, "little"):
            raise ValueError(f"the record at byte {position:,} is damaged: its checksum is another one")
        yield position + 12, data
        position += length + 16


def _fields(data: bytes, start: int, end: int) -> Iterator[_Field]:
    """The fields of a message in data[start:end]."""
    while start < end:
        tag, start = _varint(data, start, end)
        wire = tag & 7
        if wire == _VARINT:
            _, stop = _varint(data, start, end)
        elif wire == _BYTES:
            length, start = _varint(data, start, end)
            stop = start + length
        elif wire in (_FIXED32, _FIXED64):
            stop = start + (4 if wire == _FIXED32 else 8)
        else:
            raise _Damaged
        if stop > end:
            raise _Damaged
        yield _Field(tag >> 3, wire, start, stop)
        start = stop


def _varint(data: bytes, start: int, end: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if start >= end:
            break
        byte = data[start]
        start += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80 and not value >> 64:
            return value, start
    raise _Damaged


def _features(data: bytes) -> Iterator[tuple[str, tuple[int, int]]]:
    """The names and the places of the features: Example.features.feature, a map."""
    for features in _fields(data, 0, len(data)):
        if features.number != 1 or features.wire != _BYTES:
            continue
        for entry in _fields(data, features.start, features.end):
            parts = (
                {field.number: field for field in _fields(data, entry.start, entry.end)} if entry.wire == _BYTES else {}
            )
            if entry.number == 1 and 1 in parts:
                name = data[parts[1].start : parts[1].end].decode(errors="replace")
                value = parts.get(2, _Field(2, _BYTES, entry.end, entry.end))
                yield name, (value.start, value.end)


def _values(data: bytes, span: tuple[int, int]) -> tuple[int, list[tuple[int, int]]]:
    """The kind of a feature's list, and the places of its values."""
    kind, values = 0, []
    for group in _fields(data, *span):
        if group.wire == _BYTES:
            kind = group.number
            values += [(field.start, field.end) for field in _fields(data, group.start, group.end) if field.number == 1]
    return kind, values


def _label(data: bytes, span: tuple[int, int]) -> str:
    kind, values = _values(data, span)
    if kind not in (_BYTES_LIST, _INT64_LIST) or len(values) != 1 or values[0][1] - values[0][0] > MAX_LABEL_BYTES:
        raise ValueError("the label must be one integer or one text")
    start, end = values[0]
    if kind == _BYTES_LIST:
        return decode_label(data[start:end], None)
    number, stop = _varint(data, start, end)  # packed or not, it is one varint
    if stop != end:
        raise ValueError("the label must be one integer or one text")
    return str(number - (1 << 64) if number >> 63 else number)
