"""Which fields of a torchvision target hold one entry for each object, so that an object that leaves takes its entry along.

names of a target's fields → find_object_fields → those of objects; update_size: the image's size, on another canvas
"""

import re
from collections.abc import Mapping, Sequence, Set
from typing import Any

from augsvc_client.fields.forms import to_words
from augsvc_client.fields.libraries import convert

# Names alone decide: lengths would give a field to the image in one batch and to its objects in the next.
_OF_OBJECTS = re.compile(  # torchvision's, COCO's, VOC's and Detectron's names
    r"((ann|annotation|box|class|category|gt|instance|obj|object|person|pred|track)_)?"
    r"(category|categories|class|classes|confidence|id|label|name|score|visibility)s?"
    r"|(is_?)?crowd|(gt_)?(difficult|ignore|ignored|occluded|occlusion|truncated|truncation|visible)"
)
_OF_IMAGE = re.compile(
    r"(file|image|img|ori|orig|original|pad|padding)(_\w+)?|(mean|std)(_\w+)?|path|scale_factor|shape|size|batch_input_shape"
)
_GEOMETRY = ("boxes", "keypoints", "masks")
_SIZES = ("size", "image_size", "img_size", "image_shape", "img_shape")  # of the image as it is


def find_object_fields(
    target: Mapping[str, Any], count: int, passthrough: Sequence[str], per_object: Sequence[str]
) -> frozenset[str]:
    """The fields with one entry for each of `count` objects: those named so and in `per_object`, if not in `passthrough`.

    Raises ValueError for one with another number of entries, and for entries of a field that is not known.
    """
    fields = set()
    for name, value in target.items():
        if name in passthrough or name in _GEOMETRY or value is None:
            continue
        length = _length(value)
        is_known = name == "area" or (length is not None and _OF_OBJECTS.fullmatch(to_words(name)))
        if name in per_object or is_known:
            if isinstance(value, Set):
                raise ValueError(f"{name} is a set, which has no order: make it a list or an array")
            if length != count:
                entries = "no entries" if length is None else f"{length} entries"
                raise ValueError(
                    f"{name} has {entries} for {count} objects: set passthrough=({name!r},) if it is not of them"
                )
            fields.add(name)
        elif _has_entries(name, value, passthrough):
            raise ValueError(
                f"{name} may be of the image or of its objects: set per_object=({name!r},) if it has one entry for each "
                f"object, which leaves with it, or passthrough=({name!r},) to leave it as it is"
            )
    return frozenset(fields)


def is_of_image(name: str) -> bool:
    """Whether a field of this name is of the image, whatever it holds."""
    return _OF_IMAGE.fullmatch(to_words(name)) is not None


def _has_entries(name: str, value: Any, passthrough: Sequence[str]) -> bool:
    """Whether a field that is not known to be of the image, or one inside it, is an array, a list or the like."""
    if name in passthrough or is_of_image(name):
        return False
    if isinstance(value, Mapping):
        return any(_has_entries(str(key), entry, passthrough) for key, entry in value.items())
    return _length(value) is not None and not isinstance(value, Set)


def update_size(
    target: Mapping[str, Any], source: Sequence[int], canvas: Sequence[int], passthrough: Sequence[str]
) -> dict[str, Any]:
    """The target with the size (height, width) of its image, where it holds that of the source, replaced by the canvas's."""
    names = [name for name in _SIZES if name in target and name not in passthrough]
    stale = [name for name in names if _to_list(target[name])[:2] == list(source)]
    return {**target, **{name: _replace_size(target[name], canvas) for name in stale}}


def _replace_size(value: Any, canvas: Sequence[int]) -> Any:
    sizes = [*canvas, *_to_list(value)[2:]]
    return type(value)(sizes) if isinstance(value, list | tuple) else convert(value, sizes)


def _to_list(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return list(value)
    return value.tolist() if getattr(value, "ndim", 0) == 1 else []


def _length(value: Any) -> int | None:
    """The number of entries, also of a deque or a column of a table; None for a single value."""
    is_single = (
        isinstance(value, str | bytes | Mapping) or getattr(value, "ndim", 1) == 0 or not hasattr(value, "__len__")
    )
    return None if is_single else len(value)
