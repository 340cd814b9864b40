"""Which positions of an epoch belong to which rank.

position → Shares → this rank's ranges (`Address`)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from augsvc_client.wire import MAX_EPOCHS


class Address(NamedTuple):
    """A range of an epoch's order: `n` positions from `start` on."""

    epoch: int
    start: int
    n: int

    def __str__(self) -> str:
        return f"positions {self.start} to {self.start + self.n - 1} of epoch {self.epoch}"


@dataclass(frozen=True, slots=True)
class Shares:
    """How the ranks divide an epoch. A position is the number of samples that all ranks together have consumed.

    From position P, rank r reads [P + r·B, P + (r+1)·B) and P grows by W·B; without `drop_last` the last step divides
    the remaining samples, larger shares to the lower ranks.
    """

    samples: int
    batch_size: int
    rank: int
    world_size: int
    drop_last: bool

    @property
    def step_samples(self) -> int:
        """Samples that one full step takes over all ranks."""
        return self.world_size * self.batch_size

    def steps_left(self, position: int) -> int:
        """Steps from `position` to the end of the epoch."""
        rest = self.samples - position
        return rest // self.step_samples if self.drop_last else -(-rest // self.step_samples)

    def own_range(self, position: int) -> tuple[int, int]:
        """This rank's start and count in the step that begins at `position`; the count may be 0 in the last step."""
        rest = min(self.step_samples, self.samples - position)
        count, larger = divmod(rest, self.world_size)
        return position + self.rank * count + min(self.rank, larger), count + (self.rank < larger)

    def next_position(self, position: int) -> int:
        """The position after that step."""
        return min(position + self.step_samples, self.samples)

    def upcoming(self, epoch: int, position: int, *, later_epochs: bool) -> Iterator[Address]:
        """This rank's non-empty ranges from there to the end of the epoch, or with `later_epochs` of all epochs."""
        while epoch < MAX_EPOCHS:
            while self.steps_left(position) > 0:
                start, count = self.own_range(position)
                if count:
                    yield Address(epoch, start, count)
                position = self.next_position(position)
            if not later_epochs or not self.own_range(0)[1]:  # a rank without samples in a first step never has any
                return
            epoch, position = epoch + 1, 0
