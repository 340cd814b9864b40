"""The words of a field's name and the form of its value, by which it looks as if it had to move, or not."""

import json
import re
from array import array
from collections import UserList, deque
from collections.abc import Callable, Set
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

LISTS = (list, tuple, deque, UserList)
_STRINGS = "SUO"  # kinds of NumPy's dtypes
_ABOUT = re.compile(  # the last word: what does not move, whatever it is about
    r"(attribute|caption|class|classes|category|categories|conf|confidence|count|embedding|feature|flag|hot|id|index"
    r"|label|logit|mean|name|onehot|prob|probability|probabilities|score|std|tag|text|token|transcript|valid\w*"
    r"|visib\w*|weight)s?"
)
_COUNTED = ("num", "n", "count", "has", "is")  # as the first word
_NUMBER = r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?"
_NUMBERS = re.compile(rf"[\s\[({{]*{_NUMBER}([\s,;:\[\](){{}}]+{_NUMBER})*[\s\])}}]*", re.IGNORECASE)
_SHAPE = re.compile(  # well-known text of geometries, not a caption
    r"\s*(srid=\d+;)?\s*(multi)?(linestring|point|polygon)(\s*(z|m|zm))?\s*\([\s(]*[-+]?\.?\d", re.IGNORECASE
)
_MAX_TEXT = 200  # characters read of a text
_MAX_JSON = 1 << 16  # characters of JSON in text


class Form(NamedTuple):
    """A field's number of axes, those of the lists around it included, the last one's length and the kind of its numbers."""

    axes: int
    last: int | None
    kind: str  # NumPy's: f, i, u, b; U of numbers in text, as an XML parser leaves them, G of a geometry in text


Looks = Callable[[str, Form], bool]


def to_words(name: str) -> str:
    """The name in lower case with its words joined by _: "boxLabels" → "box_labels"."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", str(name)).lower()
    return "_".join(filter(None, re.split(r"[^a-z0-9]+", words)))


def split_words(name: str) -> list[str]:
    """The words without their numbers: "box_labels2" → "box", "labels"."""
    return [word.strip("0123456789") for word in name.split("_")]


def is_about(name: str) -> bool:
    """Whether a name, in words, is of labels, scores or numbers about the objects, whatever its words before the last."""
    words = split_words(name)
    return words[0] in _COUNTED or _ABOUT.fullmatch(words[-1]) is not None


def unwrap(value: Any) -> Any:
    """A set or an array of objects as a list, a buffer as an array, JSON with an object as its value; all else as it is."""
    if isinstance(value, str | bytes):
        return _read_json(value)
    if isinstance(value, Set) or (isinstance(value, np.ndarray) and value.dtype == object and value.ndim):
        return list(value)
    return np.asarray(value) if isinstance(value, array | memoryview) else value


def _read_json(text: Any) -> Any:
    begins, brace = ("{[", "{") if isinstance(text, str) else (b"{[", b"{")
    if len(text) > _MAX_JSON or text[:1] not in begins or brace not in text:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def read_form(value: Any, limit: int | None = None) -> Form | None:
    """None for what holds no numbers; `limit`: how many entries of each list are read, None for all."""
    if isinstance(value, int | float):  # most entries of long lists
        return _read_number(value)
    value = unwrap(value)
    if hasattr(value, "getbands"):  # an image of PIL
        return Form(2, None, "u")
    if kind := _kind(getattr(value, "dtype", None)):
        if getattr(value, "is_nested", False):  # a tensor of torch without a shape
            return Form(value.dim(), None, kind)
        if hasattr(value, "shape"):
            if kind == "c":
                return Form(len(value.shape) + 1, 2, "f")
            return (
                None
                if kind in _STRINGS
                else Form(len(value.shape), value.shape[-1] if len(value.shape) else None, kind)
            )
    if isinstance(value, LISTS):
        forms = [form for entry in islice(value, limit) if (form := read_form(entry, limit)) is not None]
        if not forms:
            return None
        deepest = max(forms, key=lambda form: form.axes)
        kind = "f" if any(form.kind == "f" for form in forms) else deepest.kind
        return Form(1 + deepest.axes, deepest.last if deepest.axes else len(value), kind)
    return _read_text(value) if isinstance(value, str) else _read_number(value)


def _read_number(value: Any) -> Form | None:
    if isinstance(value, int | float):
        return Form(0, None, "b" if isinstance(value, bool) else "f" if isinstance(value, float) else "i")
    return Form(1, 2, "f") if isinstance(value, complex) else None


def _read_text(text: str) -> Form | None:
    """Of a number, of several as a list of them ("[1, 2, 3, 4]"), or of a geometry; None for any other text."""
    if _SHAPE.match(text):
        return Form(2, 2, "G")
    match = _NUMBERS.match(text[:_MAX_TEXT])
    if match is None or match.end() < min(len(text), _MAX_TEXT):
        return None
    return Form(0 if match[3] is None else 1, None, "U")


def _kind(dtype: Any) -> str | None:
    """NumPy's kind of a dtype of NumPy or torch; None for anything else."""
    if hasattr(dtype, "is_floating_point"):
        if dtype.is_complex:
            return "c"
        return "f" if dtype.is_floating_point else "b" if str(dtype) == "torch.bool" else "i"
    return getattr(dtype, "kind", None)
