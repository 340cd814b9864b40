"""Ascending indices in a bit for each sample of the dataset: of 100 million 16 MB, where an array takes up to 800."""

from dataclasses import dataclass

import numpy as np

from augsvc.arrays import I64, U8, U32

_BLOCK = 128  # bits that are searched for one index
_CHUNK_ROWS = 4096  # searched together: each takes 2 kB meanwhile
_CHUNK_BYTES = 1 << 14  # of bits, listed together: each takes up to 136 bytes meanwhile


@dataclass(frozen=True, slots=True, eq=False)
class IndexSet:
    """A set of indices, with the order and the number of its members."""

    bits: U8  # (blocks, _BLOCK / 8)
    before: U32  # (blocks + 1,): the members before each block

    @staticmethod
    def of(indices: I64) -> "IndexSet":
        """From ascending indices without repetitions, at least one."""
        blocks = int(indices[-1]) // _BLOCK + 1
        bits = np.zeros(blocks * _BLOCK, np.bool_)
        bits[indices] = True
        counts = bits.reshape(blocks, _BLOCK).sum(axis=1, dtype=np.uint32)
        before = np.concatenate(([0], np.cumsum(counts, dtype=np.uint32))).astype(np.uint32)
        return IndexSet(np.packbits(bits).reshape(blocks, -1), before)

    @property
    def nbytes(self) -> int:
        """The memory that it takes."""
        return self.bits.nbytes + self.before.nbytes

    def __len__(self) -> int:
        return int(self.before[-1])

    def __getitem__(self, rows: I64) -> I64:
        """The members at these positions of the order, (N,)."""
        members = np.empty(len(rows), np.int64)
        for start in range(0, len(rows), _CHUNK_ROWS):
            chunk = slice(start, start + _CHUNK_ROWS)
            members[chunk] = self._find(rows[chunk])
        return members

    def to_array(self) -> I64:
        """All members, ascending."""
        members, bits, position = np.empty(len(self), np.int64), self.bits.reshape(-1), 0
        for start in range(0, len(bits), _CHUNK_BYTES):
            chunk = np.flatnonzero(np.unpackbits(bits[start : start + _CHUNK_BYTES])) + 8 * start
            members[position : position + len(chunk)] = chunk
            position += len(chunk)
        return members

    def _find(self, rows: I64) -> I64:
        block = np.searchsorted(self.before, rows, side="right") - 1
        ranks = np.unpackbits(self.bits[block], axis=1).cumsum(axis=1, dtype=np.int64)
        inside = (ranks > (rows - self.before[block])[:, None]).argmax(axis=1)
        members: I64 = block * _BLOCK + inside
        return members

    def count_to(self, index: int) -> int:
        """The members up to an index, it included."""
        block = index // _BLOCK
        if block >= len(self.bits):
            return len(self)
        inside = int(np.unpackbits(self.bits[block])[: index % _BLOCK + 1].sum())
        return int(self.before[block]) + inside
