"""The rows of a manifest: CSV and TSV with a header, or a JSON object a line."""

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from augsvc.data.columns import Scalar
from augsvc.data.formats.dataset_root import is_text
from augsvc.data.formats.faults import Faults
from augsvc.data.formats.json_stream import RepeatedName, to_distinct
from augsvc.data.formats.manifest_columns import find_header_fault, find_missing_columns
from augsvc.validation import TOO_MANY_NODES, has_too_many_nodes
from augsvc_client.text import printable

_MAX_LINE = 1 << 24  # characters
_BUFFER = 1 << 20  # bytes
_LINE_END = re.compile(rb"\r\n?|\n")
_DELIMITERS = {"csv": ",", "tsv": "\t"}


@dataclass(frozen=True, slots=True)
class Row:
    """The columns of one row; values of CSV are texts."""

    values: Mapping[str, Any]

    def value(self, column: str) -> Any:
        """The value of a column that the settings name."""
        return self.values[column]

    def text(self, column: str) -> str:
        """A value that is a text and not empty, or an integer as text."""
        value = self.value(column)
        if value is None or value == "":
            raise ValueError(f"the column {printable(column)!r} is empty")
        if isinstance(value, bool) or not isinstance(value, str | int) or not is_text(str(value)):
            shown = printable(str(value)[:20])
            raise ValueError(f"the column {printable(column)!r} is {shown}, and must be a text or an integer")
        return str(value)

    def scalar(self, column: str) -> Scalar:
        """A value that is a number, a text, true or false, or missing (null)."""
        value = self.value(column)
        if value is not None and not isinstance(value, str | int | float):
            raise ValueError(f"the column {printable(column)!r} is no number or text")
        return value

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


class _LongLine(Exception):
    """A line that no memory should be spent on."""


class _Digested(io.RawIOBase):
    """A file that is read once, and its digest."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file, self.digest = file, hashlib.sha256()

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """As RawIOBase.readinto."""
        n_bytes = self._file.readinto(buffer)
        self.digest.update(memoryview(buffer)[:n_bytes])
        return n_bytes


class ManifestRows:
    """Iterates over the rows of an opened file; rows that cannot be read become faults and are left out."""

    def __init__(self, file: io.BufferedReader, where: str, columns: Mapping[str, str], faults: Faults) -> None:
        """`where` is the path for messages; it ends in .csv or .tsv, else the file is JSONL.

        `columns` are those that each row needs, with the settings that name them.
        """
        self._line = 0  # of the last row
        self._read = 0  # lines
        self._digested = _Digested(file)
        self._text = io.TextIOWrapper(io.BufferedReader(self._digested, _BUFFER), encoding="utf-8-sig", newline="")
        self._delimiter = _DELIMITERS.get(where.rpartition(".")[2].lower())
        self._where, self._columns, self._faults = where, columns, faults

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of what was read; after all rows that of the file."""
        return self._digested.digest.hexdigest()

    def refuse(self, reason: object) -> None:
        """Adds a fault of the last row."""
        self._faults.add(f"{self._where}, line {self._line}: {reason}", row=f"line {self._line}")

    def __iter__(self) -> Iterator[Row]:
        """Ends at damage after which there are no rows."""
        try:
            yield from self._json_rows() if self._delimiter is None else self._csv_rows(self._delimiter)
        except UnicodeDecodeError as err:
            self._line = self._read + 1 + len(_LINE_END.findall(err.object[: err.start]))
            self.refuse("it is not text in UTF-8: save the file as UTF-8")
        except csv.Error:
            self._line = self._read
            self.refuse("it is no valid CSV")
        except _LongLine:
            self._line = self._read + 1
            self.refuse(f"it has more than {_MAX_LINE:,} characters")

    def _lines(self) -> Iterator[str]:
        while line := self._text.readline(_MAX_LINE + 1):
            if len(line) > _MAX_LINE:
                raise _LongLine
            self._read += 1
            yield line

    def _csv_rows(self, delimiter: str) -> Iterator[Row]:
        reader = csv.reader(self._lines(), delimiter=delimiter, strict=True)
        names: list[str] = []
        for values in reader:
            self._line = reader.line_num
            if not names:
                names = values
                if fault := find_header_fault(names, delimiter, self._columns):
                    self.refuse(fault)
                    return
            elif values:
                if len(values) != len(names):
                    self.refuse(f"{len(values)} values, and the header has {len(names)}")
                    continue
                yield Row(dict(zip(names, values, strict=True)))

    def _json_rows(self) -> Iterator[Row]:
        for text in self._lines():
            self._line += 1
            if not text.strip():
                continue
            if has_too_many_nodes(text.encode()):
                self.refuse(TOO_MANY_NODES)
                continue
            try:
                values = json.loads(text, object_pairs_hook=to_distinct)
            except RepeatedName as err:
                self.refuse(err)
                continue
            except (ValueError, RecursionError):
                self.refuse("it is no JSON: each line must be one JSON object")
                continue
            if not isinstance(values, dict):
                self.refuse("a row must be a JSON object")
            elif fault := find_missing_columns(values, self._columns):
                self.refuse(fault)
            else:
                yield Row(values)
