"""An epoch's order in which neighbours have nearly the same length, so that a batch has little padding.

The epoch's permutation is cut into chunks of CHUNK_BUCKETS buckets; the samples of a chunk are sorted by length, and the buckets
of all chunks are permuted. So the buckets differ between epochs, and the lengths of successive batches are independent. Like the
full permutation it is evaluated position by position: a bucket costs the sorting of one chunk.
"""

from dataclasses import dataclass

import numpy as np

from augsvc.arrays import I64
from augsvc.numerics.permutation import Permutation

CHUNK_BUCKETS = 64


@dataclass(frozen=True, slots=True, eq=False)
class BucketOrder:
    """The order of one epoch of samples of `lengths` (n,), in buckets of `bucket`; the last one may be shorter."""

    lengths: I64
    bucket: int
    seed: int
    epoch: int

    def indices(self, positions: I64) -> I64:
        """The sample at each position: int64 (N,) from int64 (N,) in [0, n)."""
        permutation = Permutation(len(self.lengths), self.seed, self.epoch)
        places = self._permute_buckets(positions)
        chunk, result = self.bucket * CHUNK_BUCKETS, np.empty_like(places)
        for index in np.unique(places // chunk).tolist():
            first = index * chunk
            rows = permutation.indices(np.arange(first, min(first + chunk, permutation.length)))
            rows = rows[np.argsort(self.lengths[rows], kind="stable")]
            inside = places // chunk == index
            result[inside] = rows[places[inside] - first]
        return result

    def _permute_buckets(self, positions: I64) -> I64:
        """A short bucket stays the last one, so that batches of `bucket` samples are buckets."""
        buckets = len(self.lengths) // self.bucket
        places: I64 = positions.copy()
        full = positions < buckets * self.bucket
        if full.any():
            order = Permutation(buckets, self.seed, self.epoch)
            places[full] = order.indices(positions[full] // self.bucket) * self.bucket + positions[full] % self.bucket
        return places
