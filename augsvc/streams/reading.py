"""Reads the samples of a stream, as many together as their bytes and a second allow.

Decoding cannot be interrupted, and the longest file takes seconds. So a batch is read in chunks, on a thread that belongs to
the batch meanwhile; shared threads help, those that are free. Whatever the others decode, the batch itself makes progress.
"""

import time
from collections.abc import Callable
from concurrent.futures import Executor as Workers
from dataclasses import dataclass
from functools import partial
from threading import Lock
from weakref import ref

from augsvc.arrays import I64, Sample
from augsvc.cpus import cores
from augsvc.data.subset import Members
from augsvc.errors import DatasetUnreadable, Undecodable
from augsvc_client.text import printable

MAX_TRIES = 64  # consecutive samples that cannot be decoded
SOURCE_BYTES = 64 << 20  # of the decoded samples of a chunk, and their partners, plus at most one sample per thread
CHUNK_S = 1.0  # after which a chunk ends, so that another job's comes next


@dataclass(frozen=True, slots=True, eq=False)
class Reader:
    """Reads the samples of a dataset, or of a subset of it."""

    members: Members
    least: tuple[int, int] | None = None  # (H, W) that images are decoded to at least; None: they are decoded whole

    def read(self, indices: I64, helpers: Workers, check: Callable[[], None], n_bytes: int) -> list[tuple[Sample, int]]:
        """Reads the first samples of `indices`, at least one, with the indices that they come from.

        It ends after `n_bytes` or CHUNK_S, since the size of a decoded sample, and its time, are unknown before.
        """
        return _Chunk(partial(self.read_one, check=check), indices.tolist(), n_bytes).run(helpers)

    def read_one(self, index: int, check: Callable[[], None]) -> tuple[Sample, int]:
        """The sample, or the next one of the subset that can be decoded (cyclic); and its index.

        Raises:
            DatasetUnreadable: MAX_TRIES in a row cannot be decoded.
        """
        candidate = index
        n_tries, source = min(MAX_TRIES, len(self.members)), self.members.source
        for _ in range(n_tries):
            check()
            try:
                return source.read_reduced(candidate, self.least), candidate
            except Undecodable:
                candidate = self.members.after(candidate)
        first = printable(source.describe(index))
        reason = source.defect(index) or "it cannot be decoded"
        raise DatasetUnreadable(
            f"{n_tries} samples in a row cannot be decoded: check the dataset's files, from sample {index} on, "
            f"{first}: {reason}"
        )


def read_each(
    read: Callable[[int], tuple[Sample, int]], count: int, helpers: Workers, n_bytes: int
) -> list[tuple[Sample, int]]:
    """What `read` gives for 0 … count − 1: the first ones, at least one, as Reader.read."""
    return _Chunk(read, list(range(count)), n_bytes).run(helpers)


class _Chunk:
    """Samples that several threads read, each the next one in turn: those that are read are always the first ones."""

    def __init__(self, read: Callable[[int], tuple[Sample, int]], indices: list[int], n_bytes: int) -> None:
        self._read, self._indices = read, indices
        self._samples: dict[int, tuple[Sample, int]] = {}  # by row
        self._errors: dict[int, BaseException] = {}
        self._ends_at, self._free_bytes = time.perf_counter() + CHUNK_S, n_bytes
        self._rows = 0  # begun
        self._lock = Lock()

    def run(self, helpers: Workers) -> list[tuple[Sample, int]]:
        """Reads on this thread and on those of `helpers` that are free; raises the error of the first sample that has one."""
        n_helpers = min(cores(), len(self._indices)) - 1
        # a cancelled call stays in the queue of `helpers`, which must not keep the samples, nor the batch of `check`
        running = [helpers.submit(_help, ref(self)) for _ in range(n_helpers)]
        self._work()
        for helper in running:
            if not helper.cancel():
                helper.result()
        if self._errors:
            raise self._errors[min(self._errors)]
        return [self._samples[row] for row in range(self._rows)]

    def _work(self) -> None:
        while (row := self._next_row()) is not None:
            try:
                self._samples[row] = self._read(self._indices[row])
                n_bytes = self._samples[row][0].n_bytes
            except BaseException as err:  # raised by `run`
                self._errors[row], n_bytes = err, self._free_bytes
            with self._lock:
                self._free_bytes -= n_bytes

    def _next_row(self) -> int | None:
        with self._lock:
            ended = self._free_bytes <= 0 or time.perf_counter() >= self._ends_at
            if self._rows == len(self._indices) or (ended and self._rows):
                return None
            self._rows += 1
            return self._rows - 1


def _help(chunk: "ref[_Chunk]") -> None:
    if (current := chunk()) is not None:
        current._work()
