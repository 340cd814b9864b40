"""The partners of a stream's samples: which ones operations draw, of the stream itself or of another dataset, and how they are
read.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor as Workers
from dataclasses import dataclass
from functools import partial

import numpy as np

from augsvc.arrays import F64, I64, Sample
from augsvc.data.source import Source
from augsvc.data.subset import Members, Subsets
from augsvc.numerics.rng import Address
from augsvc.streams.mixing import DrawnPartners
from augsvc.streams.order import Order
from augsvc.streams.reading import SOURCE_BYTES, Reader, read_each
from augsvc.streams.renderer import Renderer


@dataclass(frozen=True, slots=True)
class Partner:
    """One partner of a sample of a batch."""

    row: int  # of the sample
    operation: str  # its id
    dataset: str | None  # None: the stream's own samples
    index: int


@dataclass(frozen=True, slots=True, eq=False)
class PartnerReader:
    """Draws and reads partners. `others` are the datasets that operations name."""

    renderer: Renderer
    seed: int
    order: Order
    others: Mapping[str, Source]
    least: tuple[int, int] | None = None  # as that of `Reader`

    @property
    def most(self) -> int:
        """The partners of a sample, at most."""
        return self.renderer.most_partners

    def attach(
        self, read: list[tuple[Sample, int]], address: Address, helpers: Workers, check: Callable[[], None]
    ) -> list[tuple[Sample, int]]:
        """Samples with the partners that their operations draw; the first ones if not all partners were read."""
        if not self.most:
            return read
        drawn, partners = self._draw(address)
        samples: list[Sample] = []
        while len(samples) < min(len(partners), self.most):  # at least those of the first sample
            rest = partners[len(samples) :]
            n_bytes = SOURCE_BYTES - SOURCE_BYTES // (self.most + 1)
            more = read_each(partial(self._read_one_of, rest, check), len(rest), helpers, n_bytes)
            samples += [sample for sample, _ in more]
        return drawn.attach(read, samples, self.renderer.plan.tiles)

    def describe(self, address: Address, check: Callable[[], None]) -> tuple[DrawnPartners, list[dict[str, object]]]:
        """The partners of one sample, each with the drawn one that it replaces if that cannot be decoded."""
        described = []
        drawn, partners = self._draw(address)
        for partner in partners:
            index = self._read(partner, check)[1]
            replaced = {} if index == partner.index else {"replaces": self._identity(partner, partner.index)}
            described.append(self._identity(partner, index) | replaced)
        return drawn, described

    def _draw(self, address: Address) -> tuple[DrawnPartners, list[Partner]]:
        """The partners of samples, those of each one in the order of its operations."""
        drawn = self.renderer.draw_partners(self.seed, address)
        indices = self._own_indices(drawn.fractions, address.epoch)
        for k, (_, dataset) in enumerate(drawn.takers):
            if dataset is not None:
                indices[k] = _slots(drawn.fractions[k], len(self.others[dataset]))
        each = zip(drawn.rows.tolist(), drawn.takers, indices.tolist(), strict=True)
        return drawn, [Partner(row, *taker, index) for row, taker, index in each]

    def _own_indices(self, fractions: F64, epoch: int) -> I64:
        return self.order.in_slots(_slots(fractions, self.order.samples), epoch)

    def _read_one_of(self, partners: list[Partner], check: Callable[[], None], k: int) -> tuple[Sample, int]:
        return self._read(partners[k], check)

    def _read(self, partner: Partner, check: Callable[[], None]) -> tuple[Sample, int]:
        members = self.order.members
        if partner.dataset is not None:
            members = Members.of(self.others[partner.dataset], None, Subsets())
        return Reader(members, self.least).read_one(partner.index, check)

    def _identity(self, partner: Partner, index: int) -> dict[str, object]:
        source = self.order.members.source if partner.dataset is None else self.others[partner.dataset]
        named = {} if partner.dataset is None else {"dataset": partner.dataset}
        of_operation = {"id": partner.operation} if partner.operation else {}
        return {**of_operation, **named, "index": index, "source": source.describe(index)}


def _slots(fractions: F64, count: int) -> I64:
    return np.minimum(np.floor(fractions * count), count - 1).astype(np.int64)
