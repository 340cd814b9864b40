"""The names of classes, and the order of those that are known by the labels of samples alone."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from fractions import Fraction

import numpy as np

from augsvc.arrays import I64
from augsvc.data.formats.dataset_root import is_text
from augsvc.data.formats.index import list_names
from augsvc_client.text import printable

UNLABELLED = "-1"  # the label of samples without a class
_MAX_CHARACTERS = 1000  # of a name
_NUMBER = re.compile(r"-?\d{1,1000}(\.\d{1,1000})?", re.ASCII)


def require_class_names(classes: Iterable[str]) -> None:
    """Raises ValueError for a name that is no text in UTF-8, or too long to be listed."""
    for name in classes:
        if len(name) > _MAX_CHARACTERS or not is_text(name):
            raise ValueError(
                f"a class is named {printable(name[:40])!r}…: a name is text of at most {_MAX_CHARACTERS:,} characters"
            )


def sort_classes(names: Iterable[str]) -> tuple[str, ...]:
    """Sorted as numbers if all are: 2 before 10, 2.0 before 10.0, and 01 before 1; else as texts."""
    distinct = sorted(set(names))
    if are_integers(distinct):
        return tuple(sorted(distinct, key=int))
    return tuple(sorted(distinct, key=Fraction) if _are_numbers(distinct) else distinct)


def class_positions(classes: Sequence[str]) -> dict[str, int]:
    """Label → position in `classes`: of each name and, where no name is an integer, of the positions as integers, which files
    with numbered classes hold.
    """
    positions = {name: position for position, name in enumerate(classes)}
    if not any(are_integers([name]) for name in classes):
        positions |= {str(position): position for position in range(len(classes))}
    return positions


def labelled_classes(labels: Iterable[str]) -> tuple[str, ...]:
    """The classes of labels, sorted. −1 beside 0, 1, … is none: the label of samples without a class, as in test splits."""
    classes = sort_classes(labels)
    is_none = are_integers(classes) and ("0" in classes or classes == (UNLABELLED,))
    return tuple(name for name in classes if not (is_none and name == UNLABELLED))


def label_positions(labels: Sequence[str], classes: Sequence[str]) -> tuple[I64, tuple[str, ...]]:
    """The position of each label in `classes`, −1 for those that are no class; and notes of both."""
    positions = class_positions(classes)
    if UNLABELLED not in positions:
        positions[UNLABELLED] = -1
    values = np.array([positions[label] for label in labels], dtype=np.int64)
    without = int((values < 0).sum())
    notes = (f"{without:,} samples have the label -1, which is no class",) if without else ()
    return values, (*describe_numbers(classes), *notes)


def describe_numbers(classes: Sequence[str]) -> tuple[str, ...]:
    """A note if the classes are numbers, and other ones than their positions, which batches hold; and one of equal numbers."""
    if not _are_numbers(classes) or list(classes) == [str(position) for position in range(len(classes))]:
        return ()
    counts = Counter(map(Fraction, classes))
    equal = [name for name in classes if counts[Fraction(name)] > 1]
    twins = (f"classes that are the same number: {list_names(equal)}",) if equal else ()
    return (f"the labels {list_names(classes)} are 0 … {len(classes) - 1} in batches, in this order", *twins)


def are_integers(names: Collection[str]) -> bool:
    """Whether all are integers in decimal digits."""
    return all(name.removeprefix("-").isdecimal() and name.isascii() for name in names)


def _are_numbers(names: Collection[str]) -> bool:
    """Whether all are decimal numbers, as pandas writes integers of a column with gaps: 2.0."""
    return all(map(_NUMBER.fullmatch, names))
