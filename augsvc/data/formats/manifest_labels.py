"""The labels of manifests, by kind: they collect the rows of one split, and become arrays."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from augsvc.arrays import I64
from augsvc.data.columns import Column, Scalar
from augsvc.data.formats.annotations import Annotations
from augsvc.data.formats.class_order import (
    UNLABELLED,
    class_positions,
    describe_numbers,
    label_positions,
    labelled_classes,
    sort_classes,
)
from augsvc.data.formats.index import list_names
from augsvc.data.formats.manifest_rows import Row
from augsvc.data.source import LabelKind
from augsvc_client.text import printable

MAX_TEXT_BYTES = 4096  # of the longest text: it is the width of `label`


class Label(ABC):
    """The labels of one split, one a row."""

    kind: ClassVar[LabelKind] = "class"

    def __init__(
        self, columns: Sequence[str], classes: Sequence[str], separator: str, filters: Sequence[str] = ()
    ) -> None:
        """`filters` are further columns, which subsets may filter by."""
        self._columns, self._separator = columns, separator
        self._filters: dict[str, list[Scalar]] = {column: [] for column in filters}
        self._known = class_positions(classes)
        self._names: dict[str, None] = {}
        self._digest = hashlib.sha256(repr((self.kind, columns, classes, separator)).encode())
        self.values: list[Any] = []

    def add(self, name: str, row: Row) -> None:
        """One row, of the image file `name`.

        Raises:
            ValueError: a column is missing, its value is no label, or the file was named before.
        """
        if name in self._names:
            raise ValueError(f"the file {printable(name)} has a row already")
        value = self._parse(row)
        further = [row.scalar(column) for column in self._filters]
        for values, scalar in zip(self._filters.values(), further, strict=True):
            values.append(scalar)
        self._names[name] = None
        self.values.append(value)

    def cover(self, digest: str) -> None:
        """Adds the digest of a manifest to that of the annotations."""
        self._digest.update(digest.encode())

    @abstractmethod
    def _parse(self, row: Row) -> Any:
        """The value of a row."""

    @abstractmethod
    def build(self, classes: tuple[str, ...]) -> Annotations:
        """The annotations of the split."""

    @classmethod
    def classes_of(cls, labels: "Iterable[Label]") -> Sequence[str]:
        """The classes of all splits, where the settings give none."""
        return ()

    def _annotations(
        self, classes: tuple[str, ...], labels: I64 | None, targets: npt.NDArray[Any] | None = None, *notes: str
    ) -> Annotations:
        return Annotations(
            list(self._names),
            classes,
            self._digest.hexdigest(),
            labels,
            targets=targets,
            label_kind=self.kind,
            notes=notes,
            columns={name: Column.of(values) for name, values in self._filters.items()},
        )

    def _require_known(self, name: str) -> str:
        if self._known and name not in self._known:
            raise ValueError(f"{printable(name)!r} is none of `classes`, nor the position of one")
        return name


class ClassLabel(Label):
    """One class a row: int64 N."""

    def _parse(self, row: Row) -> str:
        label = row.text(self._columns[0])
        return label if label == UNLABELLED else self._require_known(label)

    def build(self, classes: tuple[str, ...]) -> Annotations:
        """Labels by position in `classes`."""
        labels, notes = label_positions(self.values, classes)
        return self._annotations(classes, labels, None, *notes)

    @classmethod
    def classes_of(cls, labels: Iterable[Label]) -> Sequence[str]:
        """Those of all rows."""
        return labelled_classes(value for label in labels for value in label.values)


class MultiLabel(Label):
    """Any number of classes a row: uint8 N,K of 0 and 1."""

    kind: ClassVar[LabelKind] = "multi_label"

    def _parse(self, row: Row) -> tuple[str, ...]:
        if len(self._columns) > 1:
            return tuple(column for column in self._columns if _flag(row, column))
        value = row.value(self._columns[0])
        if isinstance(value, str) and value.startswith("[") and value.endswith("]"):
            cure = f"JSONL has lists, CSV names between {self._separator!r}"
            raise ValueError(f"the column {printable(self._columns[0])!r} is the text of a list: {cure}")
        names = (
            value if isinstance(value, list) else str(value).split(self._separator) if value not in ("", None) else []
        )
        if not all(isinstance(name, str | int) and not isinstance(name, bool) and name != "" for name in names):
            raise ValueError(f"the column {printable(self._columns[0])!r} must list names of classes")
        return tuple(self._require_known(str(name).strip()) for name in names)

    def build(self, classes: tuple[str, ...]) -> Annotations:
        """A column for each class."""
        classes = classes if len(self._columns) == 1 else tuple(self._columns)
        positions = class_positions(classes)
        targets = np.zeros((len(self.values), len(classes)), dtype=np.uint8)
        for row, names in enumerate(self.values):
            targets[row, [positions[name] for name in names]] = 1
        return self._annotations(classes, None, targets, *describe_numbers(classes), *self._describe_separator())

    def _describe_separator(self) -> tuple[str, ...]:
        """A note where no row has several classes, and the names of some hold what may separate them."""
        several = any(len(names) > 1 for names in self.values)
        joined = sorted(
            {name for names in self.values for name in names if not several and any(map(name.count, ",;|"))}
        )
        return (f"classes that may be several: {list_names(joined)}; set `separator`",) if joined else ()

    @classmethod
    def classes_of(cls, labels: Iterable[Label]) -> Sequence[str]:
        """Those of all rows."""
        return sort_classes(name for label in labels for value in label.values for name in value)


class Regression(Label):
    """One number a column: float32 N,K."""

    kind: ClassVar[LabelKind] = "regression"

    def _parse(self, row: Row) -> tuple[float, ...]:
        return tuple(row.number(column) for column in self._columns)

    def build(self, classes: tuple[str, ...]) -> Annotations:
        """Numbers as they are."""
        return self._annotations((), None, np.array(self.values, dtype=np.float32).reshape(-1, len(self._columns)))


class Text(Label):
    """A text a row: uint8 N,L of UTF-8, with zeros after its end."""

    kind: ClassVar[LabelKind] = "text"

    def _parse(self, row: Row) -> bytes:
        text = row.text(self._columns[0]).encode()
        if b"\0" in text or len(text) > MAX_TEXT_BYTES:
            raise ValueError(f"a text has more than {MAX_TEXT_BYTES:,} bytes, or a zero")
        return text

    def build(self, classes: tuple[str, ...]) -> Annotations:
        """As wide as the longest text of the split."""
        width = max(map(len, self.values), default=1)
        joined = b"".join(value.ljust(width, b"\0") for value in self.values)
        return self._annotations((), None, np.frombuffer(joined, np.uint8).reshape(-1, width))


def _flag(row: Row, column: str) -> bool:
    value = row.number(column) if not isinstance(row.value(column), bool) else float(row.value(column))
    if value not in (0.0, 1.0):
        raise ValueError(f"the column {printable(column)!r} must be 0 or 1")
    return value == 1.0


LABELS: Mapping[str, type[Label]] = MappingProxyType(
    {kind.kind: kind for kind in (ClassLabel, MultiLabel, Regression, Text)}
)
