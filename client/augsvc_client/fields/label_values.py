"""Which labels may hold positions in the image, though neither their name nor their form says so.

label N,4 → boxes, unless it is of probabilities or mostly negative; N,5 of a class and a box; N,10 inside the image → points
{"cat": [1, 2, 30, 20]}, {(1, 2, 30, 20): "cat"}, a run-length code → refused
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from augsvc_client.fields.flat import to_array
from augsvc_client.fields.forms import is_about, read_form, to_words, unwrap
from augsvc_client.fields.objects import is_of_image
from augsvc_client.fields.roles import Path

_LABEL = re.compile(r"(gt|label|output|target|y)s?")
_MAX_COLUMNS = 16
_COORDINATES = 4  # of a box
_MAX_OBJECT = 7  # columns: image, class, box, score
_ROUNDING = 1e-3
_OUTSIDE = 0.25  # of the numbers of objects that the edges cut

Rows = npt.NDArray[np.float64]


def holds_positions(name: str, value: Any, samples: int, size: tuple[int, int] | None) -> bool | None:
    """Whether a label may have a box or points for each of `samples` images of at most `size` (height, width).

    True: it has numbers N,4 (or 4 columns N, as torch collates tuples), N,5 to N,7 or an even number of columns up to N,16 that
    may be pixels: not all of them in [0, 1], as probabilities are, and at most a quarter negative; if there are more than four,
    a quarter at most beyond the image. So chance hardly decides: neither their order nor their spread does. N,5 to N,7 may also
    be a class and a box in fractions of the image. False: it has other numbers of that form. None: its name or form is another,
    or all numbers are 0, which tells nothing of the next batch.
    """
    words = to_words(name)
    if size is None or not (_LABEL.fullmatch(words) or not is_about(words)):
        return None
    form = read_form(value, 1)
    if form is None or form.axes != 2 or form.kind not in "fiu":
        return None
    rows = _to_rows(name, value, samples)
    if rows is None or not rows.any() or not _COORDINATES <= rows.shape[1] <= _MAX_COLUMNS:
        return None
    width = rows.shape[1]
    if width > _MAX_OBJECT and width % 2:
        return None
    if width == _COORDINATES:
        return _may_be_pixels(rows, np.inf)
    return _are_objects(rows) or _may_be_pixels(rows, max(size))


def find_positions(columns: Mapping[Any, Any], passthrough: Sequence[str] = ()) -> Path | None:
    """The path in a mapping to the first value that is a box, () where its names are data; None for any other mapping.

    Boxes are four numbers that are not all in [0, 1], under each number of an object, or under all names whose values are
    one row of numbers, which are none of the image and not about the objects. Names that are data, of which the next sample
    has others: numbers of objects with boxes, and coordinates. Also COCO's run-length code.
    """
    names = [name for name in columns if str(name) not in passthrough]
    if not names:
        return None
    if {"counts", "size"} <= set(names) and (size := read_form(columns["size"])) is not None and size[:2] == (1, 2):
        return ("counts",)
    if isinstance(names[0], tuple) and (form := read_form(names[0])) is not None and form.last in (2, _COORDINATES):
        return ()
    if all(str(name).isdecimal() for name in names):
        return () if all(_is_box(columns[name]) for name in names) else None
    forms = {name: read_form(columns[name], 1) for name in names}
    rows = [str(name) for name, form in forms.items() if form is not None and form.axes == 1 and form.kind in "fiu"]
    plain = [name for name in rows if not is_about(to_words(name)) and not is_of_image(name)]
    is_boxes = bool(rows) and plain == rows and all(_is_box(columns[name]) for name in names if str(name) in rows)
    return (rows[0],) if is_boxes else None


def _to_rows(name: str, value: Any, samples: int) -> Rows | None:
    try:
        rows = to_array(name, value)
    except ValueError:
        return None
    if rows.ndim != 2 or rows.dtype.kind not in "fiu" or samples not in rows.shape:
        return None
    return (rows if len(rows) == samples else rows.T).astype(np.float64)


def _may_be_pixels(rows: Rows, side: float) -> bool:
    """Whether the numbers of a batch may be positions in images of that longer side: few lie outside."""
    if rows.min() >= 0 and rows.max() <= 1:
        return False
    return bool((rows < 0).mean() <= _OUTSIDE and (rows > side).mean() <= _OUTSIDE)


def _are_objects(rows: Rows) -> bool:
    """Whether all rows have a box in fractions of the image beside a column of classes or images; not so of probabilities and
    of mixed labels."""
    if rows.shape[1] > _MAX_OBJECT or np.allclose(rows.sum(axis=1), 1) or all(map(_is_mixed, rows)):
        return False
    for first in range(rows.shape[1] - _COORDINATES + 1):
        box, rest = np.split(rows[:, first:], [_COORDINATES], axis=1)
        rest = np.concatenate([rows[:, :first], rest], axis=1)
        if ((rest >= 0) & (rest == np.rint(rest))).all(axis=0).any() and any(
            _are_corners(corners) and _are_fractions(corners, box) for corners in _read_corners(box)
        ):
            return True
    return False


def _is_mixed(row: Rows) -> bool:
    """Whether a row has besides 0 and 1 a weight, and what it lacks of 1, as labels of several classes after a mixup."""
    weights = np.setdiff1d(np.abs(row).round(3), (0, 1))
    return len(weights) < 2 or (len(weights) == 2 and bool(abs(weights.sum() - 1) <= _ROUNDING))


def _read_corners(box: Rows) -> Iterator[Rows]:
    """Of x1 y1 x2 y2, of x y width height, and of a centre, width and height."""
    start, other = box[:, :2], box[:, 2:]
    yield box
    yield np.concatenate([start, start + other], axis=1)
    yield np.concatenate([start - other / 2, start + other / 2], axis=1)


def _are_fractions(corners: Rows, box: Rows) -> bool:
    is_inside = bool(((corners >= -_ROUNDING) & (corners <= 1 + _ROUNDING)).all())
    return is_inside and len(box) > 1 and bool((box != np.rint(box)).any())


def _are_corners(boxes: Rows) -> bool:
    return bool((boxes[:, :2] < boxes[:, 2:]).all())


def _is_box(value: Any) -> bool:
    form = read_form(value)
    if form is None or form.axes != 1 or form.last != _COORDINATES or form.kind not in "fiu":
        return False
    try:
        numbers = to_array("", unwrap(value))
    except ValueError:
        return False
    is_row = numbers.shape == (_COORDINATES,) and numbers.dtype.kind in "fiu"  # not so with None or text among them
    return is_row and _may_be_pixels(numbers.astype(np.float64), np.inf)
