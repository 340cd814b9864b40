"""What is wrong in the files of a dataset, named together: an operator mends it in one go and not line by line."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain

MOST_FAULTS = 20  # that are named; the others are counted
MOST_ROWS = 3  # that are named of those with the same fault
MOST_VALUES = 5  # of rows with the same fault that are separate lines, where rows share them: names of classes
_VALUE = re.compile(r"""(?<!column )(?:'[^']*'|"[^"]*")""")
_PARTICULAR = re.compile(rf"{_VALUE.pattern}|\d[\d.,]*")  # to a row: its values and numbers


@dataclass(slots=True)
class _Fault:
    """One kind of fault, as its first row has it."""

    text: str
    count: int = 0
    rows: list[str] = field(default_factory=list)  # the next ones
    by_value: "dict[tuple[str, ...], _Fault]" = field(default_factory=dict)  # the first ones and one more

    def add(self, row: str) -> None:
        """One more row, if it has a name."""
        self.count += 1
        if row and 1 < self.count <= MOST_ROWS:
            self.rows.append(row)

    def lines(self) -> Iterator[str]:
        """One, or one for each value."""
        is_shared = 1 < len(self.by_value) <= MOST_VALUES and len(self.by_value) < self.count
        yield from map(str, self.by_value.values() if is_shared else [self])

    def __str__(self) -> str:
        if not self.rows:
            return self.text if self.count == 1 else f"{self.text} ({self.count:,} times)"
        rest = self.count - 1 - len(self.rows)
        others = ", ".join(self.rows) + (f" and {rest:,} more" if rest else "")
        return f"{self.text}; likewise {others}"


class Faults:
    """Collects faults while the files are read on. Rows that differ in values and numbers alone are one line, with a count;
    but for a few values that rows share, which have a line each.
    """

    def __init__(self) -> None:
        self._faults: dict[str, _Fault] = {}
        self._count = self._n_unnamed = 0

    def __len__(self) -> int:
        """The number of faults."""
        return self._count

    def add(self, text: str, row: str = "") -> None:
        """One fault, with its file and the position in it; `row`: the part of the text that names the row."""
        self._count += 1
        general = text.replace(row, "…") if row else text
        form = _PARTICULAR.sub("…", general) if row else text
        if form not in self._faults and len(self._faults) == MOST_FAULTS:
            self._n_unnamed += 1
            return
        fault = self._faults.setdefault(form, _Fault(text))
        fault.add(row)
        values = tuple(_VALUE.findall(general)) if row else ()
        if values in fault.by_value or len(fault.by_value) <= MOST_VALUES:
            fault.by_value.setdefault(values, _Fault(text)).add(row)

    @contextmanager
    def collect(self, where: str = "", row: str = "") -> Iterator[None]:
        """Adds each line of the ValueError that the block raises, with `where` before it; `row` as for `add`."""
        try:
            yield
        except ValueError as err:
            for line in str(err).split("\n"):
                self.add(f"{where}: {line}" if where else line, row)

    def refuse(self) -> None:
        """Ends the reading if there are faults.

        Raises:
            ValueError: a line for each of the first 20, and one with the number of the others.
        """
        if self._faults:
            more = [f"and {self._n_unnamed:,} more such faults"] if self._n_unnamed else []
            raise ValueError("\n".join([*chain.from_iterable(fault.lines() for fault in self._faults.values()), *more]))
