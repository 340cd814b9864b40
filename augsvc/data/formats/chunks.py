"""Chunks of rows with a table of offsets at their head, as MDS and LitData write: how a row is found, and its columns.

u32 rows │ u32 offset of each row, and the end │ … │ rows: u32 sizes of the columns without a fixed one │ the columns
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from io import BufferedReader
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from augsvc.data.formats.dataset_root import DatasetRoot, join, require_below
from augsvc.data.formats.json_stream import to_distinct
from augsvc.data.formats.layout import split_of
from augsvc.data.formats.records import MAX_LABEL_BYTES, Record, decode_label
from augsvc.data.source import SPLITS
from augsvc_client.text import printable

INDEX = "index.json"
_WORD = np.dtype("<u4")


class ChunkColumn(NamedTuple):
    """One column of the rows."""

    name: str
    encoding: str
    size: int | None  # bytes; None: stated at the head of each row


def read_chunk(
    file: BufferedReader, n_rows: int, columns: Sequence[ChunkColumn], image: int, label: int, dtype: np.dtype | None
) -> Iterator[Record]:
    """The records of a chunk; `image` and `label` are the numbers of their columns, `dtype` that of integer labels.

    Raises:
        ValueError: it has another number of rows, or is damaged or cut.
    """
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(4)
    if len(head) < 4 or int(np.frombuffer(head, _WORD)[0]) != n_rows or 4 * (n_rows + 2) > end:
        raise ValueError(f"it is cut, or has not the {n_rows:,} rows that {INDEX} states")
    offsets = np.frombuffer(file.read(4 * (n_rows + 1)), _WORD).astype(np.int64)
    if offsets[0] < 4 * (n_rows + 2) or (np.diff(offsets) < 0).any() or offsets[-1] != end:
        is_table = file.read(6) == b"ARROW1"  # of LitData from 0.2.76 on, where images are stored as bytes
        cure = "its rows are a table of Arrow: store the images as litdata.types.Jpeg or PIL images of JPEG files"
        raise ValueError(cure if is_table else "its table of rows is damaged, or it is cut")
    fixed = [column.size for column in columns]
    n_stated = fixed.count(None)
    for number, (start, stop) in enumerate(zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)):
        file.seek(start)
        stated = iter(np.frombuffer(file.read(4 * n_stated), _WORD).tolist())
        sizes = [next(stated, -1) if size is None else size for size in fixed]
        places = list(accumulate(sizes, initial=start + 4 * n_stated))
        if min(sizes) < 0 or places[-1] != stop or sizes[label] > MAX_LABEL_BYTES:
            raise ValueError(f"row {number} is damaged")
        file.seek(places[label])
        yield Record(decode_label(file.read(sizes[label]), dtype), places[image], sizes[image])


def find_indexes(root: DatasetRoot) -> Mapping[str, str]:
    """Split → the folder with its index; "" for a dataset without splits."""
    if root.is_file(INDEX):
        return {"": ""}
    folders = {str(split_of(name)): name for name in root.folders() if split_of(name)}
    indexes = {
        split: folders[split] for split in SPLITS if split in folders and root.is_file(join(folders[split], INDEX))
    }
    if not indexes:
        raise ValueError(f"{root.locate('')} has no {INDEX}, nor folders like train with one")
    return indexes


def read_index(root: DatasetRoot, folder: str) -> Mapping[str, Any]:
    """The object in a folder's index; raises ValueError."""
    name = join(folder, INDEX)
    try:
        index = json.loads(root.read_text(name), object_pairs_hook=to_distinct)
    except RecursionError as err:
        raise ValueError(f"{root.locate(name)} is no JSON") from err
    except json.JSONDecodeError as err:
        raise ValueError(f"{root.locate(name)} is no JSON") from err
    if not isinstance(index, dict):
        raise ValueError(f"{root.locate(name)} is no JSON object")
    return index


def chunk_file(folder: str, name: object) -> str:
    """The file of a chunk that an index names; raises ValueError."""
    if not isinstance(name, str):
        raise ValueError(f"{INDEX} names no file of a chunk")
    return join(folder, require_below(name, INDEX))


def find_column(columns: Sequence[ChunkColumn], name: str) -> int:
    """The number of a column; raises ValueError."""
    names = [column.name for column in columns]
    if name not in names:
        raise ValueError(
            f"there is no column {printable(name)!r}, only {', '.join(map(printable, names))}: name it in the settings"
        )
    return names.index(name)
