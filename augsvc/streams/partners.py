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
from augsvc.planning.audio_plan import SoundPlan
from augsvc.planning.image_plan import Plan
from augsvc.planning.passes import Passes
from augsvc.streams import partner_clips
from augsvc.streams.mixing import DrawnPartners
from augsvc.streams.order import Order
from augsvc.streams.reading import SOURCE_BYTES, Reader, read_each


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

    plan: Passes
    seed: int
    order: Order
    others: Mapping[str, Source]
    least: tuple[int, int] | None = None  # as that of `Reader`

    @property
    def most(self) -> int:
        """The partners of a sample, at most."""
        return len(self.plan.partner_operations) if isinstance(self.plan, SoundPlan) else self.plan.images - 1

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
        return drawn.attach(read, samples, self.plan.tiles if isinstance(self.plan, Plan) else partner_clips.MIX_SLOT)

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
        if isinstance(self.plan, SoundPlan):
            return self._draw_clips(self.plan, address)
        none = np.zeros(0, np.int64)
        drawn = DrawnPartners(none, none, np.zeros(0))
        if isinstance(self.plan, Plan):
            drawn = DrawnPartners.of(self.plan, self.seed, address)
        pairs = zip(drawn.rows.tolist(), self._own_indices(drawn.fractions, address.epoch).tolist(), strict=True)
        return drawn, [Partner(row, "", None, index) for row, index in pairs]

    def _draw_clips(self, plan: SoundPlan, address: Address) -> tuple[DrawnPartners, list[Partner]]:
        drawn, columns = partner_clips.draw_partners(plan, self.seed, address)
        partners = []
        for row, column, fraction in zip(drawn.rows.tolist(), columns.tolist(), drawn.fractions, strict=True):
            index, operation = plan.partner_operations[column]
            dataset, position = operation.partner_dataset, np.array([fraction])
            if dataset is None:
                indices = self._own_indices(position, address.epoch)
            else:
                indices = _slots(position, len(self.others[dataset]))
            partners.append(Partner(row, plan.tree.leaves[index].id, dataset, int(indices[0])))
        return drawn, partners

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
