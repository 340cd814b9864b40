"""What Parquet and Arrow files decompress into, from their headers alone: known before pyarrow allocates it.

pyarrow allocates what each page or buffer declares. Of zeros a kilobyte declares, and fills, hundreds of megabytes.
"""

import struct
from collections.abc import Iterator, Sequence
from io import BufferedReader
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_HEADER_BYTES = (1 << 12, 1 << 16, 1 << 24)  # read of a page header, which may hold statistics, in up to three attempts
_MAX_DEPTH = 16  # of nested structures
_VALUE_BYTES = 8  # of a value in a list, which may have no bytes in the file
_BOOLEANS, _DOUBLE, _BINARY, _LISTS, _STRUCT = (1, 2), 7, 8, (9, 10), 12  # types of Thrift's compact protocol
_MAX_FIELD = (1 << 15) - 1  # number of a field, of which Thrift keeps 16 bits
_TYPE, _SIZE, _COMPRESSED_SIZE, _N_VALUES = 1, 2, 3, 1  # fields of a page header, and of that of its type
_DICTIONARY_PAGE = 2
_PAGE_HEADERS = {0: 5, _DICTIONARY_PAGE: 7, 3: 8}  # types of pages: data, dictionaries, data of version 2
_DAMAGED = "a page header is damaged"
_CONTINUATION = 0xFFFFFFFF
_OLD_COMPRESSION = b"ARROW:experimental_compression"  # how Arrow 0.17 named it


class PageSizes(NamedTuple):
    """Decompressed bytes."""

    largest: int
    total: int


def parquet_sizes(file: BufferedReader, opened: "pq.ParquetFile", columns: Sequence[str]) -> PageSizes:
    """Those of the pages of some columns, as the page headers declare them.

    No value is larger than its page, or the dictionary's.
    """
    largest = total = 0
    for leaf in range(opened.metadata.num_columns):
        column = opened.schema.column(leaf)
        if not any(f"{column.path}.".startswith(f"{name}.") for name in columns):
            continue
        is_list = column.max_repetition_level > 0
        for group in range(opened.metadata.num_row_groups):
            for n_bytes, n_values in _pages(file, opened.metadata.row_group(group).column(leaf)):
                size = n_bytes + (_VALUE_BYTES * n_values if is_list else 0)
                largest, total = max(largest, size), total + size
    return PageSizes(largest, total)


def arrow_bytes(file: BufferedReader, start: int) -> int:
    """Of the compressed buffers of all messages from `start` on."""
    total, position = 0, start
    while (head := _read_at(file, position, 8)) and len(head) == 8:
        mark, n_bytes = struct.unpack("<II", head)
        is_old = mark != _CONTINUATION  # before Arrow 0.15 there was no mark
        n_bytes, begin = (mark, position + 4) if is_old else (n_bytes, position + 8)
        if not n_bytes:
            break
        metadata, body = _Flat.root(_read_at(file, begin, n_bytes)), begin + n_bytes
        total += sum(_declared(file, body + offset, length) for offset, length in metadata.compressed_buffers())
        position = body + metadata.int64(3)
    return total


def _read_at(file: BufferedReader, position: int, n_bytes: int) -> bytes:
    file.seek(position)
    return file.read(n_bytes)


def _declared(file: BufferedReader, position: int, length: int) -> int:
    """The decompressed bytes that a buffer declares in its first eight; −1 means that it is stored as it is."""
    return max(0, int.from_bytes(_read_at(file, position, 8), "little", signed=True)) if length else 0


def _pages(file: BufferedReader, chunk: "pq.ColumnChunkMetaData") -> Iterator[tuple[int, int]]:
    """The decompressed bytes and the number of values of each page, as pyarrow reads them.

    pyarrow passes over pages of other types, whose values would be missing at the end of this walk: they are refused.
    """
    position, values = chunk.data_page_offset, 0
    if chunk.has_dictionary_page and 0 < chunk.dictionary_page_offset < position:
        position = chunk.dictionary_page_offset
    begin, end = position, position + chunk.total_compressed_size
    while values < chunk.num_values:
        header, n_bytes = _page_header(file, position)
        n_values = _page_values(header, is_first=position == begin)
        values += n_values
        yield header[_SIZE], n_values
        position += n_bytes + header[_COMPRESSED_SIZE]
    if chunk.num_values and (values != chunk.num_values or position != end):
        raise ValueError(_DAMAGED)


