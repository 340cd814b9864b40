"""A file of which rows are read when they are needed, and compared with checksums that were taken when it was opened.

It is read with `pread`: a mapping would end the process if the file were cut, and would show what is written into it.
"""

import os
import stat
import weakref
from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from augsvc.data.index_files import hold
from augsvc.data.private_folder import is_private
from augsvc.errors import DatasetChanged

DIGEST_BYTES = 16  # at the end of the file
_BLOCK = 1 << 14  # bytes with one checksum: a row costs 5 us, and the checksums of 80 MB are 40 kB
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Unusable(Exception):
    """Why a file on disk cannot be used."""


class CheckedFile:
    """An open file. Safe to share among threads; what is changed in it is never returned."""

    def __init__(self, path: Path) -> None:
        """Opens the file and compares it with its digest.

        Raises:
            OSError: it cannot be opened or read.
            Unusable: it is not this user's alone, or is damaged.
        """
        self._file = os.open(path, _FLAGS)
        self.close = weakref.finalize(self, os.close, self._file)
        hold(self._file)
        status = os.fstat(self._file)
        if not stat.S_ISREG(status.st_mode) or not is_private(status):
            raise Unusable("it is not a file that only this user may write to")
        self._n_bytes = status.st_size
        self._checksums = array("Q")
        whole = xxhash.xxh3_128()
        end, start = self._n_bytes - DIGEST_BYTES, 0
        while start < self._n_bytes:
            block = os.pread(self._file, _BLOCK, start)
            self._checksums.append(xxhash.xxh3_64_intdigest(block))
            whole.update(block[: max(0, end - start)])
            start += _BLOCK
        if end < 0 or os.pread(self._file, DIGEST_BYTES, end) != whole.digest():
            raise Unusable("it is damaged")

    def read(self, start: int, n_bytes: int) -> memoryview:
        """A range of bytes, which ends before the digest.

        Raises:
            DatasetChanged: they are not those of when it was opened.
        """
        first, last = start // _BLOCK, -(-(start + n_bytes) // _BLOCK)
        length = min(last * _BLOCK, self._n_bytes) - first * _BLOCK
        try:
            data = memoryview(os.pread(self._file, length, first * _BLOCK))
        except OSError:
            data = memoryview(b"")
        checksums = [xxhash.xxh3_64_intdigest(data[at : at + _BLOCK]) for at in range(0, length, _BLOCK)]
        if len(data) != length or checksums != self._checksums[first:last].tolist():
            raise DatasetChanged(
                "the index of the dataset on disk was damaged while it was used: reload the datasets, or restart the server"
            )
        return data[start - first * _BLOCK :][:n_bytes]


class StoredRows:
    """The rows of an array in a file, as `Rows`."""

    def __init__(self, file: CheckedFile, dtype: npt.DTypeLike, offset: int, n_rows: int) -> None:
        """`offset`: of the first row, in bytes."""
        self._file, self._dtype, self._offset, self._n_rows = file, np.dtype(dtype), offset, n_rows

    @property
    def end(self) -> int:
        """The byte after the last row."""
        return self._offset + self._n_rows * self._dtype.itemsize

    def __len__(self) -> int:
        return self._n_rows

    def __getitem__(self, rows: slice) -> npt.NDArray[Any]:
        start, stop, _ = rows.indices(self._n_rows)
        size = self._dtype.itemsize
        data = self._file.read(self._offset + start * size, max(0, stop - start) * size)
        return np.frombuffer(data, self._dtype)


def write_checked(file: int, chunks: Iterable[bytes]) -> None:
    """Writes a file that `CheckedFile` opens; raises OSError."""
    whole = xxhash.xxh3_128()
    for chunk in chunks:
        whole.update(chunk)
        _write(file, memoryview(chunk))
    _write(file, memoryview(whole.digest()))


def _write(file: int, data: memoryview) -> None:
    while data:
        data = data[os.write(file, data) :]
