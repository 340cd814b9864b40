"""Chunks of LitData: rows with a table of offsets, named by index.json. Nothing is unpickled."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np

from augsvc.data.formats.chunks import INDEX, ChunkColumn, chunk_file, find_column, find_indexes, read_chunk, read_index
from augsvc.data.formats.dataset_root import DatasetRoot
from augsvc.data.formats.records import RecordsFormat, Shard
from augsvc_client.text import printable

_IMAGES = ("bytes", "jpeg", "image", "file")
_LABELS: Mapping[str, np.dtype | None] = {"int": np.dtype("<i8"), "bool": np.dtype("u1"), "str": None}


class LitDataSettings(RecordsFormat):
    """The operator's settings of a folder that `litdata.optimize` wrote."""

    format: Literal["litdata"]

    def find(self, root: DatasetRoot) -> Mapping[str, Sequence[Shard]]:
        """The chunks that each index.json names, neither compressed nor encrypted."""
        return {split: self._chunks(root, folder) for split, folder in find_indexes(root).items()}

    def _chunks(self, root: DatasetRoot, folder: str) -> list[Shard]:
        index = read_index(root, folder)
        config, chunks = index.get("config"), index.get("chunks")
        if not isinstance(config, dict) or not isinstance(chunks, list):
            raise ValueError(f"{root.locate(folder)}: {INDEX} has no `chunks` and `config`")
        if config.get("compression") or config.get("encryption"):
            raise ValueError(
                "the chunks are compressed or encrypted, so no sample can be read at random: write them plain"
            )
        columns = _columns(config)
        image, label = find_column(columns, self.image), find_column(columns, self.label)
        if columns[image].encoding.partition(":")[0] not in _IMAGES:
            raise ValueError(
                f"{self.image!r} is stored as {printable(columns[image].encoding)}, and must be one of {_IMAGES}"
            )
        if (kind := columns[label].encoding) not in _LABELS:
            raise ValueError(f"{self.label!r} is stored as {printable(kind)}, and must be one of {(*_LABELS,)}")
        read = partial(read_chunk, columns=columns, image=image, label=label, dtype=_LABELS[kind])
        return [_chunk(folder, chunk, read) for chunk in chunks]


def _chunk(folder: str, chunk: object, read: "partial[Any]") -> Shard:
    if not isinstance(chunk, dict) or type(chunk.get("chunk_size")) is not int or chunk["chunk_size"] < 0:
        raise ValueError(f"{INDEX} has a chunk without the number of its samples")
    return Shard(chunk_file(folder, chunk.get("filename")), partial(read, n_rows=chunk["chunk_size"]))


def _columns(config: Mapping[str, Any]) -> list[ChunkColumn]:
    """The leaves of a sample that is a dict, or a tuple or list, whose leaves are 0, 1, …"""
    encodings: Any = config.get("data_format")
    try:
        _, spec = json.loads(config["data_spec"])
        is_dict = spec["type"] == "builtins.dict"
        names = json.loads(spec["context"]) if is_dict else list(map(str, range(len(spec["children_spec"]))))
        is_flat = not any(child["children_spec"] for child in spec["children_spec"])
    except (KeyError, TypeError, ValueError, RecursionError) as err:
        raise ValueError(f"{INDEX} does not state the form of a sample") from err
    texts = (
        isinstance(encodings, list)
        and isinstance(names, list)
        and all(isinstance(v, str) for v in (*encodings, *names))
    )
    if not is_flat or not texts or len(names) != len(encodings):
        raise ValueError("the samples must be flat: a dict, a tuple or a list of values")
    return [ChunkColumn(name, encoding, None) for name, encoding in zip(names, encodings, strict=True)]
