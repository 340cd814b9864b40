"""Tables of Parquet and Arrow files, as Hugging Face datasets are stored: their rows a few at a time, never a whole row group.

pyarrow is an extra: it is imported when a dataset of this format is opened.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from typing import TYPE_CHECKING, Any

from augsvc_client.text import printable

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS = 16  # decoded together: 16 images
_BUFFER_BYTES = 1 << 20  # of the file, read ahead
_MOST_NAMES = 1 << 20  # of a class list in a file's metadata
_MOST_NAMED = 20  # columns in a message


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row: the bytes of its image, None where it has none, and the other columns that were asked for."""

    image: bytes | None
    values: dict[str, Any]


class Table:
    """The rows of one file.

    Attributes:
        class_names: those that Hugging Face's metadata give the column of labels, None without.
    """

    def __init__(self, file: BufferedReader, name: str, image: str, columns: Sequence[str], label: str | None) -> None:
        """Reads the schema.

        Raises:
            ValueError: it is no such file, or lacks a column; or the images are no bytes.
        """
        self._image, self._columns = image, list(dict.fromkeys(columns))
        with _damage():
            self._schema, self._batches = _open_arrow(file) if name.endswith(".arrow") else _open_parquet(file)
        missing = [column for column in (image, *self._columns) if column not in self._schema.names]
        if missing:
            known = ", ".join(repr(printable(known)) for known in self._schema.names[:_MOST_NAMED])
            raise ValueError(f"there is no column {printable(missing[0])!r}, only {known}: name it in the settings")
        self._require_bytes(self._schema.field(image).type)
        self.class_names = None if label is None else _class_names(self._schema.metadata, label)

    def __iter__(self) -> Iterator[TableRow]:
        """The rows in their order; raises ValueError where the file is damaged."""
        with _damage():
            for batch in self._batches([self._image, *self._columns]):
                batch.validate(
                    full=True
                )  # Arrow trusts the offsets of a damaged file: beyond its end they are read, too
                for start in range(0, batch.num_rows, _BATCH_ROWS):
                    yield from self._rows(batch.slice(start, _BATCH_ROWS))

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
        if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
            raise ValueError(f"the column {printable(self._image)!r} holds no image files as bytes, but {kind}")


def _open_parquet(file: BufferedReader) -> tuple[Any, Any]:
    import pyarrow.parquet as pq

    opened = pq.ParquetFile(file, pre_buffer=False, buffer_size=_BUFFER_BYTES)
    return opened.schema_arrow, lambda names: opened.iter_batches(_BATCH_ROWS, columns=names, use_threads=False)


def _open_arrow(file: BufferedReader) -> tuple[Any, Any]:
    """A stream, as `datasets` writes, or a file with an index, as Feather is."""
    import pyarrow as pa

    is_file = file.read(6) == b"ARROW1"
    file.seek(0)
    if not is_file:
        stream = pa.ipc.open_stream(file)
        return stream.schema, lambda names: (batch.select(names) for batch in stream)
    indexed = pa.ipc.open_file(file)
    numbers = range(indexed.num_record_batches)
    return indexed.schema, lambda names: (indexed.get_batch(number).select(names) for number in numbers)


@contextmanager
def _damage() -> Iterator[None]:
    """Makes pyarrow's errors ValueErrors with texts of this package."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as err:
        raise ValueError("it is no Parquet or Arrow file, or is damaged or cut") from err


def _class_names(metadata: dict[bytes, bytes] | None, label: str) -> tuple[str, ...] | None:
    """The names of a ClassLabel feature in the metadata that `datasets` writes into a schema."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        feature = features[label]
        names = feature["names"] if feature.get("_type") == "ClassLabel" else None
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError):
        return None
    if names is None:
        return None
    if not isinstance(names, list) or len(names) > _MOST_NAMES or not all(isinstance(name, str) for name in names):
        raise ValueError("its metadata hold no list of class names")
    if len(set(names)) < len(names):
        raise ValueError("its metadata name a class twice")
    return tuple(names)
