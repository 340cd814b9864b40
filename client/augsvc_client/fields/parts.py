"""The requests of one batch: samples of one image size together, and the way from the responses back to the batch.

fields → build_parts (grouped by size) → requests → arrays or tensors of each response → restore_batch → fields
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from augsvc_client.fields.flat import FlatField, Form, to_array
from augsvc_client.fields.libraries import stack
from augsvc_client.fields.roles import Path, join_path
from augsvc_client.fields.targets import Objects, pack, read_targets, unpack, write_targets
from augsvc_client.wire import Arrays

Tensors = dict[str, Any]
Rows = npt.NDArray[np.int64]

_SIZED = ("image", "mask", "audio")  # of several sizes, so that they cannot be one tensor


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Samples of one batch whose images have one size: the arrays of each request, and how its tensors become fields.

    `rows` are their places in the batch. There is more than one request if binary masks need several planes; all of them
    draw the same.
    """

    rows: Rows
    requests: Sequence[Arrays]
    flat: Mapping[FlatField, Form]
    targets: "NestedTargets | None"

    def restore(self, responses: Sequence[Tensors]) -> dict[Path, Any]:
        """The fields of these samples from the tensors of each response."""
        moved, fields = dict(responses[0]), {}
        if self.targets is not None:
            fields[self.targets.path] = self.targets.restore(moved, [response.get("mask") for response in responses])
        for field, form in self.flat.items():
            fields.update(field.restore(moved, form))
        return {**fields, ("index",): moved["index"]}


@dataclass(frozen=True, slots=True, eq=False)
class NestedTargets:
    """A field that holds one target for each sample."""

    path: Path
    values: Sequence[Any]
    objects: Sequence[Objects]

    def restore(self, moved: Tensors, planes: Sequence[Any]) -> list[Any]:
        """The transformed targets."""
        return write_targets(self.values, *unpack(self.objects, moved, planes))


def build_parts(sent: Mapping[FlatField, Any], targets: Mapping[Path, Any], passthrough: Sequence[str]) -> list[Part]:
    """The parts of a batch, in the order in which their sizes first occur; raises ValueError for unusable fields."""
    main = next(value for field, value in sent.items() if field.path in (("image",), ("audio",)))
    for path, values in targets.items():
        if len(values) != len(main):
            raise ValueError(f"{join_path(path)} holds {len(values)} targets for {len(main)} samples")
    groups = _group_by_shape(main)
    if len(groups) > 1:
        for field, value in sent.items():
            _check_rows(field.name, value, len(main))
    return [_build_part(rows, len(groups) > 1, sent, targets, passthrough) for rows in groups]


def _check_rows(name: str, value: Any, n: int) -> None:
    """Raises ValueError unless a field has one entry for each of n samples, of which each part takes its own."""
    if not hasattr(value, "__len__") or len(value) != n:
        raise ValueError(f"every field has one row for each sample: {name} has not the {n} rows of the batch")


def _build_part(
    rows: Rows, choose: bool, sent: Mapping[FlatField, Any], targets: Mapping[Path, Any], passthrough: Sequence[str]
) -> Part:
    arrays: Arrays = {}
    flat: dict[FlatField, Form] = {}
    for field, value in sent.items():
        own, flat[field] = field.to_arrays(_select(field.name, value, rows) if choose else value)
        arrays.update(own)
    nested: NestedTargets | None = None
    planes: Sequence[npt.NDArray[np.uint8]] = ()
    for path, values in targets.items():
        own_values = [values[row] for row in rows]
        nested = NestedTargets(path, own_values, read_targets(join_path(path), own_values, passthrough))
        objects, planes = pack(nested.objects)
        arrays.update(objects)
    return Part(rows, _requests(arrays, planes), flat, nested)


def _requests(arrays: Arrays, planes: Sequence[npt.NDArray[np.uint8]]) -> list[Arrays]:
    if not planes:
        return [arrays]
    if "mask" in arrays or "image" not in arrays:
        raise ValueError("masks of objects are those of images, and come without another mask")
    main = {"image": arrays["image"]}
    return [{**(arrays if index == 0 else main), "mask": plane} for index, plane in enumerate(planes)]


def _group_by_shape(samples: Any) -> list[Rows]:
    if not isinstance(samples, list | tuple):
        return [np.arange(len(samples))]
    groups: dict[tuple[int, ...], list[int]] = {}
    for row, sample in enumerate(samples):
        groups.setdefault(np.shape(sample), []).append(row)
    return [np.array(rows) for rows in groups.values()] or [np.arange(0)]


def _select(name: str, value: Any, rows: Rows) -> Any:
    """The entries of these samples, as one array."""
    if isinstance(value, list | tuple):
        return _stack(name, [to_array(name, value[row]) for row in rows])
    return value[rows] if isinstance(value, np.ndarray) else value[rows.tolist()]


def add_indices(parts: Sequence[Part], index: Rows) -> list[Arrays]:
    """The arrays of the requests of all parts, in order, each with its rows of `index` (N,).

    Raises ValueError for an index that is given twice or missing where the server sees one part at a time.
    """
    if len(parts) > 1:
        _check_rows("index", index, sum(len(part.rows) for part in parts))
    if len(parts) > 1 and len(np.unique(index)) < len(index):
        raise ValueError("an index is given twice in a batch: two samples would share their draws")
    return [
        {**arrays, "index": index[part.rows] if len(parts) > 1 else index} for part in parts for arrays in part.requests
    ]


def restore_batch(
    parts: Sequence[Part], rest: Mapping[Path, Any], responses: Iterable[Tensors], keep_sizes: bool
) -> dict[str, Any]:
    """The batch from the tensors of the response to each request; images of several sizes are a list if they keep them."""
    coming = iter(responses)
    restored = [part.restore(list(islice(coming, len(part.requests)))) for part in parts]
    batch: dict[str, Any] = {}
    for path, value in {**rest, **_join_parts(parts, restored, keep_sizes)}.items():
        owner = batch
        for name in path[:-1]:
            owner = owner.setdefault(name, {})
        owner[path[-1]] = value
    return batch


def _join_parts(parts: Sequence[Part], restored: Sequence[Mapping[Path, Any]], keep_sizes: bool) -> dict[Path, Any]:
    if len(parts) == 1:
        return dict(restored[0])
    n = sum(len(part.rows) for part in parts)
    fields: dict[Path, Any] = {}
    for path in restored[0]:
        entries: list[Any] = [None] * n
        for part, own in zip(parts, restored, strict=True):
            for row, entry in zip(part.rows.tolist(), own[path], strict=True):
                entries[row] = entry
        stay = isinstance(restored[0][path], list) or (keep_sizes and _is_sized(path, parts[0]))
        fields[path] = entries if stay else _stack(join_path(path), entries)
    return fields


def _stack(name: str, entries: Sequence[Any]) -> Any:
    shapes = sorted({tuple(np.shape(entry)) for entry in entries})
    if len(shapes) > 1:
        raise ValueError(
            f"{name} cannot be one array, as its samples have the shapes {', '.join(map(str, shapes))}: give all "
            f"images the same number of channels, and pad rows of labels"
        )
    return stack(entries)


def _is_sized(path: Path, part: Part) -> bool:
    return any(field.path == path and field.role in _SIZED for field in part.flat)
