"""Turns a caller's batch into the arrays that the service takes.

batch (dict, tuple, list) → fields by name → Part (samples of one size: arrays to send) → tensors → fields by name
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from augsvc_client.fields.flat import BOX_FORMATS, FlatField, cast, read_box_format, to_array
from augsvc_client.fields.forms import Looks
from augsvc_client.fields.geometry import is_nested, looks_flat, looks_spatial, looks_timed, moving_field
from augsvc_client.fields.label_values import holds_positions
from augsvc_client.fields.parts import Part, build_parts
from augsvc_client.fields.roles import CONTENT, Path, join_path, role_of, unmovable

_VIEW = re.compile(r"(image|img|view|crop)s?_?\d+|views|crops", re.IGNORECASE)


def _moves_always() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Reader:
    """Splits a batch into arrays for the service and fields that are passed through."""

    fields: Sequence[str]
    layout: str
    index_key: str | None
    passthrough: Sequence[str] = ()
    box_format: str | None = None
    moves: Callable[[], bool] = _moves_always  # whether the request moves pixels
    has_window: bool = False  # whether the request maps the images' numbers
    per_object: Sequence[str] = ()
    plain_labels: set[Path] = field(default_factory=set)  # whose numbers were found to be no positions

    def __post_init__(self) -> None:
        if self.layout not in ("NHWC", "NCHW"):
            raise ValueError(f"layout is 'NHWC' or 'NCHW', got {self.layout!r}")
        if (
            isinstance(self.fields, str)
            or not isinstance(self.fields, Collection)
            or len(set(self.fields)) != len(self.fields)
        ):
            raise ValueError(
                f"fields is a tuple of distinct names, for example ('image', 'label'), got {self.fields!r}"
            )
        for argument, names, example in (
            ("passthrough", self.passthrough, "depth"),
            ("per_object", self.per_object, "difficulty"),
        ):
            if isinstance(names, str) or not isinstance(names, Collection):  # an iterator is empty in the second batch
                raise ValueError(f"{argument} is a tuple of names, for example ({example!r},), got {names!r}")
        if both := sorted(set(self.per_object).intersection(self.passthrough)):
            raise ValueError(f"per_object and passthrough both name {', '.join(both)}: a field is either of them")
        if self.box_format not in (None, *BOX_FORMATS):
            raise ValueError(f"box_format is one of {', '.join(BOX_FORMATS)}, got {self.box_format!r}")

    def name_fields(self, batch: object) -> dict[str, Any]:
        """The batch's fields by name; raises ValueError if it is not a batch of images or sound."""
        own_names = getattr(batch, "_fields", ())  # of a named tuple
        if isinstance(batch, Mapping):
            named = dict(batch)
        elif isinstance(batch, tuple) and not set(own_names).isdisjoint(CONTENT):
            named = dict(zip(own_names, batch, strict=True))
        elif isinstance(batch, tuple | list) and len(batch) == len(self.fields):
            named = dict(zip(self.fields, batch, strict=True))
        else:
            length = f" of {len(batch)}" if isinstance(batch, tuple | list) else ""
            other = f", or a tuple in the order of fields={self.fields}" if self.fields else " of fields by name"
            cure = ": name its entries with fields=('image', …)" if length else ""
            raise ValueError(f"a batch is a dict{other}; got {type(batch).__name__}{length}{cure}")
        names = ", ".join(map(str, named)) or "no fields"
        if len(named.keys() & set(CONTENT)) != 1:
            raise ValueError(f"the batch has {names}: it needs 'image' or 'audio', exactly one of them")
        if self.index_key is not None and self.index_key not in named:
            raise ValueError(f"the batch has no {self.index_key!r}, only {names}")
        if "index" in named and self.index_key != "index":
            raise ValueError("the batch has a field 'index': set index_key='index' to use it, or rename the field")
        if empty := [name for name, value in named.items() if value is None]:
            raise ValueError(f"{empty[0]} is None; leave it out of the batch")
        _refuse_views(named, self.passthrough)
        return named

    def split(self, named: Mapping[str, Any]) -> tuple[list[Part], dict[Path, Any]]:
        """Arrays copied from the caller's tensors, which a loader may refill while they wait, and the other fields.

        Raises ValueError for a field that looks as if it had to move with the pixels or the sound and cannot.
        """
        sent: dict[FlatField, Any] = {}
        targets: dict[Path, Any] = {}
        rest: dict[Path, Any] = {}
        looks: Looks = partial(looks_timed, samples=_samples(named["audio"])) if "audio" in named else looks_spatial
        samples = count_samples(named)
        size = None if "audio" in named else _largest_size(named["image"], self.layout)
        for path, value in _leaves(named):
            role = self._role(path, value, looks, samples, size)
            if role == "targets":
                targets[path] = value
            elif role is not None:
                form = self._box_format(path, role, value)
                sent[FlatField(path, role, self.layout, form, self.has_window)] = value
            elif path != ("index",):
                rest[path] = value
        _check_distinct(sent, targets)
        return build_parts(sent, targets, self.passthrough, self.per_object, self.moves), rest

    def indices(self, named: Mapping[str, Any]) -> npt.NDArray[np.int64] | None:
        """The caller's own indices [N], if `index_key` names their field."""
        if self.index_key is None:
            return None
        return cast("index", to_array("index", named[self.index_key]), np.int64)

    def identify(self, named: Mapping[str, Any]) -> Any:
        """What tells the samples [N, …]: the field `index_key`, else the images or clips."""
        return named[self.index_key] if self.index_key is not None else named["image" if "image" in named else "audio"]

    def _role(self, path: Path, value: Any, looks: Looks, samples: int, size: tuple[int, int] | None) -> str | None:
        """The tensor that a field is sent as, or "targets"; None for one that is passed through."""
        name, is_sound = path[-1], looks is not looks_spatial
        if path in (("image",), ("audio",)):
            return name
        if not {name, path[0]}.isdisjoint(self.passthrough):
            return None
        role = role_of(name)
        if role == "lengths":
            return role if is_sound and len(path) == 1 else None
        if role is not None and (path == (role,) or self.moves()):
            return role
        moving = moving_field(name, value, self.passthrough, looks)
        if moving is not None and self.moves():
            if is_nested(value) and not is_sound and len(moving) > 1:
                return "targets"
            raise ValueError(unmovable(path[:-1] + moving, is_sound))
        is_plain = path in self.plain_labels and len(value) == samples
        if not (is_sound or is_plain) and looks_flat(name, value, samples) and self.moves():
            raise ValueError(
                f"{join_path(path)} looks as if it had one row for each object of all samples: give boxes N,M,4, padded, or "
                f"one dict of boxes for each sample, or set passthrough=({name!r},) to leave it as it is"
            )
        if not (is_sound or is_plain) and self.moves():
            self._require_plain(path, value, samples, size)
        return "label" if path == ("label",) else None

    def _require_plain(self, path: Path, value: Any, samples: int, size: tuple[int, int] | None) -> None:
        """Raises ValueError for a label that may hold positions. One that was found to hold others is not looked at again: what
        passed in the first batch of a loader must not end the job in a later one."""
        may_move = holds_positions(path[-1], value, samples, size)
        if may_move:
            raise ValueError(
                f"{join_path(path)} may by its numbers hold boxes or points of each sample: name it boxes or keypoints if it "
                f"does, or set passthrough=({path[-1]!r},) to leave it as it is"
            )
        if may_move is not None:
            self.plain_labels.add(path)

    def _box_format(self, path: Path, role: str, value: Any) -> str | None:
        if role != "boxes":
            return None
        own = read_box_format(value)
        if own not in (None, *BOX_FORMATS) or own not in (None, self.box_format or own):
            raise ValueError(f"{join_path(path)} are {own}: convert them to xyxy, x1 y1 x2 y2 in pixels")
        if own is not None or path[-1] == "boxes":
            return own
        if self.box_format is not None:
            return self.box_format
        raise ValueError(
            f"{join_path(path)}: set box_format='xyxy' or 'xywh' (x y width height), in pixels; only the name boxes "
            f"always means x1 y1 x2 y2"
        )


