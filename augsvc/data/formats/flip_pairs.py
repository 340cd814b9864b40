"""The keypoints that a mirrored image swaps, by their names: left_eye and right_eye, leftEye, eye_l, LEye."""

import re
from collections.abc import Sequence

from augsvc.data.formats.index import list_names

_OTHER_SIDE = {"left": "right", "right": "left", "l": "r", "r": "l"}
_INNER_EDGE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")  # of the words of camel case
_EDGE = "\0"
_SIDE = re.compile(r"(?<![a-z])(?:left|right|l|r)(?![a-z])")
_PERHAPS_SIDE = re.compile(
    rf"{_SIDE.pattern}|(?<![a-z])(?:left|right)|left(?![a-z])"
)  # also lefteye, eyeleft; leftover


def find_flip_pairs(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """The pairs of rows whose names differ in the side alone, which must be a word of them."""
    rows = {name.lower(): row for row, name in enumerate(names)}
    pairs = []
    for row in rows.values():
        other = rows.get(_mirrored(names[row]), -1)
        if row < other and rows.get(_mirrored(names[other])) == row:
            pairs.append((row, other))
    return tuple(sorted(pairs))


def describe_lone_sides(names: Sequence[str], pairs: Sequence[tuple[int, int]]) -> tuple[str, ...]:
    """A note if names seem to hold a side and have no pair; else none."""
    paired = {row for pair in pairs for row in pair}
    lone = [name for row, name in enumerate(names) if row not in paired and _PERHAPS_SIDE.search(_split(name))]
    if not lone:
        return ()
    return (f"the keypoints {list_names(lone)} have no partner on the other side, and mirroring does not swap them",)


def _mirrored(name: str) -> str:
    """The name of the partner, in lower case."""
    return _SIDE.sub(lambda match: _OTHER_SIDE[match[0]], _split(name)).replace(_EDGE, "")


def _split(name: str) -> str:
    return _INNER_EDGE.sub(_EDGE, name).lower()
