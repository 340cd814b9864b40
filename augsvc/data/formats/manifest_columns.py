"""The columns that a manifest lacks, and what the operator can do about it."""

from collections.abc import Collection, Mapping, Sequence

from augsvc_client.decoding.limits import IMAGE_SUFFIXES, TIFF_SUFFIXES
from augsvc_client.text import printable

_MOST_COLUMNS = 20  # that are named
_MEANINGS = {"file": "the image files", "label": "the labels", "split": "the splits", "columns": "the filters"}
_SEPARATORS = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
_CURES = {"commas": "use tabs, or end the name of the file in .csv", "tabs": "use commas, or end its name in .tsv"}


def find_header_fault(names: Sequence[str], delimiter: str, columns: Mapping[str, str]) -> str | None:
    """What is wrong with the header of a CSV or TSV file, and the cure; `columns` as for `find_missing_columns`."""
    if len(set(names)) < len(names):
        return "two columns have the same name"
    missing = find_missing_columns(names, columns)
    if missing is None:
        return None
    others = [word for sign, word in _SEPARATORS.items() if sign != delimiter and sign in names[0]]
    if len(names) == 1 and others:
        cure = _CURES.get(others[0], f"use {_SEPARATORS[delimiter]}")
        return f"{_quote(names)} seems to be several columns, separated by {others[0]}: {cure}"
    suffixes = tuple(IMAGE_SUFFIXES | TIFF_SUFFIXES)
    if any(name.strip().lower().endswith(suffixes) for name in names):
        return f"there is no header: the first line must name the columns, as {delimiter.join(columns)!r}"
    return missing


def find_missing_columns(names: Collection[str], columns: Mapping[str, str]) -> str | None:
    """Which of the needed columns are not among `names`, and the cure; None: all are there.

    `columns` are the needed ones, each with the setting that names it.
    """
    missing = [column for column in columns if column not in names]
    if not missing:
        return None
    only = f"only {_quote(names)}" if names else "nor any other"
    cures = dict.fromkeys(_cure(column, names, columns[column]) for column in missing)
    return f"there is no column {_quote(missing)}, {only}: {', and '.join(cures)}"


def _cure(column: str, names: Collection[str], setting: str) -> str:
    for name in names:
        if name.strip() == column.strip():
            return f"remove the spaces around {_quote([name])}"
        if name.strip().casefold() == column.strip().casefold():
            return f"set `{setting}` to {_quote([name])}, as capitals count"
    return f"set `{setting}` to the column of {_MEANINGS[setting]}"


def _quote(names: Collection[str]) -> str:
    """The first names in quotes, which show spaces at their ends."""
    quoted = ", ".join(f"'{printable(name)}'" for name in list(names)[:_MOST_COLUMNS])
    return f"{quoted} and {len(names) - _MOST_COLUMNS} more" if len(names) > _MOST_COLUMNS else quoted
