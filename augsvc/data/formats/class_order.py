"""The names of classes, and the order of those that are known by the labels of samples alone."""

from collections.abc import Collection, Iterable, Sequence

from augsvc.data.formats.dataset_root import is_text
from augsvc.data.formats.index import list_names
from augsvc_client.text import printable

_MAX_CHARACTERS = 1000  # of a name


def require_class_names(classes: Iterable[str]) -> None:
    """Raises ValueError for a name that is no text in UTF-8, or too long to be listed."""
    for name in classes:
        if len(name) > _MAX_CHARACTERS or not is_text(name):
            raise ValueError(
                f"a class is named {printable(name[:40])!r}…: a name is text of at most {_MAX_CHARACTERS:,} characters"
            )


def sort_classes(names: Iterable[str]) -> tuple[str, ...]:
    """Sorted as numbers if all are integers: 2 before 10, and 01 before 1; else as texts."""
    distinct = sorted(set(names))
    return tuple(sorted(distinct, key=int) if _are_integers(distinct) else distinct)


def describe_numbers(classes: Sequence[str]) -> tuple[str, ...]:
    """A note if the classes are integers, and other ones than their positions, which batches hold; else none."""
    if not _are_integers(classes) or list(classes) == [str(position) for position in range(len(classes))]:
        return ()
    return (f"the labels {list_names(classes)} of the file are 0 … {len(classes) - 1} in batches, in this order",)


def _are_integers(names: Collection[str]) -> bool:
    return all(name.removeprefix("-").isdecimal() and name.isascii() for name in names)