def _page_values(header: dict[int, Any], is_first: bool) -> int:
    """The values of a page of data, 0 of a dictionary, which may only be the first page of a column."""
    kind = header.get(_TYPE)
    page = header.get(_PAGE_HEADERS[kind]) if _is_count(kind) and kind in _PAGE_HEADERS else None
    n_values = page.get(_N_VALUES) if isinstance(page, dict) else None
    if not _is_count(n_values) or (kind == _DICTIONARY_PAGE and not is_first):
        raise ValueError(_DAMAGED)
    return 0 if kind == _DICTIONARY_PAGE else n_values


def _page_header(file: BufferedReader, position: int) -> tuple[dict[int, Any], int]:
    """The fields of a page header by number, and its bytes."""
    for n_bytes in _HEADER_BYTES:
        thrift = _Thrift(_read_at(file, position, n_bytes))
        try:
            header = thrift.read_struct()
        except IndexError:
            continue
        if _is_count(header.get(_SIZE)) and _is_count(header.get(_COMPRESSED_SIZE)):
            return header, thrift.at
        break
    raise ValueError(_DAMAGED)


def _is_count(value: Any) -> TypeGuard[int]:
    """Whether a field is a number of bytes or values; of larger ones Thrift keeps 32 bits."""
    return isinstance(value, int) and 0 <= value < 1 << 31


class _Thrift:
    """A reader of Thrift's compact protocol; raises IndexError at the end of the data."""

    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def read_struct(self, depth: int = 0) -> dict[int, Any]:
        """The fields by number; texts and lists are skipped. A number is used once: of two fields Thrift takes the one of the
        expected type."""
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            if number in fields or not 0 < number <= _MAX_FIELD:
                raise ValueError(_DAMAGED)
            kind = head & 15
            fields[number] = kind == 1 if kind in _BOOLEANS else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise ValueError(_DAMAGED)
        if kind == _STRUCT:
            return self.read_struct(depth + 1)
        if kind in (_DOUBLE, _BINARY):
            return self._skip(8 if kind == _DOUBLE else self._varint())
        if kind in _LISTS:
            head = self._byte()
            for _ in range(head >> 4 if head >> 4 < 15 else self._varint()):
                self._value(3 if head & 15 in _BOOLEANS else head & 15, depth + 1)
            return None
        if not 3 <= kind <= 6:
            raise ValueError(_DAMAGED)
        return self._byte() if kind == 3 else self._integer()

    def _byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

    def _skip(self, n_bytes: int) -> None:
        self.at += n_bytes
        if self.at > len(self._data):
            raise IndexError

    def _varint(self) -> int:
        value = shift = 0
        while (byte := self._byte()) & 0x80:
            value, shift = value | (byte & 0x7F) << shift, shift + 7
            if shift > 63:
                raise ValueError(_DAMAGED)
        return value | byte << shift

    def _integer(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)


class _Flat(NamedTuple):
    """A table of a FlatBuffer; raises struct.error or IndexError where it is damaged."""

    data: bytes
    at: int

    @staticmethod
    def root(data: bytes) -> "_Flat":
        """The message itself."""
        return _Flat(data, struct.unpack_from("<I", data)[0])

    def compressed_buffers(self) -> Iterator[tuple[int, int]]:
        """The offset and length in the body of each buffer, if they are compressed, of a batch of records or a dictionary."""
        kind = self._field(1)
        if kind is None or self.data[kind] not in (2, 3):
            return
        batch = self._table(2)
        if self.data[kind] == 2:
            batch = batch and batch._table(1)
        if batch is None or (field := batch._field(2)) is None:
            return
        if batch._field(3) is None and _OLD_COMPRESSION not in self.data:
            return
        vector = field + struct.unpack_from("<I", self.data, field)[0]
        (count,) = struct.unpack_from("<I", self.data, vector)
        for index in range(count):
            yield struct.unpack_from("<qq", self.data, vector + 4 + 16 * index)

    def int64(self, number: int) -> int:
        """A field that is an integer, 0 where it is absent."""
        field = self._field(number)
        return 0 if field is None else max(0, struct.unpack_from("<q", self.data, field)[0])

    def _table(self, number: int) -> "_Flat | None":
        field = self._field(number)
        return None if field is None else _Flat(self.data, field + struct.unpack_from("<I", self.data, field)[0])

    def _field(self, number: int) -> int | None:
        """Where a field is, None where it is absent."""
        table = self.at - struct.unpack_from("<i", self.data, self.at)[0]
        if 4 + 2 * number >= struct.unpack_from("<H", self.data, table)[0]:
            return None
        offset = struct.unpack_from("<H", self.data, table + 4 + 2 * number)[0]
        return self.at + offset if offset else None