def _refuse_views(named: Mapping[str, Any], passthrough: Collection[str]) -> None:
    """Raises ValueError for several views of each sample: a list of batches, as transforms for self-supervised training give, or
    further fields with the name and the shape of the images."""
    if "image" not in named:
        return
    images = named["image"]
    n_axes = [len(np.shape(entry)) for entry in images[:2]] if isinstance(images, list | tuple) else []
    views = [name for name in named if _VIEW.fullmatch(str(name)) and name not in passthrough]
    views = [name for name in views if _shape(named[name]) is not None and _shape(named[name]) == _shape(images)]
    if (n_axes and set(n_axes) == {4}) or views:
        found = f"image and {', '.join(views)} are" if views else f"image is a list of {len(images)} batches,"
        raise ValueError(
            f"{found} views of the same samples: give one image of each. The service draws the views: views=2 of "
            f"RemoteDataLoader, or MultiViewLoader of several such loaders for crops of several sizes"
        )


def _shape(value: Any) -> tuple[int, ...] | None:
    """The shape of an array, or of a list that could be one; None for others, such as a list of images of several sizes."""
    try:
        return tuple(np.shape(value))
    except (ValueError, TypeError, RuntimeError):  # NumPy's, and torch's on a GPU and of nested tensors
        return None


def _samples(clips: Any) -> int | None:
    """T of clips N,T; None for a list of clips."""
    shape = np.shape(clips) if not isinstance(clips, list | tuple) else ()
    return shape[-1] if shape else None


def _largest_size(images: Any, layout: str) -> tuple[int, int] | None:
    """The largest height and width of images; None if they are not known."""
    shapes = [np.shape(image) for image in images] if isinstance(images, list | tuple) else [np.shape(images)[1:]]
    if not shapes or any(len(shape) != 3 for shape in shapes):
        return None
    first = 0 if layout == "NHWC" else 1
    return max(shape[first] for shape in shapes), max(shape[first + 1] for shape in shapes)


def _leaves(named: Mapping[str, Any], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    for name, value in named.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*path, name))
        else:
            yield (*path, name), value


def _check_distinct(sent: Iterable[FlatField], targets: Iterable[Path]) -> None:
    """Raises ValueError for two fields of one role: a sample has one mask, one list of boxes and one of keypoints."""
    names: dict[str, str] = {}
    roles = [(field.role, field.name) for field in sent]
    roles += [("boxes", join_path(path)) for path in targets]
    for role, name in roles:
        if role in names:
            raise ValueError(
                f"{names[role]} and {name} would both be sent as {role}, of which a sample has one: join them, or name one "
                f"in passthrough="
            )
        names[role] = name


def count_samples(named: Mapping[str, Any]) -> int:
    """The number of samples in a batch."""
    return next(len(named[name]) for name in CONTENT if name in named)
