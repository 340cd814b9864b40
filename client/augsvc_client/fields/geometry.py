"""Which fields look as if they had to move with the pixels or the sound, by their names and shapes.

field name → words → geometric (xyxy, joints, x_min; N,H,W; float N,4) or of time (onset, segments; N,T) → refused
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

_STRINGS = "SUO"  # kinds of NumPy's dtypes
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
_ABOUT = re.compile(  # the last word: what does not move, whatever it is about
    r"(attribute|caption|class|classes|category|categories|conf|confidence|count|embedding|feature|flag|hot|id|index"
    r"|label|logit|mean|name|onehot|prob|probability|probabilities|score|std|tag|text|token|transcript|valid\w*"
    r"|visib\w*|weight)s?"
)
_COUNTED = ("num", "n", "count", "has", "is")  # as the first word
_MAX_DEPTH = 8  # of values in one another: objects may refer to each other
_PADDING_MASKS = ("attention_mask", "padding_mask", "pad_mask")  # clips move inside their lengths


class Form(NamedTuple):
    """A field's number of axes, those of the lists around it included, the last one's length and the kind of its numbers."""

    axes: int
    last: int | None
    kind: str  # NumPy's: f, i, u, b


Looks = Callable[[str, Form], bool]


def looks_spatial(name: str, form: Form) -> bool:
    """Whether a field looks as if it held positions in the image.

    Three or more axes (N,H,W; N,M,4); two and the name of coordinates, or floats N,2 and N,4; one and the name of a
    single coordinate or angle. The last word of a name tells coordinates (`labelled_box`) from what is about them
    (`box_label`).
    """
    if form.axes >= 3:
        return True
    name = to_words(name)
    if form.kind == "b" or _is_about(name):
        return False
    if form.axes == 2:
        named = any(_POINT.fullmatch(word) for word in _split(name)) or _ORDINATE.fullmatch(name)
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
    timed = any(_TIME.fullmatch(word) for word in _split(name))
    if form.axes == 2:
        return timed or not _is_about(name) or (form.last is not None and form.last == samples)
    return form.axes == 1 and timed and not _is_about(name)


def to_words(name: str) -> str:
    """The name in lower case with its words joined by _: "boxLabels" → "box_labels"."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", str(name)).lower()
    return "_".join(filter(None, re.split(r"[^a-z0-9]+", words)))


def _split(name: str) -> list[str]:
    return [word.strip("0123456789") for word in name.split("_")]


def _is_about(name: str) -> bool:
    words = _split(name)
    return words[0] in _COUNTED or _ABOUT.fullmatch(words[-1]) is not None


def is_nested(value: object) -> bool:
    """Whether a field holds named values: a mapping, or mappings in lists (torchvision's and COCO's targets)."""
    if isinstance(value, Mapping):
        return True
    return isinstance(value, list | tuple) and any(is_nested(entry) for entry in value)


def moving_field(
    name: str, value: object, passthrough: Sequence[str], looks: Looks, leading: int = 0, depth: int = _MAX_DEPTH
) -> str | None:
    """The name of a field in `value` that looks as if it had to move, or None; also of an attribute of an object.

    `leading`: the axes of the lists that hold `value`. `depth`: how many objects, mappings and lists below it are read.
    """
    if name in passthrough or not depth:
        return None
    if (named := _named_values(value)) is not None:
        fields = (moving_field(str(key), inner, passthrough, looks, leading, depth - 1) for key, inner in named.items())
        return next(filter(None, fields), None)
    entries: Any = value
    if getattr(getattr(value, "dtype", None), "hasobject", False):  # an array of objects
        entries = entries.ravel().tolist()
    if isinstance(entries, list | tuple) and any(_holds_names(entry) for entry in entries):
        fields = (moving_field(name, entry, passthrough, looks, leading + 1, depth - 1) for entry in entries)
        return next(filter(None, fields), None)
    form = _form(value)
    if form is None:
        return None
    # one row of 4 in a target is a box, or a number for each of 4 objects
    last = form.last if not leading else None
    return name if looks(name, Form(form.axes + leading, last, form.kind)) else None


def _holds_names(value: object) -> bool:
    """Whether a value, or one in the lists in it, has names."""
    return _named_values(value) is not None or (isinstance(value, list | tuple) and any(map(_holds_names, value)))


def _named_values(value: object) -> Mapping[Any, Any] | None:
    """The values by name of a mapping, or of an object with attributes, as of a dataclass or Detectron's `Instances`."""
    if isinstance(value, Mapping):
        return value
    if value is None or isinstance(value, str | bytes | int | float | list | tuple):
        return None
    if callable(value) or any(hasattr(type(value), name) for name in ("shape", "getbands")):  # arrays, images of PIL
        return None
    slots = [
        name for kind in type(value).__mro__ for name in kind.__dict__.get("__slots__", ()) if hasattr(value, name)
    ]
    attributes = {**{name: getattr(value, name) for name in slots}, **getattr(value, "__dict__", {})}
    return {name.strip("_"): entry for name, entry in attributes.items()} or None


def _form(value: Any) -> Form | None:
    """None for what holds no numbers."""
    if hasattr(value, "getbands"):  # an image of PIL
        return Form(2, None, "u")
    if getattr(value, "is_nested", False):  # a tensor of torch without a shape
        return Form(value.dim(), None, _kind(value.dtype))
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        kind = _kind(value.dtype)
        return None if kind in _STRINGS else Form(len(value.shape), value.shape[-1] if len(value.shape) else None, kind)
    if isinstance(value, list | tuple):
        forms = [form for entry in value if (form := _form(entry)) is not None]
        if not forms:
            return None
        deepest = max(forms, key=lambda form: form.axes)
        kind = "f" if any(form.kind == "f" for form in forms) else deepest.kind
        return Form(1 + deepest.axes, deepest.last if deepest.axes else len(value), kind)
    if isinstance(value, bool):
        return Form(0, None, "b")
    return Form(0, None, "f" if isinstance(value, float) else "i") if isinstance(value, int | float) else None


def _kind(dtype: Any) -> str:
    """NumPy's kind of a dtype of NumPy or torch."""
    if hasattr(dtype, "kind"):
        return str(dtype.kind)
    return "f" if dtype.is_floating_point else "b" if str(dtype) == "torch.bool" else "i"
