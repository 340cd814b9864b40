"""The samples of subsets: a million take 8 MB, so all streams of a subset share them, in a bounded cache."""

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

import numpy as np

from augsvc.arrays import I64
from augsvc.data.source import Source
from augsvc.errors import SpecInvalid
from augsvc.numerics.rng import SUBSET_KEY, philox4x32, seed_key

MAX_BYTES = 128 << 20  # sixteen subsets of a million samples


class Subsets:
    """A cache of the members of recently used subsets. Computing a million takes half a second. Thread-safe."""

    def __init__(self, n_bytes: int = MAX_BYTES) -> None:
        self._n_bytes = n_bytes
        self._kept: OrderedDict[tuple[str, str, int, int], I64] = OrderedDict()  # least recently used first
        self._lock = Lock()

    @property
    def n_bytes(self) -> int:
        """Bytes of the cached members."""
        with self._lock:
            return sum(members.nbytes for members in self._kept.values())

    def members(self, source: Source, per_class: int, seed: int) -> I64:
        """The indices of a subset's samples, ascending; raises as `subset_members` does."""
        key = (source.info.name, source.info.version, per_class, seed)
        with self._lock:
            members = self._kept.get(key)
        if members is None:
            members = subset_members(source.labels(), len(source.info.classes), per_class, seed)
            members.setflags(write=False)
        with self._lock:
            members = self._kept.setdefault(key, members)
            self._kept.move_to_end(key)
            total = sum(kept.nbytes for kept in self._kept.values())
            while total > self._n_bytes:
                total -= self._kept.popitem(last=False)[1].nbytes
        return members


@dataclass(frozen=True, slots=True, eq=False)
class Subset:
    """The k samples of each class with the smallest keyed random numbers. `kept` caches its members."""

    source: Source
    per_class: int
    seed: int
    kept: Subsets

    def __len__(self) -> int:
        return self.per_class * len(self.source.info.classes)

    @property
    def members(self) -> I64:
        """Their indices, ascending; raises SpecInvalid if a class has too few."""
        return self.kept.members(self.source, self.per_class, self.seed)


def subset_members(labels: I64, classes: int, per_class: int, seed: int) -> I64:
    """The members of a subset, ascending: in each class those with the smallest keyed random numbers, ties by index.

    Raises:
        SpecInvalid: a class has fewer samples than `per_class`, or no sample has a class.
    """
    low, high, _, _ = philox4x32((0, SUBSET_KEY, np.arange(len(labels)), 0), seed_key(seed))
    numbers = low.astype(np.uint64) | (high.astype(np.uint64) << np.uint64(32))
    labelled = np.flatnonzero(labels >= 0)
    if not classes or not len(labelled):
        raise SpecInvalid("the samples of this dataset have no classes", field="subset")
    labels, numbers = labels[labelled], numbers[labelled]
    counts = np.bincount(labels, minlength=classes)
    if counts.min() < per_class:
        scarce = int(counts.argmin())
        raise SpecInvalid(f"class {scarce} has only {counts[scarce]} samples", field="subset.per_class")
    by_class = np.lexsort((numbers, labels))  # stable: ties go by index
    firsts = np.cumsum(counts) - counts
    chosen = by_class[(firsts[:, None] + np.arange(per_class)[None, :]).ravel()]
    return np.sort(labelled[chosen]).astype(np.int64)
