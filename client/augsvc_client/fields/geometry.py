"""Which fields look as if they had to move with the pixels or the sound, by their names and shapes.

field name → words → geometric (xyxy, joints, x_min; N,H,W; float N,4) or of time (onset, segments; N,T) → refused
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from augsvc_client.fields.attributes import AttributeSearch
from augsvc_client.fields.flat import to_array
from augsvc_client.fields.forms import (
    LISTS,
    Form,
    Looks,
    is_about,
    read_form,
    split_words,
    to_words,
    unwrap,
)
from augsvc_client.fields.label_values import find_positions
from augsvc_client.fields.roles import Path

_PAIRS = (2, 4)  # numbers in a point and in a box
_POINT = re.compile(
    r"\w*(box|keypoint|landmark|contour|corner|center|centre|coord|point|joint|gaze|pupil|position|vertex|vertices"
    r"|skeleton|xyxy|xywh|traject)\w*|(bb|cxcy|hull|kp|kpt|lmk|poly|pose|quad|rect|xy|yx)\w*"
    r"|(anchor|circle|click|ellipse|ltrb|ltwh|line|lane|loc|location|obb|offset|origin|pos|pt|rle|roi|tlbr|tlhw|tlwh|uv)s?"
    r"|displacement|horizon|motion|seg|segm|segmap|segmentation|shift|trans|translation|velocity"
    r"|affine|calib|calibration|cam|camera|euler|extrinsics?|homography|intrinsics?|projection|quat|quaternion|rot"
    r"|(ankle|brow|chin|ear|elbow|eye|hip|knee|mouth|neck|nose|pelvis|shoulder|thumb|wrist)s?"  # points of faces and bodies
)
_PLACE = re.compile(
    r"(annotation|area|bound|crop|detection|extent|object|patch|pixel|region|tile|window)s?"
)  # as the last word
_ORDINATE = re.compile(  # one number: x, cx, x1, x_min, left, angle, but not y, which is a label's name too
    r"(?!y$)(\w+_)?(((min|max)_?|[cdfpt])?[xy]_?(\d|c|center|centre|left|max|mid|min|right)?|left|top|right|bottom"
    r"|angle|azimuth|bearing|direction|focal(_length)?|heading|orient|orientation|radius|roll|rotation|steering|theta|tilt|yaw)s?"
    r"(_(deg|degree|rad|radian)s?)?"
)
_TIME = re.compile(
    r"(beat|begin|boundary|boundaries|clean|end|event|frame|framewise|interval|note|offset|onset|phone|phoneme|reference"
    r"|segment|signal|source|span|start|stem|time|timestamp|vad|waveform|wav|word)s?"
)
_MAX_DEPTH = 8  # of mappings and lists in one another: they may refer to each other
_PADDING_MASKS = ("attention_mask", "padding_mask", "pad_mask")  # clips move inside their lengths


def looks_spatial(name: str, form: Form) -> bool:
    """Whether a field looks as if it held positions in the image.

    Three or more axes (N,H,W; N,M,4); two and the name of coordinates, or floats N,2 and N,4; one and the name of a
    single coordinate or angle. The last word of a name tells coordinates (`labelled_box`) from what is about them
    (`box_label`).
    """
    if form.kind == "G" or (form.axes >= 3 and form.kind != "U"):
        return True
    name = to_words(name)
    if form.kind == "b" or is_about(name):
        return False
    if form.axes >= 2:
        words = split_words(name)
        named = any(map(_POINT.fullmatch, words)) or _PLACE.fullmatch(words[-1]) or _ORDINATE.fullmatch(name)
        return bool(named) or (form.kind == "f" and form.last in _PAIRS)
    return form.axes == 1 and _ORDINATE.fullmatch(name) is not None


def looks_timed(name: str, form: Form, samples: int | None) -> bool:
    """Whether a field looks as if it held times or samples of clips; `samples`: T of these clips, None if they differ.

    Three or more axes, or two: the name of times, N,T, or a name that is not of labels and scores; one and the name of a time.
    """
    if form.kind in ("U", "G"):  # spoken digits, and where a sound was recorded
        return False
    if form.axes >= 3:
        return True
    name = to_words(name)
    if name in _PADDING_MASKS:
        return False
    timed = any(_TIME.fullmatch(word) for word in split_words(name))
    if form.axes == 2:
        return timed or not is_about(name) or (form.last is not None and form.last == samples)
    return form.axes == 1 and timed and not is_about(name)


def looks_flat(name: str, value: Any, samples: int) -> bool:
    """Whether an array looks as if it had one row for each object of a batch of `samples`, as YOLO's targets.

    Floats M,4 or wider where M is not the number of samples, or numbers M,5 or wider whose first column numbers the samples.
    """
    shape = () if getattr(value, "is_nested", False) else tuple(getattr(value, "shape", ()))  # torch's raises an error
    if (
        len(shape) != 2
        or shape[1] < _PAIRS[1]
        or not shape[0]
        or (is_about(to_words(name)) and "label" not in name.lower())
    ):
        return False
    form = read_form(value)
    if form is None or form.kind not in "fiu":
        return False
    if form.kind == "f" and shape[0] != samples:
        return True
    owners = to_array(name, value[:, 0])
    if shape[0] == samples:
        is_numbered = samples > 1 and shape[1] > _PAIRS[1] and bool((owners == np.arange(samples)).all())
        return is_numbered and not np.allclose(
            np.abs(to_array(name, value)).sum(axis=1), 1
        )  # of one class each, by chance
    ascending = (np.diff(owners) >= 0).all() and owners[0] >= 0 and owners[-1] < samples
    return shape[1] > _PAIRS[1] and bool(ascending)


def is_nested(value: object) -> bool:
    """Whether a field holds named values: a mapping, or mappings in lists (torchvision's and COCO's targets)."""
    if isinstance(value, Mapping):
        return True
    return isinstance(value, LISTS) and any(is_nested(entry) for entry in value)


def moving_field(name: str, value: object, passthrough: Sequence[str], looks: Looks, leading: int = 0) -> Path | None:
    """The path from `name` to a field in `value` that looks as if it had to move, or None; also to an attribute of an object.

    `leading`: the axes of the lists that hold `value`.
    """
    return _Search(passthrough, looks, {}, AttributeSearch(passthrough, looks, {})).find(
        name, value, leading, _MAX_DEPTH
    )


def _holds_columns(value: object) -> bool:
    if isinstance(value, int | float):
        return False
    value = unwrap(value)
    return _read_columns(value) is not None or (isinstance(value, LISTS) and any(map(_holds_columns, value)))


def _read_columns(value: Any) -> Mapping[Any, Any] | None:
    """The values by name of a mapping, of a structured array, or of a table as those of pandas; None for anything else."""
    if isinstance(value, Mapping):
        return value
    names = getattr(getattr(value, "dtype", None), "names", None)
    if names is None and hasattr(value, "iloc"):
        names = getattr(value, "columns", None)
    return None if names is None else {name: value[name] for name in names}


class _Search(NamedTuple):
    """The search of mappings and of the lists around them."""

    passthrough: Sequence[str]
    looks: Looks
    searched: dict[tuple[str, int, int, int], tuple[object, Path | None]]  # by id, with the value that has it
    attributes: AttributeSearch

    def find(self, name: str, value: object, leading: int, depth: int) -> Path | None:
        if name in self.passthrough or not depth:
            return None
        key = (name, id(value), leading, depth)
        if key not in self.searched:
            self.searched[key] = value, self._find(name, value, leading, depth - 1)
        return self.searched[key][1]

    def _find(self, name: str, value: Any, leading: int, depth: int) -> Path | None:
        value = unwrap(value)
        columns = _read_columns(value)
        if columns is not None:
            if self.looks is looks_spatial and (found := find_positions(columns, self.passthrough)) is not None:
                return name, *found
            paths = (self.find(str(key), entry, leading, depth) for key, entry in columns.items())
            path = next(filter(None, paths), None)
            return path and (name, *path)
        if isinstance(value, LISTS) and any(map(_holds_columns, value)):
            paths = (self.find(name, entry, leading + 1, depth) for entry in value)
            return next(filter(None, paths), None)
        form = read_form(value)
        if form is None:
            return self.attributes.find(name, value, leading)
        # one row of 4 in a target is a box, or a number for each of 4 objects
        last = form.last if not leading else None
        return (name,) if self.looks(name, Form(form.axes + leading, last, form.kind)) else None
