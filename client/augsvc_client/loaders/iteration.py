"""One walk through a loader of the caller's own: its batches pulled ahead, in flight, and handed out in order.

iterator → source (arrays, index, the place behind) → Walk (ReadAhead) → the loader
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from augsvc_client.loaders.prefetch import Address, ReadAhead
from augsvc_client.loaders.samples import Reader, count
from augsvc_client.loaders.window import InFlight
from augsvc_client.wire import MAX_EPOCHS, Arrays


@dataclass(frozen=True, slots=True)
class Place:
    """Where a pass is. `position`: samples that all ranks together were handed in this epoch, so base + W·n."""

    epoch: int = 0
    batches: int = 0
    position: int = 0
    loader: Any = None  # the wrapped loader's own state behind the last batch, if it has one

    def index(self, rows: int, rank: int, world_size: int) -> npt.NDArray[np.int64]:
        """The indices of this rank's next samples: no other rank's, and none that was given before in this epoch."""
        return self.position + rank + world_size * np.arange(rows, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Pulled:
    """One batch on its way, and the place behind it."""

    arrays: Arrays
    rest: dict[str, Any]
    after: Place


class Walk:
    """One walk through the wrapped loader: what was pulled from it and not handed out yet is on its way.

    It knows nothing of the AugmentingDataLoader: its threads must not keep that alive. It belongs to one process.
    """

    def __init__(
        self, source: Iterator[tuple[Address, Pulled]], send: Callable[[Pulled, float], Arrays], prefetch: int
    ):
        self._source, self._send = source, send
        self._pulled: dict[Address, Pulled] = {}
        self._failure: BaseException | None = None
        self.over = False
        self.window = ReadAhead(self._fetch, InFlight(prefetch))

    def front(self) -> tuple[Pulled, Arrays] | None:
        """The next batch, answered; None at the end. It stays in front until `drop`, so an error loses nothing.

        Raises what the wrapped loader raised when it comes to its turn, and what the request raised.
        """
        if not self._pulled and not self._pull():
            self.over = True
            if self._failure is not None:
                raise self._failure
            return None
        address = next(iter(self._pulled))
        arrays = self.window.take(address, self._ahead())
        return self._pulled[address], arrays

    def drop(self) -> None:
        """The front was handed out."""
        del self._pulled[next(iter(self._pulled))]

    def _fetch(self, address: Address, waited_s: float) -> Arrays:
        return self._send(self._pulled[address], waited_s)

    def _ahead(self) -> Iterator[Address]:
        yield from list(self._pulled)  # again, after a request that failed
        while (address := self._pull()) is not None:
            yield address

    def _pull(self) -> Address | None:
        if self._failure is not None:
            return None
        try:
            found = next(self._source, None)
        except BaseException as err:
            self._failure = err
            if isinstance(err, Exception):  # its turn comes behind the batches before it
                return None
            self.over = True  # an interrupt has no turn; the wrapped loader's iterator is not to be trusted after it
            raise
        if found is None:
            return None
        self._pulled[found[0]] = found[1]
        return found[0]


def source(
    batches: Iterator[Any],
    reader: Reader,
    place: Place,
    rank: int,
    world_size: int,
    snapshot: Callable[[], Any] | None,
) -> Iterator[tuple[Address, Pulled]]:
    """What there is to send, batch by batch from `place` on. `snapshot` gives the wrapped loader's state.

    Raises what the wrapped loader raises, and ValueError for what cannot be sent or if there is nothing at all.
    """
    if place.epoch >= MAX_EPOCHS:
        raise ValueError(f"there are {MAX_EPOCHS} epochs, and all are over: take another aug_seed")
    for batch in batches:
        arrays, rest = reader.split(reader.named(batch))
        rows = count(arrays)
        if not rows:
            raise ValueError("the wrapped loader gave a batch without samples")
        arrays.setdefault("index", place.index(rows, rank, world_size))
        address = Address(place.epoch, place.position // world_size, rows)
        state = copy.deepcopy(snapshot()) if snapshot is not None else None
        place = Place(place.epoch, place.batches + 1, place.position + world_size * rows, state)
        yield address, Pulled(arrays, rest, place)
    if not place.batches:
        raise ValueError(f"the wrapped loader gave no batch in epoch {place.epoch}: can it be iterated only once?")
