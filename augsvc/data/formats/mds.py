"""MDS, the shards of MosaicML's streaming: rows with a table of offsets, named by index.json. Nothing is unpickled."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np

from augsvc.data.formats.chunks import INDEX, ChunkColumn, chunk_file, find_column, find_indexes, read_chunk, read_index
from augsvc.data.formats.dataset_root import DatasetRoot
from augsvc.data.formats.records import RecordsFormat, Shard
from augsvc_client.text import printable

_IMAGES = ("bytes", "jpeg", "png")
_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_TEXTS = ("str", "str_int")


class MdsSettings(RecordsFormat):
    """The operator's settings of a folder of MDS shards."""

    format: Literal["mds"]

    def find(self, root: DatasetRoot) -> Mapping[str, Sequence[Shard]]:
        """The shards that each index.json names, uncompressed ones."""
        return {split: self._shards(root, folder) for split, folder in find_indexes(root).items()}

    def _shards(self, root: DatasetRoot, folder: str) -> list[Shard]:
        entries = read_index(root, folder).get("shards")
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise ValueError(f"{root.locate(folder)}: {INDEX} has no list `shards`")
        return [self._shard(folder, entry) for entry in entries]

    def _shard(self, folder: str, entry: Mapping[str, Any]) -> Shard:
        if entry.get("format") != "mds" or type(entry.get("samples")) is not int or entry["samples"] < 0:
            raise ValueError(f"{INDEX} has a shard that is no MDS, or without the number of its samples")
        if entry.get("compression"):
            raise ValueError("the shards are compressed, so that a sample cannot be read at random: write them without")
        raw = entry.get("raw_data")
        file = chunk_file(folder, raw.get("basename") if isinstance(raw, dict) else None)
        columns = _columns(entry)
        image, label = find_column(columns, self.image), find_column(columns, self.label)
        if columns[image].encoding.partition(":")[0] not in _IMAGES:
            raise ValueError(
                f"the column {self.image!r} is {printable(columns[image].encoding)}, and must be one of {_IMAGES}"
            )
        kind = "int64" if columns[label].encoding == "int" else columns[label].encoding
        if kind not in (*_INTEGERS, *_TEXTS):
            raise ValueError(f"the column {self.label!r} is {printable(kind)}, and must be an integer or a text")
        dtype = None if kind in _TEXTS else np.dtype(kind).newbyteorder("<")
        read = partial(read_chunk, n_rows=entry["samples"], columns=columns, image=image, label=label, dtype=dtype)
        return Shard(file, read)


def _columns(entry: Mapping[str, Any]) -> list[ChunkColumn]:
    lists: list[Any] = [entry.get(f"column_{name}") for name in ("names", "encodings", "sizes")]
    if not all(isinstance(values, list) for values in lists) or len({len(values) for values in lists}) != 1:
        raise ValueError(f"{INDEX} has a shard without its columns")
    columns = [ChunkColumn(*values) for values in zip(*lists, strict=True)]
    for column in columns:
        texts = isinstance(column.name, str) and isinstance(column.encoding, str)
        if not texts or not (column.size is None or (type(column.size) is int and 0 <= column.size < 1 << 32)):
            raise ValueError(f"{INDEX} has a shard with a column that is damaged")
    return columns
