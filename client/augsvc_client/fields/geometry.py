"""Which fields look as if they had to move with the pixels or the sound, by their names and shapes.

field name → words → geometric (xyxy, joints, x_min; N,H,W; float N,4) or of time (onset, segments; N,T) → refused
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from augsvc_client.fields.attributes import AttributeSearch
from augsvc_client.fields.forms import Form, Looks, is_about, read_form, split_words, to_words
from augsvc_client.fields.roles import Path

_PAIRS = (2, 4)  # numbers in a point and in a box
_POINT = re.compile(
    r"\w*(box|keypoint|landmark|contour|corner|center|centre|coord|point|joint|gaze|pupil|position|vertex|vertices"
    r"|skeleton|xyxy|xywh|traject)\w*|(bb|cxcy|hull|kp|kpt|lmk|poly|pose|quad|rect|xy|yx)\w*"
    r"|(anchor|circle|click|ellipse|ltrb|ltwh|line|loc|location|obb|offset|origin|pos|pt|roi|tlbr|tlwh|uv)s?"
)
_ORDINATE = re.compile(  # one number: x, cx, x1, x_min, left, angle, but not y, which is a label's name too
    r"(?!y$)(\w+_)?(((min|max)_?|[cdpt])?[xy]_?(\d|c|center|centre|left|max|mid|min|right)?|left|top|right|bottom"
    r"|angle|heading|orientation|theta|yaw)s?"
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
    if form.axes >= 3:
        return True
    name = to_words(name)
    if form.kind == "b" or is_about(name):
        return False
    if form.axes == 2:
        named = any(_POINT.fullmatch(word) for word in split_words(name)) or _ORDINATE.fullmatch(name)
        return bool(named) or (form.kind == "f" and form.last in _PAIRS)
    return form.axes == 1 and _ORDINATE.fullmatch(name) is not None


def looks_timed(name: str, form: Form, samples: int | None) -> bool:
    """Whether a field looks as if it held times or samples of clips; `samples`: T of these clips, None if they differ.

    Three or more axes, or two: the name of times, N,T, or a name that is not of labels and scores; one and the name of a time.
    """
    if form.axes >= 3:
        return True
    name = to_words(name)
    if name in _PADDING_MASKS:
        return False
    timed = any(_TIME.fullmatch(word) for word in split_words(name))
    if form.axes == 2:
        return timed or not is_about(name) or (form.last is not None and form.last == samples)
    return form.axes == 1 and timed and not is_about(name)


def is_nested(value: object) -> bool:
    """Whether a field holds named values: a mapping, or mappings in lists (torchvision's and COCO's targets)."""
    if isinstance(value, Mapping):
        return True
    return isinstance(value, list | tuple) and any(is_nested(entry) for entry in value)


def moving_field(name: str, value: object, passthrough: Sequence[str], looks: Looks, leading: int = 0) -> Path | None:
    """The path from `name` to a field in `value` that looks as if it had to move, or None; also to an attribute of an object.

    `leading`: the axes of the lists that hold `value`.
    """
    return _Search(passthrough, looks, {}, AttributeSearch(passthrough, looks, {})).find(
        name, value, leading, _MAX_DEPTH
    )


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
        if isinstance(value, Mapping):
            paths = (self.find(str(key), entry, leading, depth) for key, entry in value.items())
            path = next(filter(None, paths), None)
            return path and (name, *path)
        if is_nested(value):
            paths = (self.find(name, entry, leading + 1, depth) for entry in value)
            return next(filter(None, paths), None)
        form = read_form(value)
        if form is None:
            return self.attributes.find(name, value, leading)
        # one row of 4 in a target is a box, or a number for each of 4 objects
        last = form.last if not leading else None
        return (name,) if self.looks(name, Form(form.axes + leading, last, form.kind)) else None
