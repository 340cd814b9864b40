"""Many names in two arrays: 8 bytes and its UTF-8 each, where a tuple of str takes 60 bytes and more."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Protocol, Self, overload

import numpy as np
import numpy.typing as npt

from augsvc.arrays import ranges

_CHUNK = 1 << 12  # names that are decoded together


class Rows(Protocol):
    """The rows of an array, in memory or in a file."""

    def __len__(self) -> int:
        """The number of rows."""

    def __getitem__(self, rows: slice, /) -> npt.NDArray[Any]:
        """Some of them, in memory."""


class Names(Sequence[str]):
    """A sequence of names."""

    def __init__(self, offsets: Rows, text: Rows) -> None:
        """`offsets` (len + 1,): the byte of `text` (uint8, UTF-8) at which each begins, and the one at which the last ends."""
        self.offsets, self.text = offsets, text

    @classmethod
    def of(cls, names: Sequence[str]) -> Self:
        """The same names, in memory."""
        encoded = [name.encode() for name in names]
        offsets = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)), out=offsets[1:])
        return cls(offsets, np.frombuffer(b"".join(encoded), np.uint8))

    @classmethod
    def join(cls, sequences: Sequence["Names"]) -> Self:
        """All names of several sequences, one after the other, in memory."""
        offsets, texts, end = [np.zeros(1, np.int64)], [], 0
        for names in sequences:
            bounds = names.offsets[:]
            texts.append(names.text[int(bounds[0]) : int(bounds[-1])])
            offsets.append(bounds[1:] + (end - bounds[0]))
            end += len(texts[-1])
        return cls(np.concatenate(offsets), np.concatenate([np.empty(0, np.uint8), *texts]))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [self[row] for row in range(*index.indices(len(self)))]
        row = range(len(self))[index]
        (name,) = self._decode(slice(row, row + 1))
        return name

    def __iter__(self) -> Iterator[str]:
        for rows in ranges(len(self), _CHUNK):
            yield from self._decode(rows)

    def _decode(self, rows: slice) -> Iterator[str]:
        bounds = self.offsets[rows.start : rows.stop + 1].tolist()
        text = self.text[bounds[0] : bounds[-1]].tobytes()
        for start, stop in pairwise(bounds):
            yield text[start - bounds[0] : stop - bounds[0]].decode()
