"""Decoded images and clips in one file on disk, which survives restarts and which all server processes of a machine share.

A key is the digest of a file's contents and of everything that its decoding depends on, so an entry is never stale. The file
is a table of fixed size, then the entries one after another:

    header   4,096 bytes: magic, end of the last entry, time of the last hit
    slots    64 bytes each: key, place, shape, type and checksum of an entry; the slot of a key is one of PROBES from its hash
    entries  the arrays' bytes

Reads take no lock: by a checksum over slot and bytes, what another process is writing is a miss, and so is any damage. Writers
hold a lock, and write the bytes before their slot. The file is read with `pread`: a mapping would end the process if the file
were cut. An epoch is a permutation, so entries stay when the file is full, as in the cache in memory; it is emptied once no
process has found anything for an hour.
"""

import fcntl
import logging
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash

from augsvc.data.index_files import IndexFiles
from augsvc.data.private_folder import explain_unusable, make_private
from augsvc_client.decoding.whole_jpeg import Allocate, allocate_nothing

KEY_BYTES = 16
MIN_BYTES = 1 << 20  # of the file
PROBES = 8  # slots that a key may have
EMPTY_S = 3600.0  # without a hit, after which a full cache is emptied
_LOCK = ".lock"  # after a file's name: an empty file that all its processes hold a shared lock of
_NOTE_S = 60.0  # between two notes of a hit in the file
_MAGIC = b"augsvc decoded 1"
_HEADER = struct.Struct("<16sQd")  # magic, end, time of the last hit
_HEADER_BYTES = 4096
_SLOT = struct.Struct("<16sQQ3LBxxxLxxxxQ")  # key, offset, bytes, shape, type, rate, checksum
_MEAN_BYTES = 16 << 10  # of an entry, which the table is sized for: it takes 0.4 % of the file
_TYPES = (np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.float32))

logger = logging.getLogger("augsvc")


class Decoded(NamedTuple):
    """What decoding a file gives."""

    values: npt.NDArray[Any]  # H,W,C pixels, uint8 or uint16; or T samples, float32
    rate: int = 0  # of a clip, in Hz
    full_size: tuple[int, int] | None = None  # (H, W) of an image that was decoded smaller; not kept here


Allocating = Callable[[int], AbstractContextManager[None]]


def _allocate(n_bytes: int) -> AbstractContextManager[None]:
    """Counts nothing."""
    return nullcontext()


def require_room(max_bytes: int) -> None:
    """Raises ValueError, for the operator, for a file that holds less than an image of 500 × 375 and the table."""
    if max_bytes < MIN_BYTES:
        raise ValueError(
            f"disk_cache_bytes: {max_bytes:,} bytes are too few: give it 1 MiB at least, or leave disk_cache out"
        )


