"""What is wrong in the files of a dataset, named together: an operator mends it in one go and not line by line."""

from collections.abc import Iterator
from contextlib import contextmanager

MOST_FAULTS = 20  # that are named; the others are counted


class Faults:
    """Collects faults while the files are read on."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._n_unnamed = 0

    def __len__(self) -> int:
        """The number of faults."""
        return len(self._texts) + self._n_unnamed

    def add(self, text: str) -> None:
        """One fault, with its file and the position in it."""
        if len(self._texts) < MOST_FAULTS:
            self._texts.append(text)
        else:
            self._n_unnamed += 1

    @contextmanager
    def collect(self, where: str = "") -> Iterator[None]:
        """Adds each line of the ValueError that the block raises, with `where` before it."""
        try:
            yield
        except ValueError as err:
            for line in str(err).split("\n"):
                self.add(f"{where}: {line}" if where else line)

    def refuse(self) -> None:
        """Ends the reading if there are faults.

        Raises:
            ValueError: a line for each of the first 20, and one with the number of the others.
        """
        if self._texts:
            more = [f"and {self._n_unnamed:,} more such faults"] if self._n_unnamed else []
            raise ValueError("\n".join(self._texts + more))
