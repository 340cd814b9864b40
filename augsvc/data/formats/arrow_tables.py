"""Tables of Parquet and Arrow files, as Hugging Face datasets are stored: their rows a few at a time, never a whole row group.

pyarrow is an extra: it is imported when a dataset of this format is opened.
"""

import json
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from typing import TYPE_CHECKING, Any, NamedTuple

from augsvc.data.formats.arrow_sizes import arrow_bytes, parquet_sizes
from augsvc_client.text import printable

if TYPE_CHECKING:
    import pyarrow as pa

MAX_GROWTH = 32  # times the bytes of a file: a dictionary of few images may stand for any number of rows
BATCH_ROWS = 16  # decoded together: 16 images
_BATCH_BYTES = 64 << 20  # or fewer of them, by the largest that a page may hold
_MAX_PAGE_BYTES = 1 << 30
_MIN_GROWN_BYTES = 1 << 20  # that any file may decompress into: a few labels compress better than images
_BUFFER_BYTES = 1 << 20  # of the file, read ahead
_MOST_NAMES = 1 << 20  # of a class list in a file's metadata
_MOST_NAMED = 20  # columns in a message


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row: the bytes of its image, None where it has none, and the other columns that were asked for."""

    image: bytes | None
    values: dict[str, Any]


class OpenTable(NamedTuple):
    """A table of which nothing but the schema has been read."""

    schema: "pa.Schema"
    batches: Callable[[list[str]], Iterator["pa.RecordBatch"]]  # of some columns; raises ValueError


def open_file(file: BufferedReader, is_arrow: bool) -> OpenTable:
    """A Parquet or Arrow file; raises ValueError where it is none."""
    with _damage():
        return _open_arrow(file) if is_arrow else _open_parquet(file)


class Table:
    """The rows of one table.

    Attributes:
        class_names: those that Hugging Face's metadata give the column of labels, None without.
    """

    def __init__(self, opened: OpenTable, image: str, columns: Sequence[str], label: str | None) -> None:
        """Raises ValueError where it lacks a column, or the images are no bytes."""
        self._image, self._columns = image, list(dict.fromkeys(columns))
        self._schema, self._batches = opened
        missing = [column for column in (image, *self._columns) if column not in self._schema.names]
        if missing:
            known = ", ".join(repr(printable(known)) for known in self._schema.names[:_MOST_NAMED])
            raise ValueError(f"there is no column {printable(missing[0])!r}, only {known}: name it in the settings")
        if twice := [name for name in (image, *self._columns) if self._schema.names.count(name) > 1]:
            raise ValueError(f"it has several columns {printable(twice[0])!r}: rename them")
        self._require_bytes(self._schema.field(image).type)
        self.class_names = None if label is None else _class_names(self._schema.metadata, label)

    def __iter__(self) -> Iterator[TableRow]:
        """The rows in their order; raises ValueError where the file is damaged."""
        with _damage():
            for batch in self._batches([self._image, *self._columns]):
                batch.validate(
                    full=True
                )  # Arrow trusts the offsets of a damaged file: beyond its end they are read, too
                for start in range(0, batch.num_rows, BATCH_ROWS):
                    yield from self._rows(batch.slice(start, BATCH_ROWS))

    def _rows(self, batch: "pa.RecordBatch") -> Iterator[TableRow]:
        images = batch.column(self._image).to_pylist()
        columns = {name: batch.column(name).to_pylist() for name in self._columns}
        for row, image in enumerate(images):
            contents = image.get("bytes") if isinstance(image, dict) else image
            yield TableRow(contents, {name: values[row] for name, values in columns.items()})

    def _require_bytes(self, kind: "pa.DataType") -> None:
        import pyarrow as pa

        if pa.types.is_struct(kind) and "bytes" in [kind.field(index).name for index in range(kind.num_fields)]:
            kind = kind.field("bytes").type
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
            raise ValueError(f"the column {printable(self._image)!r} holds no image files as bytes, but {kind}")


def _open_parquet(file: BufferedReader) -> OpenTable:
    import pyarrow.parquet as pq

    opened = pq.ParquetFile(file, pre_buffer=False, buffer_size=_BUFFER_BYTES)

    def batches(names: list[str]) -> Iterator["pa.RecordBatch"]:
        sizes = parquet_sizes(file, opened, names)
        _require_growth(file, sizes.total)
        if sizes.largest > _MAX_PAGE_BYTES:
            raise ValueError(f"a page of it decompresses into more than {_MAX_PAGE_BYTES:,} bytes")
        rows = max(1, min(BATCH_ROWS, _BATCH_BYTES // max(1, sizes.largest)))
        yield from opened.iter_batches(rows, columns=names, use_threads=False)

    return OpenTable(opened.schema_arrow, batches)


def _open_arrow(file: BufferedReader) -> OpenTable:
    """A stream, as `datasets` writes, or a file with an index, as Feather is."""
    import pyarrow as pa

    is_file = file.read(6) == b"ARROW1"
    _require_growth(file, arrow_bytes(file, 8 if is_file else 0))
    file.seek(8 if is_file else 0)  # an indexed file holds the stream; its index might name messages elsewhere
    stream = pa.ipc.open_stream(file)
    return OpenTable(stream.schema, lambda names: (batch.select(names) for batch in stream))


def _require_growth(file: BufferedReader, n_bytes: int) -> None:
    """Raises ValueError if a file decompresses into more than images do."""
    if n_bytes > max(MAX_GROWTH * os.fstat(file.fileno()).st_size, _MIN_GROWN_BYTES):
        raise ValueError(f"it decompresses into {n_bytes:,} bytes, over {MAX_GROWTH} times as many as the file has")


@contextmanager
def _damage() -> Iterator[None]:
    """Makes pyarrow's errors ValueErrors with texts of this package."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError, struct.error, IndexError) as err:
        raise ValueError("it is damaged or cut, or is no file of this format") from err


def _class_names(metadata: dict[bytes, bytes] | None, label: str) -> tuple[str, ...] | None:
    """The names of a ClassLabel feature in the metadata that `datasets` writes into a schema."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        feature = features[label]
        while (
            not isinstance(feature, dict) or "feature" in feature
        ):  # a list of classes: {"_type": "List", "feature": …}, or […]
            feature = feature["feature"] if isinstance(feature, dict) else feature[0]
        names = feature["names"] if feature.get("_type") == "ClassLabel" else None
    except (LookupError, TypeError, AttributeError, ValueError, RecursionError):
        return None
    if names is None:
        return None
    if not isinstance(names, list) or len(names) > _MOST_NAMES or not all(isinstance(name, str) for name in names):
        raise ValueError("its metadata hold no list of class names")
    if len(set(names)) < len(names):
        raise ValueError("its metadata name a class twice")
    return tuple(names)
