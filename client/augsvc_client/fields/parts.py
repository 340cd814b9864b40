"""The requests of one batch: samples of one image size together, and the way from the responses back to the batch.

fields → build_parts (grouped by size) → requests → arrays or tensors of each response → restore_batch → fields
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from augsvc_client.fields.coordinates import find_inverted, require_pixels
from augsvc_client.fields.flat import FlatField, Form, to_array
from augsvc_client.fields.libraries import stack
from augsvc_client.fields.objects import update_size
from augsvc_client.fields.roles import Path, join_path
from augsvc_client.fields.targets import Objects, pack, read_targets, unpack, write_targets
from augsvc_client.wire import Arrays

Tensors = dict[str, Any]
Size = Sequence[int]  # height, width
Rows = npt.NDArray[np.int64]

_MIN_PADDING = 20  # as a fraction of a row: 1/20
_SIZED = ("image", "mask", "audio")  # of several sizes, so that they cannot be one tensor


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Samples of one batch whose images have one size: the arrays of their request, and how its tensors become fields.

    `rows` are their places in the batch.
    """

    rows: Rows
    arrays: Arrays
    flat: Mapping[FlatField, Form]
    targets: "NestedTargets | None"

    def restore(self, moved: Tensors, canvas: Size | None) -> dict[Path, Any]:
        """The fields of these samples from the response's tensors; `canvas` is None for images that keep their size."""
        fields: dict[Path, Any] = {}
        if self.targets is not None:
            targets = self.targets.restore(moved)
            if canvas is not None:
                source = self.arrays["image"].shape[1:3]
                targets = self.targets.update_sizes(targets, source, canvas)
            fields[self.targets.path] = targets
        for field, form in self.flat.items():
            fields.update(field.restore(moved, form))
        return {**fields, ("index",): moved["index"]}


@dataclass(frozen=True, slots=True, eq=False)
class NestedTargets:
    """A field that holds one target for each sample; `fields` names those of each target with one entry for each object."""

    path: Path
    values: Sequence[Any]
    objects: Sequence[Objects]
    fields: Sequence[frozenset[str]]
    passthrough: Sequence[str]

    @classmethod
    def read(
        cls, path: Path, values: Sequence[Any], passthrough: Sequence[str], per_object: Sequence[str]
    ) -> "NestedTargets":
        """From the targets of a batch; raises ValueError for one that cannot be read."""
        return cls(path, values, *read_targets(join_path(path), values, passthrough, per_object), passthrough)

    def select(self, rows: Rows) -> "NestedTargets":
        """The targets of these samples."""
        values, objects, fields = ([own[row] for row in rows] for own in (self.values, self.objects, self.fields))
        return replace(self, values=values, objects=objects, fields=fields)

    def restore(self, moved: Tensors) -> list[Any]:
        """The transformed targets."""
        return write_targets(self.values, *unpack(self.objects, moved), self.fields)

    def update_sizes(self, targets: Sequence[Any], source: Size, canvas: Size) -> list[Any]:
        """The targets with the size of the canvas in place of that of the source."""
        return [
            update_size(target, source, canvas, self.passthrough) if isinstance(target, Mapping) else target
            for target in targets
        ]


def build_parts(
    sent: Mapping[FlatField, Any],
    targets: Mapping[Path, Any],
    passthrough: Sequence[str],
    per_object: Sequence[str],
    moves: Callable[[], bool],
) -> list[Part]:
    """The parts of a batch, in the order in which their sizes first occur; raises ValueError for unusable fields.

    There is at most one field of `targets`. `moves`: whether the request moves pixels.
    """
    main = next(value for field, value in sent.items() if field.path in (("image",), ("audio",)))
    nested: NestedTargets | None = None
    for path, values in targets.items():
        if len(values) != len(main):
            raise ValueError(
                f"{join_path(path)} holds {len(values)} targets for {len(main)} samples: give one for each sample, or set "
                f"passthrough=({path[-1]!r},) to leave it as it is"
            )
        nested = NestedTargets.read(path, values, passthrough, per_object)
    groups = _group_by_shape(main)
    if len(groups) > 1:
        for field, value in sent.items():
            _check_rows(field.name, value, len(main))
    parts = [_build_part(rows, len(groups) > 1, sent, nested) for rows in groups]
    _check_coordinates(parts, moves)
    return parts


def _check_rows(name: str, value: Any, n: int) -> None:
    """Raises ValueError unless a field has one entry for each of n samples, of which each part takes its own."""
    if not hasattr(value, "__len__") or len(value) != n:
        raise ValueError(f"every field has one row for each sample: {name} has not the {n} rows of the batch")


def _build_part(rows: Rows, choose: bool, sent: Mapping[FlatField, Any], nested: NestedTargets | None) -> Part:
    arrays: Arrays = {}
    flat: dict[FlatField, Form] = {}
    for field, value in sent.items():
        own, flat[field] = field.to_arrays(_select(field.name, value, rows) if choose else value)
        arrays.update(own)
    if nested is not None:
        nested = nested.select(rows)
        arrays.update(pack(nested.objects))
        if "mask_bits" in arrays and "image" not in arrays:
            raise ValueError("masks of objects are those of images")
    return Part(rows, arrays, flat, nested)


def _check_coordinates(parts: Sequence[Part], moves: Callable[[], bool]) -> None:
    """Raises ValueError for coordinates in fractions of the image, and for boxes that are not x1 y1 x2 y2."""
    for role in ("boxes", "keypoints"):
        arrays = [part.arrays for part in parts if role in part.arrays and "image" in part.arrays]
        if not arrays:
            continue
        name = next((field.name for field in parts[0].flat if field.role == role), None) or _targets_name(parts)
        if role == "keypoints" and not moves():
            continue
        rows = require_pixels(name, role, arrays)
        if role == "boxes" and (box := find_inverted(rows)) is not None:
            raise ValueError(
                f"{name} has the box {box} as x1 y1 x2 y2, where x1 < x2 and y1 < y2: convert boxes of another form (x y "
                f"width height, or a centre), and remove those without area or mark them in boxes_valid"
            )


def _targets_name(parts: Sequence[Part]) -> str:
    return next((join_path(part.targets.path) for part in parts if part.targets is not None), "the batch")


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
    return [{**part.arrays, "index": index[part.rows] if len(parts) > 1 else index} for part in parts]


def looks_padded(arrays: Arrays) -> bool:
    """Whether some clips without lengths end in zeros for a twentieth of their row or more, while another one does not."""
    audio = arrays.get("audio")
    if audio is None or "lengths" in arrays or not audio.size:
        return False
    has_end = audio[..., -max(1, audio.shape[-1] // _MIN_PADDING) :].reshape(len(audio), -1).any(axis=1)
    return bool(has_end.any() and (audio[~has_end] != 0).any())


def restore_batch(
    parts: Sequence[Part], rest: Mapping[Path, Any], responses: Iterable[Tensors], canvas: Size | None
) -> dict[str, Any]:
    """The batch from the tensors of the response to each request; without a canvas, images of several sizes are a list."""
    restored = [part.restore(dict(moved), canvas) for part, moved in zip(parts, responses, strict=True)]
    batch: dict[str, Any] = {}
    for path, value in {**rest, **_join_parts(parts, restored, canvas is None)}.items():
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
