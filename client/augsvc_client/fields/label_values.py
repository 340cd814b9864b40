"""Which labels hold positions in the image by their numbers, though neither their name nor their form says so.

label N,4 with x1 < x2 and y1 < y2 in every row → boxes; label N,10 inside the image → points → refused
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from augsvc_client.fields.flat import to_array
from augsvc_client.fields.forms import is_about, read_form, to_words

_LABEL = re.compile(r"(gt|label|output|target|y)s?")
_MIN_ROWS = 4  # four numbers that are no box have its order in one row of four
_MAX_COLUMNS = 16
_COORDINATES = 4  # of a box


def holds_positions(name: str, value: Any, samples: int, size: tuple[int, int] | None) -> bool:
    """Whether a label has a box or points for each of `samples` images of at most `size` (height, width).

    Boxes (N,4, or 4 columns N, as torch collates tuples) are x1 y1 x2 y2 or x y width height, points N,6 to N,16; all lie
    inside the images, and some beyond the middle. Numbers in [0, 1] are taken for probabilities, and fewer than four rows
    tell nothing.
    """
    words = to_words(name)
    if size is None or not (_LABEL.fullmatch(words) or not is_about(words)):
        return False
    form = read_form(value, 1)
    if form is None or form.axes != 2 or form.kind not in "fiu":
        return False
    rows = _to_rows(name, value, samples)
    if rows is None or len(rows) < _MIN_ROWS or rows.shape[1] % 2 or not _COORDINATES <= rows.shape[1] <= _MAX_COLUMNS:
        return False
    limits = np.tile(size[::-1], rows.shape[1] // 2)
    if rows.shape[1] > _COORDINATES:
        return _are_inside(rows, limits)
    corners = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:]], axis=1)
    return any(bool((own[:, :2] < own[:, 2:]).all()) and _are_inside(own, limits) for own in (rows, corners))


def holds_boxes(columns: Mapping[Any, Any]) -> bool:
    """Whether a mapping has a box, four numbers that are not all in [0, 1], under each number of an object."""
    return bool(columns) and all(str(name).isdecimal() and _is_box(box) for name, box in columns.items())


def _to_rows(name: str, value: Any, samples: int) -> npt.NDArray[np.float64] | None:
    try:
        rows = to_array(name, value)
    except ValueError:
        return None
    if rows.ndim != 2 or rows.dtype.kind not in "fiu" or samples not in rows.shape:
        return None
    return (rows if len(rows) == samples else rows.T).astype(np.float64)


def _are_inside(positions: npt.NDArray[np.float64], limits: npt.NDArray[Any]) -> bool:
    return bool(
        ((positions >= 0) & (positions <= limits)).all() and (positions > limits / 2).any() and positions.max() > 1
    )


def _is_box(value: Any) -> bool:
    form = read_form(value)
    if form is None or form.axes != 1 or form.last != _COORDINATES or form.kind not in "fiu":
        return False
    return max(float(number) for number in value) > 1
