"""Which fields of a batch are transformed with the pixels, and which look as if they had to be.

field name → role (mask, boxes, keypoints, lengths, …) → sent; none, but geometric → refused; none → passed through
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

CONTENT = ("image", "audio")  # what is augmented; all other tensors accompany it
_ROLES = {
    **dict.fromkeys(("mask", "masks", "seg", "segmap", "segmentation", "segmentation_map"), "mask"),
    **dict.fromkeys(("seg_mask", "segmentation_mask", "semantic_mask", "semantic_segmentation"), "mask"),
    **dict.fromkeys(("boxes", "bboxes", "bbox", "box", "bounding_box", "bounding_boxes"), "boxes"),
    **dict.fromkeys(("keypoints", "keypoint", "landmarks"), "keypoints"),
    "box_labels": "box_labels",
    **dict.fromkeys(("length", "lengths", "audio_length", "audio_lengths"), "lengths"),
}
_COORDINATES = re.compile(r"box|keypoint|kpt|landmark|polygon|contour|corner|cent(er|re)|rect|roi\b|coord")
_ABOUT_COORDINATES = re.compile(r"(label|class|categor|id|score|valid|count|weight)\w*$")
_STRINGS = "SUO"  # kinds of NumPy's dtypes

Path = tuple[str, ...]  # a field's name, below those of the mappings that hold it


def role_of(name: str) -> str | None:
    """The tensor that a field of this name is sent as, in any case; None for a field that has no role."""
    name = str(name).lower()
    if name.endswith("_valid"):
        role = _ROLES.get(name.removesuffix("_valid"))
        return f"{role}_valid" if role in ("boxes", "keypoints") else None
    return _ROLES.get(name)


def join_path(path: Path) -> str:
    """The name for messages."""
    return ".".join(map(str, path))


def unmovable(name: str, key: str) -> str:
    """The message for a field that looks geometric and cannot be moved."""
    return (
        f"{name} looks as if it had to move with the pixels, which the service does for masks, boxes and keypoints: name it "
        f"so if it is one, or set passthrough=({key!r},) to leave it as it is"
    )


def is_nested(value: object) -> bool:
    """Whether a field holds named values: a mapping, or mappings in lists (torchvision's and COCO's targets)."""
    if isinstance(value, Mapping):
        return True
    return isinstance(value, list | tuple) and any(is_nested(entry) for entry in value)


def geometric_field(name: str, value: object, passthrough: Sequence[str], leading: int = 0) -> str | None:
    """The name of a field in `value` that looks geometric, or None.

    That is one of numbers with three or more axes, the samples' included (N,H,W; N,M,4), or with two and the name of
    coordinates (N,4). `leading`: the axes of the lists that hold `value`.
    """
    if name in passthrough:
        return None
    if isinstance(value, Mapping):
        fields = (geometric_field(str(key), entry, passthrough, leading) for key, entry in value.items())
        return next(filter(None, fields), None)
    if is_nested(value) and isinstance(value, list | tuple):
        fields = (geometric_field(name, entry, passthrough, leading + 1) for entry in value)
        return next(filter(None, fields), None)
    axes = _count_axes(value)
    if axes is None:
        return None
    lower = str(name).lower()
    coordinates = _COORDINATES.search(lower) and not _ABOUT_COORDINATES.search(lower)
    return name if axes + leading >= (2 if coordinates else 3) else None


def _count_axes(value: Any) -> int | None:
    """The number of axes; None for what holds no numbers."""
    if hasattr(value, "getbands"):  # an image of PIL
        return 2
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return None if getattr(value.dtype, "kind", "f") in _STRINGS else len(value.shape)
    if isinstance(value, list | tuple):
        axes = [count for entry in value if (count := _count_axes(entry)) is not None]
        return 1 + max(axes) if axes else None
    return 0 if isinstance(value, int | float) else None
