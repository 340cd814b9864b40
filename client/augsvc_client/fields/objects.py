"""Which fields of a torchvision target hold one entry for each object, so that an object that leaves takes its entry along.

names and lengths of all targets of a batch → find_object_fields → names; update_size: the image's size, on another canvas
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from augsvc_client.fields.geometry import to_words
from augsvc_client.fields.libraries import convert

_OF_OBJECTS = re.compile(  # the last word
    r"(area|attribute|box|category|categories|class|classes|confidence|crowd|difficult|id|ignore|instance|iscrowd|keypoint"
    r"|label|mask|name|object|occluded|occlusion|person|score|text|track|truncated|truncation|visib\w*|weight)s?"
)
_OF_IMAGE = re.compile(r"(file|image|img|ori|orig|original)(_\w+)?|(\w+_)?(mean|path|scale|shape|size|std)s?(_\w+)?")
_GEOMETRY = ("boxes", "keypoints", "masks")
_SIZES = ("size", "image_size", "img_size", "image_shape", "img_shape")  # of the image as it is


def find_object_fields(counted: Sequence[tuple[Mapping[str, Any], int]], passthrough: Sequence[str]) -> frozenset[str]:
    """The fields with one entry for each object of a target; `counted` holds targets and the numbers of their objects.

    Their names say so, or their lengths follow counts that differ. Raises ValueError if neither tells.
    """
    fields = set()
    for name in dict.fromkeys(name for target, _ in counted for name in target if name not in _GEOMETRY):
        values = [(target[name], count) for target, count in counted if name in target]
        words = to_words(name)
        if name in passthrough or any(_length(value) != count for value, count in values) or _OF_IMAGE.fullmatch(words):
            continue
        differ = len({count for _, count in values}) > 1 or not values[0][1]
        if not differ and not _OF_OBJECTS.fullmatch(words.rpartition("_")[2]):
            raise ValueError(
                f"{name} has {values[0][1]} entries, as many as there are objects: set passthrough=({name!r},) if it is of the "
                f"image, or call it {name}_labels if it has one for each object"
            )
        fields.add(name)
    return frozenset(fields)


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
    """The number of entries; None for a single value."""
    sized = isinstance(value, list | tuple) or getattr(value, "ndim", 0) > 0
    return len(value) if sized else None