class DiskCache:
    """Decoded files by key. Safe to share among threads and processes; a fault of the disk is logged once and is a miss.

    `hits`, `misses` and `n_bytes` are for the metrics.
    """

    def __init__(self, folder: Path, max_bytes: int, clock: Callable[[], float] = time.time) -> None:
        """Opens or makes the file; `clock` counts seconds since 1970, for all processes.

        Raises:
            OSError: the folder or the file cannot be written, or is not this user's alone.
        """
        self.hits = self.misses = 0
        self.folder = folder  # the indexes of datasets are kept there too
        self._clock, self._max_bytes = clock, max_bytes
        self._slots = max(1, max_bytes // (_MEAN_BYTES + _SLOT.size))
        self._first = _HEADER_BYTES + (self._slots + PROBES) * _SLOT.size  # byte of the first entry
        make_private(folder)
        name = f"decoded-{max_bytes}"  # the table's size depends on it
        self._in_use = _open(folder / f"{name}{_LOCK}")
        try:
            fcntl.flock(self._in_use, fcntl.LOCK_SH)
            for other in folder.glob("decoded-*"):
                if other.name != name and other.suffix != _LOCK:
                    _remove_unused(other)
            self._file = _open(folder / name)
        except OSError:
            os.close(self._in_use)
            raise
        self._noted_s = 0.0
        self._failed = False
        self._indexes = IndexFiles(folder, max_bytes // 2, clock)
        self._index_bytes, self._counted_s = self._indexes.trim(), self._clock()
        self._lock = Lock()
        with self._writing() as writes:
            if writes and ((header := self._read_header()) is None or header[0] > self._limit):
                self._empty()

    def close(self) -> None:
        """Closes the file, after which nothing is found."""
        os.close(self._file)
        os.close(self._in_use)

    @property
    def n_bytes(self) -> int:
        """Bytes that the entries and the indexes of datasets take."""
        header = self._read_header()
        return self._index_bytes + (header[0] - self._first if header else 0)

    @property
    def _limit(self) -> int:
        """The byte that entries end at: the indexes count against the same bound."""
        return self._max_bytes - self._index_bytes

    def find(
        self, key: bytes, allocating: Allocating = _allocate, allocate: Allocate = allocate_nothing
    ) -> Decoded | None:
        """The entry of a key, or None; it is read within `allocating(bytes)`, an image into what `allocate` returns."""
        try:
            decoded = self._find(key, allocating, allocate)
        except OSError as err:
            self._fail(err)
            decoded = None
        if decoded is None:
            self.misses += 1
            return None
        self.hits += 1
        now_s = self._clock()
        if abs(now_s - self._noted_s) > _NOTE_S:
            self._noted_s = now_s
            self._note(now_s)
        return decoded

    def add(self, key: bytes, decoded: Decoded) -> None:
        """Adds an entry, unless it is there already or there is no room, or another process is writing."""
        values = decoded.values
        if values.dtype not in _TYPES or not values.size or values.ndim not in (1, 2, 3):
            return
        try:
            with self._writing() as writes:
                if writes:
                    self._add(key, np.ascontiguousarray(values), decoded.rate)
        except OSError as err:
            self._fail(err)

    def _find(self, key: bytes, allocating: Allocating, allocate: Allocate) -> Decoded | None:
        slot = next((slot for slot in self._probe(key) if slot[:KEY_BYTES] == key), None)
        return None if slot is None else self._read(slot, allocating, allocate)

    def _read(
        self, slot: bytes, allocating: Allocating = _allocate, allocate: Allocate = allocate_nothing
    ) -> Decoded | None:
        """The entry of a slot; None if either is damaged."""
        _, offset, n_bytes, *shape, kind, rate, checksum = _SLOT.unpack(slot)
        shape = [size for size in shape if size]
        if kind >= len(_TYPES) or n_bytes > self._max_bytes or _n_bytes(shape, kind) != n_bytes:
            return None
        with allocating(n_bytes):
            memory = allocate(n_bytes) if len(shape) == 3 else None
            dtype = _TYPES[kind]
            values = np.empty(shape, dtype) if memory is None else memory[:n_bytes].view(dtype).reshape(shape)
            if os.preadv(self._file, [values.data], offset) != n_bytes or _checksum(slot, values) != checksum:
                return None
            return Decoded(values, rate)

    def _add(self, key: bytes, values: npt.NDArray[Any], rate: int) -> None:
        header = self._read_header()
        if abs(self._clock() - self._counted_s) > _NOTE_S:  # datasets are indexed by other processes, too
            self._index_bytes, self._counted_s = self._indexes.trim(), self._clock()
        if header is None:  # cut or overwritten
            end = self._empty()
        else:
            end, used_s = header
            if end + values.nbytes > self._limit and abs(self._clock() - used_s) > EMPTY_S:
                end = self._empty()
        if end + values.nbytes > self._limit:
            return
        slots = list(self._probe(key))
        free = next((k for k, slot in enumerate(slots) if not any(slot[:KEY_BYTES])), None)
        known = next((k for k, slot in enumerate(slots) if slot[:KEY_BYTES] == key), None)
        if known is not None and self._read(slots[known]):  # else it is damaged
            return
        at = known if known is not None else free
        if at is None:
            return
        shape = (*values.shape, 0, 0)[:3]
        fields = (key, end, values.nbytes, *shape, _TYPES.index(values.dtype), rate)
        slot = _SLOT.pack(*fields, _checksum(_SLOT.pack(*fields, 0), values))
        _write(self._file, values.data.cast("B"), end)
        _write(self._file, _HEADER.pack(_MAGIC, end + values.nbytes, self._clock()), 0)
        _write(self._file, slot, self._place(key) + at * _SLOT.size)

    def _empty(self) -> int:
        """Removes all entries and returns where the next one begins."""
        os.ftruncate(self._file, 0)
        os.ftruncate(self._file, self._first)
        _write(self._file, _HEADER.pack(_MAGIC, self._first, self._clock()), 0)
        return self._first

    def _read_header(self) -> tuple[int, float] | None:
        """The end of the last entry and the time of the last hit; None if there is no header."""
        data = os.pread(self._file, _HEADER.size, 0)
        if len(data) != _HEADER.size:
            return None
        magic, end, used_s = _HEADER.unpack(data)
        return (end, used_s) if magic == _MAGIC and end >= self._first else None

    def _note(self, now_s: float) -> None:
        """Notes the time of a hit, for all processes."""
        try:
            with self._writing() as writes:
                if writes and (header := self._read_header()):
                    _write(self._file, _HEADER.pack(_MAGIC, header[0], now_s), 0)
        except OSError as err:
            self._fail(err)

    def _place(self, key: bytes) -> int:
        return _HEADER_BYTES + int.from_bytes(key[:8], "little") % self._slots * _SLOT.size

    def _probe(self, key: bytes) -> Iterator[bytes]:
        """The slots that a key may have."""
        data = os.pread(self._file, PROBES * _SLOT.size, self._place(key))
        for start in range(0, len(data) - _SLOT.size + 1, _SLOT.size):
            yield data[start : start + _SLOT.size]

    @contextmanager
    def _writing(self) -> Iterator[bool]:
        """Whether this thread may write: not while another process does, and not after a fault."""
        with self._lock:
            if self._failed:
                yield False
                return
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            try:
                yield True
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def _fail(self, err: OSError) -> None:
        """Logs the first fault; what is in the file is still found."""
        if not self._failed:
            self._failed = True
            logger.warning("disk_cache: %s; nothing more is added until the server restarts", explain_unusable(err))


def open_disk_cache(folder: Path | None, max_bytes: int) -> DiskCache | None:
    """The cache in a folder; None without one, or, with a line in the log, where it cannot be used.

    Raises:
        ValueError: as `require_room`.
    """
    if folder is None:
        return None
    require_room(max_bytes)
    try:
        return DiskCache(folder, max_bytes)
    except OSError as err:
        logger.warning("disk_cache: %s; decoded files are not kept on disk", explain_unusable(err))
        return None


def _remove_unused(file: Path) -> None:
    """Removes the file of a cache unless a process has it open. Its lock file stays: another process may be about to lock it."""
    lock = _open(file.with_name(f"{file.name}{_LOCK}"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.unlink(missing_ok=True)
    except BlockingIOError:
        pass
    finally:
        os.close(lock)


def _open(file: Path) -> int:
    return os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _n_bytes(shape: list[int], kind: int) -> int:
    total = _TYPES[kind].itemsize
    for size in shape:
        total *= size
    return total


def _checksum(slot: bytes, values: npt.NDArray[Any]) -> int:
    """Of an entry's bytes and of its slot, but for the checksum."""
    digest = xxhash.xxh3_64(slot[:-8])
    digest.update(values.data)
    return digest.intdigest()


def _write(file: int, data: bytes | memoryview, offset: int) -> None:
    while data:
        n_bytes = os.pwrite(file, data, offset)
        data, offset = data[n_bytes:], offset + n_bytes
