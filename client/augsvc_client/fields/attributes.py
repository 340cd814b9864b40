"""Which attributes of objects in a batch look as if they had to move with the pixels or the sound.

object (dataclass, Detectron's `Instances`) → attributes, breadth first → geometric by name (gt_boxes) and form → refused

Objects refer to anything: a dataset, a module, each other. So the name must say geometry, and few values are read.
"""

import re
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from augsvc_client.fields.forms import Form, Looks, is_about, read_form, split_words, to_words
from augsvc_client.fields.roles import Path

_POSITIONS = re.compile(  # a word of a name
    r"(\w*(box|bbox)(es)?|\w*(keypoint|landmark|polygon)s?"
    r"|(contour|coord|coordinate|corner|hull|instance|joint|kp|kpt|lmk|obb|point|poly|quad|rect|rectangle|roi|skeleton"
    r"|ltrb|ltwh|tlbr|tlwh|trajectory|trajectories|vertex|vertices|cxcywh|xywh|xyxy)s?"
    r"|(beat|boundary|boundaries|event|interval|onset|segment|stem|vad|waveform)s?)"
)
_MASK = re.compile(  # a name: not attention_mask, train_mask
    r"((binary|gt|instance|object|panoptic|pred|seg|segmentation|sem|semantic)_)*(mask|seg|segm|segmap|segmentation)s?(_maps?)?"
)
_CORNER = re.compile(r"([xy]_?(\d|max|min)|(max|min)_?[xy]|c[xy]|[xy]_?(c|center|centre))")  # of one number
_CONTENTS = ("array", "data", "tensor")  # of an object that a name describes: Detectron's Boxes.tensor
_OWNERS = ("dataset", "loader", "parent")  # the last word of the name of what holds further samples
_NAMESPACES = ("argparse", "types")  # of the standard library, whose other objects hold no labels
_MAX_DEPTH = 4  # names below the field: instances.fields.gt_boxes.tensor
_MAX_VALUES = 2_000  # read in a call
_MAX_SAMPLES = 64  # read of the list that is the field
_MAX_NAMES = 64  # read of an object or a mapping
_MAX_ENTRIES = 4  # read of a list in an object


class AttributeSearch(NamedTuple):
    """The search of the objects in one field."""

    passthrough: Sequence[str]
    looks: Looks
    searched: dict[tuple[int, bool], object]  # by id, with the value that has it

    def find(self, name: str, value: object, leading: int) -> Path | None:
        """The path from the field `name` to an attribute that looks as if it had to move, or None."""
        queue: deque[tuple[Path, object, int]] = deque([((name,), value, leading)])
        while queue and len(self.searched) < _MAX_VALUES:
            path, value, leading = queue.popleft()
            if len(path) > 1 and self._is_moving(path, value, leading):
                return path
            key = (id(value), _holds_positions(path[-1]))  # under such a name its contents are refused
            if key not in self.searched:
                self.searched[key] = value
                queue.extend(self._expand(path, value, leading))
        return None

    def _is_moving(self, path: Path, value: object, leading: int) -> bool:
        name = path[-1]
        may_be_array = _holds_positions(path[-2] if name in _CONTENTS else name)
        may_be_number = _is_corner(name) or any(map(_holds_positions, path[:-1]))
        if not (may_be_array or may_be_number) or is_about(to_words(name)):
            return False
        form = read_form(value, _MAX_ENTRIES)
        if form is None or not (may_be_array if form.axes else may_be_number):
            return False
        return self.looks(name, Form(form.axes + leading, None if leading else form.last, form.kind))

    def _expand(self, path: Path, value: Any, leading: int) -> Iterator[tuple[Path, object, int]]:
        """The values right below one."""
        if isinstance(value, np.ndarray) and value.dtype.hasobject:
            value = value.ravel()[:_MAX_SAMPLES].tolist()
        if isinstance(value, list | tuple):
            limit = _MAX_SAMPLES if len(path) == 1 else _MAX_ENTRIES
            for entry in value[:limit]:
                if not isinstance(entry, str | bytes | int | float):
                    yield path, entry, leading + 1
        elif len(path) <= _MAX_DEPTH:
            for name, entry in islice(_read_names(value, path), _MAX_NAMES):
                if name not in self.passthrough:
                    yield (*path, name), entry, leading


def _read_names(value: object, path: Path) -> Iterator[tuple[str, object]]:
    """The values by name of a mapping or of an object; none of what holds no labels, or those of further samples."""
    if len(path) > 1 and to_words(path[-1]).rpartition("_")[2] in _OWNERS:
        return
    if isinstance(value, Mapping):
        yield from ((str(name), entry) for name, entry in value.items())
    elif _may_hold_labels(value) and (
        len(path) == 1 or _holds_positions(path[-1]) or not hasattr(type(value), "__len__")
    ):
        yield from _read_attributes(value)


def _may_hold_labels(value: object) -> bool:
    """False for arrays, images, functions, models, modules, loggers, locks."""
    kind = type(value)
    library = kind.__module__.partition(".")[0]
    if callable(value) or (library in sys.stdlib_module_names and library not in _NAMESPACES):
        return False
    return not hasattr(kind, "shape") and not hasattr(kind, "getbands")


def _read_attributes(value: object) -> list[tuple[str, object]]:
    try:
        slots = [(name, getattr(value, name)) for name in _slots(type(value)) if hasattr(value, name)]
        attributes = [*slots, *islice(getattr(value, "__dict__", {}).items(), _MAX_NAMES)]
    except Exception:  # of a proxy's own access to attributes
        return []
    return [(str(name).strip("_"), entry) for name, entry in attributes]


def _slots(kind: type) -> list[str]:
    names: list[str] = []
    for base in kind.__mro__:
        slots = base.__dict__.get("__slots__", ())
        names.extend([slots] if isinstance(slots, str) else slots)
    return [name for name in names if not name.startswith("__")]


@lru_cache(maxsize=1024)
def _holds_positions(name: str) -> bool:
    words = to_words(name)
    if is_about(words):
        return False
    return _MASK.fullmatch(words) is not None or any(_POSITIONS.fullmatch(word) for word in split_words(words))


@lru_cache(maxsize=1024)
def _is_corner(name: str) -> bool:
    return _CORNER.fullmatch(to_words(name)) is not None
