"""The order of a stream: which sample is at a position of an epoch, and which random numbers it gets.

Each is a function of (epoch, position), whatever the kind of the order: the full permutation, blocks with locality, buckets of
clips of nearly the same length, or strata with fractions of the epoch (classes, or the datasets of a mixture).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from augsvc.arrays import I64
from augsvc.data.mixture import Mixture
from augsvc.data.source import Source
from augsvc.data.subset import Members, Subsets, explain_class
from augsvc.errors import SpecInvalid
from augsvc.numerics.block_order import BlockOrder
from augsvc.numerics.bucket_order import BucketOrder
from augsvc.numerics.permutation import Permutation
from augsvc.numerics.rng import MAX_SAMPLES
from augsvc.numerics.strata import Located, StratifiedOrder, allocate_quotas
from augsvc.planning.spec import StreamSpec


class Selected(NamedTuple):
    """Samples (N,): the index of each in the dataset, and the one that keys its random numbers.

    They differ for a sample that came before in the same epoch: the k-th time it draws as index + k · samples, which no other
    sample has.
    """

    indices: I64
    drawn_as: I64

    def take(self, rows: slice) -> "Selected":
        """Those of a slice."""
        return Selected(self.indices[rows], self.drawn_as[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """The order of all epochs of a stream."""

    spec: StreamSpec
    members: Members
    strata: StratifiedOrder | None = None
    lengths: I64 | None = None  # of the members, for buckets

    @staticmethod
    def of(spec: StreamSpec, source: Source, subsets: Subsets) -> "Order":
        """Raises SpecInvalid if the dataset lacks what the specification selects or weighs by."""
        order = Order(spec, Members.of(source, spec.subset, subsets))
        if isinstance(source, Mixture):
            parts = spec.mixture or ()
            shares, names = [Fraction(part.weight) for part in parts], [part.dataset for part in parts]
            return order._with_strata(source.sizes, shares, names, "mixture")
        if spec.bucket is not None:
            return replace(order, lengths=_require_lengths(source)[order.members.all()])
        if spec.weights is None:
            return order
        labels = source.labels()[order.members.all()]
        if labels.min() < 0:
            raise SpecInvalid(
                "weights need a class of each sample: this dataset's have none, or not all", field="weights"
            )
        sizes = np.bincount(labels, minlength=len(source.info.classes)).astype(np.int64)
        shares = _class_shares(spec.weights, sizes, source.info.classes)
        present = np.flatnonzero(sizes).tolist()
        names = [source.info.classes[label] for label in present]
        return order._with_strata(sizes[present], [shares[label] for label in present], names, "weights")

    @property
    def samples(self) -> int:
        """The length of an epoch."""
        return len(self.members)

    def at(self, positions: I64, epoch: int) -> Selected:
        """The samples at positions (N,) of an epoch."""
        spec = self.spec
        if self.strata is not None:
            return self._of_strata(self.strata, self.strata.at(positions, epoch))
        if spec.bucket is not None and self.lengths is not None:
            rows = BucketOrder(self.lengths, spec.bucket, spec.order_seed, epoch).indices(positions)
        elif spec.block is not None:
            rows = BlockOrder(self.samples, spec.block, spec.order_seed, epoch).indices(positions)
        else:
            rows = Permutation(self.samples, spec.order_seed, epoch, spec.shuffle).indices(positions)
        indices = self.members.indices(rows)
        return Selected(indices, indices)

    def in_slots(self, slots: I64, epoch: int) -> I64:
        """The indices of the samples in slots (N,), which hold an epoch's samples in no permuted order."""
        if self.strata is not None:
            return self._of_strata(self.strata, self.strata.in_slots(slots, epoch)).indices
        return self.members.indices(slots)

    def _of_strata(self, order: StratifiedOrder, located: Located) -> Selected:
        rows = (np.cumsum(order.sizes) - order.sizes)[located.strata] + located.numbers
        indices = rows if self.spec.weights is None else self.members.by_class()[rows]
        return Selected(indices, indices + located.repeats * len(self.members.source))

    def _with_strata(self, sizes: I64, shares: Sequence[Fraction], names: Sequence[str], field: str) -> "Order":
        quotas = allocate_quotas(shares, self.samples)
        if not quotas.all():  # it would be none in every epoch: quotas do not differ between epochs
            raise SpecInvalid(
                f"{names[int(quotas.argmin())][:100]!r} would get none of the {self.samples:,} samples of an epoch, "
                "at its weight: raise its weight, or leave it out of the subset or the mixture",
                field=field,
            )
        strata = StratifiedOrder(sizes, quotas, self.spec.order_seed, self.spec.shuffle)
        if (strata.max_repeats + 1) * len(self.members.source) > MAX_SAMPLES:
            raise SpecInvalid(
                f"a sample would come {strata.max_repeats:,} times in an epoch: more than there are random numbers for",
                field=field,
            )
        return Order(self.spec, self.members, strata)


def _require_lengths(source: Source) -> I64:
    lengths = source.lengths()
    if lengths is None:
        raise SpecInvalid(
            "bucket needs a dataset of audio files, whose sizes or intervals say how long its clips are", field="bucket"
        )
    return lengths


def _class_shares(weights: str | Mapping[str, float], sizes: I64, classes: Sequence[str]) -> list[Fraction]:
    """The part of an epoch that each class gets: equal ones, or its samples times its weight, by default 1."""
    if isinstance(weights, str):
        return [Fraction(1)] * len(sizes)
    if unknown := [name for name in weights if name not in set(classes)]:
        raise SpecInvalid(explain_class(unknown[0], classes), field="weights")
    return [Fraction(weights.get(name, 1.0)) * int(size) for name, size in zip(classes, sizes, strict=True)]
