"""The common base of the loaders: options, progress, the client, requests in flight, and the end of all of them.

loader (progress, what to fetch) → Prefetcher → Client → tensors on the device
"""

import os
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from augsvc_client.client.client import Client
from augsvc_client.errors import StateMismatch
from augsvc_client.loaders.gpu_upload import GpuUpload
from augsvc_client.loaders.prefetch import Prefetcher
from augsvc_client.loaders.ranks import check_ranks
from augsvc_client.loaders.tensors import check_scale, require_torch, to_tensors
from augsvc_client.specification import to_integer
from augsvc_client.transport.buffers import Buffers, allocate_pageable
from augsvc_client.wire import MAX_EPOCHS, MAX_VIEWS, Arrays

if TYPE_CHECKING:
    import torch

    Batch = dict[str, torch.Tensor]

Item = TypeVar("Item")
Loader = TypeVar("Loader", bound="BaseLoader[Any]")  # typing.Self needs Python 3.11


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """How to reach the service: the arguments of Client."""

    urls: str | Sequence[str] | None
    token: str | None
    wait_s: float
    job: str | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """Options that mean the same in both loaders; raises ValueError for values that cannot be used."""

    rank: int | None
    world_size: int | None
    device: "torch.device | str | None"
    scale: tuple[float, float] | None
    prefetch: int
    view: int
    accept_arithmetic: bool

    def __post_init__(self) -> None:
        for name, minimum, maximum in (("prefetch", 1, None), ("view", 0, MAX_VIEWS - 1)):
            object.__setattr__(self, name, to_integer(name, getattr(self, name), minimum, maximum))
        for name in ("rank", "world_size"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, to_integer(name, getattr(self, name)))
        check_scale(self.scale)
        check_ranks(self.rank, self.world_size)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a loader is. `position` counts the samples that all ranks together were handed in this epoch."""

    epoch: int = 0
    position: int = 0


class BaseLoader(ABC, Generic[Item]):
    """State, requests in flight and lifetime of a loader; a subclass defines what to fetch, and how.

    `batches` and `wait_s_total` count the batches handed out and the seconds that the trainer waited for them.
    """

    def __init__(self, delivery: Delivery, options: ClientOptions) -> None:
        require_torch()
        self._delivery = delivery
        self._upload = GpuUpload.for_device(delivery.device)
        self._floats = Buffers()  # of scaled images
        self._client = Client(
            options.urls,
            token=options.token,
            wait_s=options.wait_s,
            job=options.job,
            allocate=self._upload.allocate_pinned if self._upload else allocate_pageable,
        )
        self._progress = Progress()
        self.batches = 0
        self.wait_s_total = 0.0
        self._prefetchers: dict[int, Prefetcher[Item]] = {}  # by process
        self._pid = os.getpid()  # the process in which torch may use several threads
        weakref.finalize(self, _release, self._client, self._prefetchers)  # for a loader that is never closed

    def __getstate__(self) -> dict[str, Any]:
        """Without threads, GPU and memory of batches: a copy in a spawned process starts its own, at the same position."""
        return {**self.__dict__, "_prefetchers": {}, "_upload": None, "_floats": Buffers()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._pid = os.getpid()
        self._upload = GpuUpload.for_device(self._delivery.device)
        weakref.finalize(self, _release, self._client, self._prefetchers)

    def __getitem__(self, index: object) -> NoReturn:
        """Raises TypeError: a loader is iterated, not indexed by a torch DataLoader that wraps it."""
        raise TypeError(
            f"{type(self).__name__} gives batches in order and cannot be indexed: iterate it directly (`for batch in "
            f"loader`) instead of wrapping it in a DataLoader"
        )

    @property
    def epoch(self) -> int:
        """The current epoch, that of the coming step."""
        return self._progress.epoch

    @property
    def position(self) -> int:
        """Samples that all ranks together have consumed in this epoch; the ranks are assumed to go in step."""
        return self._progress.position

    def set_epoch(self, epoch: int) -> None:
        """Go to the start of an epoch, or keep the position if it is the current one."""
        epoch = to_integer("epoch", epoch, 0, MAX_EPOCHS - 1)
        if epoch != self.epoch:
            self._go_to_epoch(epoch)

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """All that a later run needs to continue, JSON-able. A batch counts when it has been handed out."""

    def close(self) -> None:
        """End the requests, threads and connections of this process. The loader cannot be used afterwards."""
        _release(self._client, self._prefetchers)
        self._floats.clear()

    def __enter__(self: Loader) -> Loader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def _go_to_epoch(self, epoch: int) -> None:
        """Move to the start of another epoch."""

    @property
    @abstractmethod
    def _image_dtype(self) -> str:
        """The dtype of images on the wire."""

    @abstractmethod
    def _build_prefetcher(self) -> Prefetcher[Item]:
        """A prefetcher whose requests do not refer to the loader."""

    def _take(self, item: Item, upcoming: Iterator[Item]) -> Arrays:
        """The item's arrays; adds the wait for them to `wait_s_total`, also if it ends with an error."""
        prefetcher = self._prefetcher()
        try:
            return prefetcher.take(item, upcoming)
        finally:
            self.wait_s_total += prefetcher.last_wait_s

    def _to_tensors(self, arrays: Arrays) -> "Batch":
        if (
            self._pid != os.getpid()
        ):  # torch's threads do not survive a fork: a large tensor would wait for them for ever
            import torch

            torch.set_num_threads(1)
            self._pid = os.getpid()
        delivery = self._delivery
        return to_tensors(arrays, delivery.device, delivery.scale, self._floats, self._upload, self._image_dtype)

    def _checked_state(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """This loader's own state, to compare `state` with; raises StateMismatch if that lacks an entry."""
        own = self.state_dict()
        require_entries(state, own)
        return own

    def _drop_prefetched(self) -> None:
        """Ends the requests in flight of this process; the next step begins others."""
        if (prefetcher := self._prefetchers.pop(os.getpid(), None)) is not None:
            prefetcher.stop()

    def _prefetcher(self) -> Prefetcher[Item]:
        """This process's prefetcher; the threads of the parent's do not exist after a fork."""
        pid = os.getpid()
        for inherited in self._prefetchers.keys() - {pid}:
            del self._prefetchers[inherited]
        if pid not in self._prefetchers:
            self._prefetchers[pid] = self._build_prefetcher()
        return self._prefetchers[pid]


def require_entries(state: Mapping[str, Any], names: Iterable[str]) -> None:
    """Raises StateMismatch if a loader's state is none, or lacks one of these entries."""
    if not isinstance(state, Mapping):
        raise StateMismatch(f"a state is a dict, got {type(state).__name__}; pass what state_dict() returned")
    if missing := [name for name in names if name not in state]:
        raise StateMismatch(f"the state lacks {', '.join(missing)}; pass what state_dict() returned")


def _release(client: Client, prefetchers: Mapping[int, Prefetcher[Any]]) -> None:
    client.close()
    if (prefetcher := prefetchers.get(os.getpid())) is not None:
        prefetcher.stop()
