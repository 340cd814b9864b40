"""One pass through a wrapped loader: batches read ahead of the trainer, each with the progress behind it.

wrapped iterator → read_batches (arrays, indices, progress) → BatchQueue (read, not handed out) → the loader
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from augsvc_client.fields.parts import Part, Size, Tensors, add_indices, looks_padded, restore_batch
from augsvc_client.fields.reader import Reader, count_samples
from augsvc_client.fields.roles import Path
from augsvc_client.loaders.base import Progress
from augsvc_client.loaders.sample_digest import SampleDigest
from augsvc_client.loaders.shares import Address
from augsvc_client.wire import MAX_EPOCHS, Arrays

_LOG = logging.getLogger("augsvc_client")


@dataclass(frozen=True, slots=True)
class PassProgress(Progress):
    """Where a pass through the wrapped loader is. `position` is the base of the counted indices."""

    batches: int = 0
    loader: Any = None  # the wrapped loader's own state behind the last batch as JSON, if it has one
    samples: SampleDigest | None = None  # of what was read, unless a sampler or that state decides it

    def indices(self, rows: int, rank: int, world_size: int) -> npt.NDArray[np.int64]:
        """The indices of this rank's next samples, int64 [rows]: unique in the epoch over all ranks."""
        return self.position + rank + world_size * np.arange(rows, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class PendingRequest:
    """The arrays of one request, for samples of `address`."""

    address: Address
    arrays: Arrays

    def __str__(self) -> str:
        return str(self.address)


@dataclass(frozen=True, slots=True, eq=False)
class PendingBatch:
    """One batch of the wrapped loader: its parts, the fields that are passed through, and the progress behind it.

    `requests` are those of all parts, in order.
    """

    parts: Sequence[Part]
    requests: Sequence[PendingRequest]
    rest: Mapping[Path, Any]
    after: PassProgress

    def restore(self, responses: Iterable[Tensors], canvas: Size | None) -> dict[str, Any]:
        """The augmented batch, from the tensors of the response to each request; `canvas`: the size asked for."""
        return restore_batch(self.parts, self.rest, responses, canvas)


class BatchQueue:
    """The batches that were read from the wrapped loader and not handed out yet, in order."""

    def __init__(self, source: Iterator[PendingBatch]) -> None:
        self._source = source
        self._pending: deque[PendingBatch] = deque()
        self._failure: BaseException | None = None
        self.finished = False

    def front(self) -> PendingBatch | None:
        """The next batch, or None at the end. It stays in front until `drop`, so that an error loses nothing.

        Raises what the wrapped loader raised, behind the batches that it gave before.
        """
        if not self._pending and self._read() is None:
            self.finished = True
            if self._failure is not None:
                raise self._failure
            return None
        return self._pending[0]

    def drop(self) -> None:
        """Remove the front batch, which was handed out."""
        self._pending.popleft()

    def upcoming(self) -> Iterator[PendingRequest]:
        """The requests of all batches from the front on; reads the wrapped loader as it is consumed."""
        for pending in list(self._pending):  # these were read for requests that have failed since
            yield from pending.requests
        while (batch := self._read()) is not None:
            yield from batch.requests

    def _read(self) -> PendingBatch | None:
        if self._failure is not None:
            return None
        try:
            batch = next(self._source, None)
        except BaseException as err:
            self._failure = err
            if isinstance(err, Exception):  # raised by `front`, in its turn
                return None
            self.finished = True  # an interrupt is raised immediately, and the wrapped iterator not used after it
            raise
        if batch is not None:
            self._pending.append(batch)
        return batch


def read_batches(
    batches: Iterator[Any],
    reader: Reader,
    progress: PassProgress,
    rank: int,
    world_size: int,
    snapshot: Callable[[], Any],
) -> Iterator[PendingBatch]:
    """The batches to send from `progress` on. `snapshot` returns a copy of the wrapped loader's state, or None.

    Warns of clips that look padded and have no lengths. Raises what the wrapped loader raises, and ValueError for a batch that
    cannot be sent or an epoch without batches.
    """
    warned = False
    if progress.epoch >= MAX_EPOCHS:
        raise ValueError(f"all {MAX_EPOCHS} epochs are used up; choose another aug_seed")
    for batch in batches:
        named = reader.name_fields(batch)
        parts, rest = reader.split(named)
        warned = warned or _warn_of_padding(parts)
        rows = count_samples(named)
        if not rows:
            raise ValueError("the wrapped loader gave a batch without samples")
        index = reader.indices(named)
        if index is None:
            index = progress.indices(rows, rank, world_size)
        address = Address(progress.epoch, progress.position // world_size, rows)
        requests = [PendingRequest(address, arrays) for arrays in add_indices(parts, index)]
        state = snapshot()
        position = progress.position + world_size * rows
        samples = progress.samples and progress.samples.extend(reader.identify(named))
        progress = PassProgress(progress.epoch, position, progress.batches + 1, state, samples)
        yield PendingBatch(parts, requests, rest, progress)
    if not progress.batches:
        raise ValueError(f"the wrapped loader gave no batch in epoch {progress.epoch}: can it be iterated only once?")


def _warn_of_padding(parts: Sequence[Part]) -> bool:
    """Logs a warning for clips that look padded and have no lengths; returns whether it did."""
    if not any(looks_padded(part.arrays) for part in parts):
        return False
    _LOG.warning(
        "some clips end in zeros as if they were padded: give their samples as `lengths`, an integer for each clip, or "
        "shifts and noise levels depend on the padding"
    )
    return True
