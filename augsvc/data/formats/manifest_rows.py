"""The rows of a manifest: CSV and TSV with a header, or a JSON object a line."""

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from augsvc.data.formats.json_stream import RepeatedName, to_distinct
from augsvc_client.text import printable

_DELIMITERS = {"csv": ",", "tsv": "\t"}


@dataclass(frozen=True, slots=True)
class Row:
    """The columns of one row; values of CSV are texts."""

    values: Mapping[str, Any]

    def value(self, column: str) -> Any:
        """Raises ValueError where the row lacks the column."""
        if column not in self.values:
            raise ValueError(f"there is no column {printable(column)!r}, only {', '.join(map(printable, self.values))}")
        return self.values[column]

    def text(self, column: str) -> str:
        """A value that is a text and not empty, or an integer as text."""
        value = self.value(column)
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            raise ValueError(f"the column {printable(column)!r} is empty, or no text")
        return str(value)

    def number(self, column: str) -> float:
        """A value that is a finite number, or the text of one."""
        value = self.value(column)
        try:
            number = float("nan") if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = float("nan")
        if not abs(number) < 1e38:
            raise ValueError(f"the column {printable(column)!r} is no finite number: {printable(str(value)[:20])!r}")
        return number


class ManifestRows:
    """Iterates over the rows of an opened file.

    Attributes:
        digest: SHA-256 (hex) of the file.
        line: the line of the last row.
    """

    def __init__(self, file: io.BufferedReader, name: str) -> None:
        """`name` ends in .csv or .tsv, else the file is JSONL."""
        self.digest = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(0)
        self.line = 0
        self._text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        self._delimiter = _DELIMITERS.get(name.rpartition(".")[2].lower())

    def __iter__(self) -> Iterator[Row]:
        """Raises ValueError for a row that cannot be read; `line` says which."""
        try:
            yield from self._json_rows() if self._delimiter is None else self._csv_rows(self._delimiter)
        except UnicodeDecodeError as err:
            raise ValueError("it is not text in UTF-8") from err
        except csv.Error as err:
            raise ValueError("it is no valid CSV") from err

    def _csv_rows(self, delimiter: str) -> Iterator[Row]:
        reader = csv.reader(self._text, delimiter=delimiter, strict=True)
        names: list[str] = []
        for values in reader:
            self.line = reader.line_num
            if not names:
                names = values
                if len(set(names)) < len(names):
                    raise ValueError("two columns have the same name")
            elif values:
                if len(values) != len(names):
                    raise ValueError(f"{len(values)} values, and the header has {len(names)}")
                yield Row(dict(zip(names, values, strict=True)))

    def _json_rows(self) -> Iterator[Row]:
        for text in self._text:
            self.line += 1
            if not text.strip():
                continue
            try:
                values = json.loads(text, object_pairs_hook=to_distinct)
            except RepeatedName:
                raise
            except (ValueError, RecursionError) as err:
                raise ValueError("it is no JSON") from err
            if not isinstance(values, dict):
                raise ValueError("a row must be a JSON object")
            yield Row(values)
