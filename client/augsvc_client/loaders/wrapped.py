"""The loader that AugmentingDataLoader wraps: its epoch, its order and its own state.

WrappedLoader.begin: set_epoch → seed of the samplers → its own state, if it has one → iterator
"""

import logging
import random
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from augsvc_client.errors import StateMismatch
from augsvc_client.loaders.json_state import NoJson, from_json, try_to_json

_LOG = logging.getLogger("augsvc_client")
_COMPARED = 64  # entries of a sampler's order that show whether it repeats
_READS = 5  # of a shorter order: two of 5 shuffled batches are equal once in 120 times, five once in 2e8
_MAX_DEPTH = 4  # of datasets in datasets
_MAX_SEED = (1 << 63) - 1


class WrappedLoader:
    """A loader whose order is a function of (`seed`, epoch), so that an epoch can be resumed.

    Samplers with a `generator` (all of torch's that draw) are seeded with `seed` + epoch before each pass; `seed` is that
    of the sampler's own generator, else drawn from torch's global one, and part of a saved state. Samplers and datasets
    that have `set_epoch` follow the epoch. `has_known_order`: the loader's own state or its sampler decides the order;
    that of any other loader (an IterableDataset, a class of the user) is known by its samples alone. Raises ValueError for
    what is not a loader.
    """

    def __init__(self, loader: Iterable[Any]) -> None:
        _check_loader(loader)
        self.loader = loader
        self.seed: int | None = None
        state_methods = (getattr(loader, name, None) for name in ("state_dict", "load_state_dict"))
        self.is_stateful = all(callable(method) for method in state_methods)
        self.has_known_order = self.is_stateful or self._follows_sampler()
        self._order_problem: str | None = None
        self._order_checked = False

    def __len__(self) -> int:
        return len(self.loader)  # type: ignore[arg-type]

    @property
    def is_unshuffled(self) -> bool:
        """Whether it is a DataLoader whose sampler is torch's and goes through the dataset in its order."""
        if not self._follows_sampler() or self._own_samplers():
            return False
        from torch.utils.data import SequentialSampler

        loader: Any = self.loader
        batches = loader.batch_sampler  # its `sampler` is one of samples; without it, it chooses them itself
        sampler = loader.sampler if batches is None else getattr(batches, "sampler", batches)
        return isinstance(sampler, SequentialSampler) or getattr(sampler, "shuffle", None) is False

    def forward_epoch(self, epoch: int) -> None:
        """Call `set_epoch` on the loader, its samplers and its datasets where they have it."""
        for owner in (self.loader, *self._samplers(), *_datasets(self.loader)):
            set_epoch = getattr(owner, "set_epoch", None)
            if callable(set_epoch):
                set_epoch(epoch)

    def begin(self, epoch: int, state: Any, resumed: bool) -> Iterator[Any]:
        """A pass through the epoch, from `state` on if the loader has states, else from the epoch's start.

        Raises StateMismatch for a `resumed` pass of a sampler whose order does not repeat.
        """
        self.forward_epoch(epoch)
        if self.is_stateful:
            if isinstance(state, NoJson):
                raise state.reason
            if state is not None:
                self.loader.load_state_dict(from_json(state))  # type: ignore[attr-defined]
            return iter(self.loader)
        self._check_order(epoch, resumed)
        self._seed_samplers(epoch)
        return iter(self.loader)

    def snapshot(self) -> Any:
        """The loader's own state as JSON, NoJson if it has no such form, or None."""
        return try_to_json(self.loader.state_dict()) if self.is_stateful else None  # type: ignore[attr-defined]

    def _follows_sampler(self) -> bool:
        """Whether it is torch's DataLoader, which gives what the sampler of a map-style dataset says."""
        torch_data = sys.modules.get("torch.utils.data")
        if torch_data is None or not isinstance(self.loader, torch_data.DataLoader):
            return False
        overridden = type(self.loader).__iter__ is not torch_data.DataLoader.__iter__
        iterable = isinstance(self.loader.dataset, torch_data.IterableDataset)
        return not (overridden or iterable or any(isinstance(sampler, Iterator) for sampler in self._own_samplers()))

    def _own_samplers(self) -> list[Any]:
        """The samplers that are not torch's, whose order is unknown."""
        return [sampler for sampler in self._samplers() if not type(sampler).__module__.startswith("torch.utils.data")]

    def _samplers(self) -> list[Any]:
        batch_sampler = getattr(self.loader, "batch_sampler", None)
        samplers = (getattr(self.loader, "sampler", None), batch_sampler, getattr(batch_sampler, "sampler", None))
        return list({id(sampler): sampler for sampler in samplers if sampler is not None}.values())

    def choose_seed(self) -> None:
        """Sets `seed`, if samplers draw and it is not set yet, so that a state from before the first pass holds it too."""
        drawing = [sampler for sampler in self._samplers() if _draws(sampler)]
        if self.is_stateful or self.seed is not None or not drawing:
            return
        import torch

        own = next((sampler.generator for sampler in drawing if sampler.generator is not None), None)
        self.seed = own.initial_seed() if own is not None else int(torch.empty((), dtype=torch.int64).random_())

    def _seed_samplers(self, epoch: int) -> None:
        self.choose_seed()
        if self.seed is None:
            return
        import torch

        for sampler in filter(_draws, self._samplers()):
            if sampler.generator is None:
                sampler.generator = torch.Generator()
            sampler.generator.manual_seed((self.seed + epoch) & _MAX_SEED)

    def _check_order(self, epoch: int, resumed: bool) -> None:
        if not self._order_checked:
            self._order_checked = True
            own = self._own_samplers()
            if own and not self._repeats(epoch):
                self._order_problem = (
                    f"{type(own[-1]).__name__} gives another order each time, so that an epoch cannot be resumed: give it "
                    f"a set_epoch(epoch) that seeds it, or a torch.Generator as its attribute `generator`"
                )
                if not resumed:
                    _LOG.warning("%s", self._order_problem)
        if resumed and self._order_problem is not None:
            raise StateMismatch(self._order_problem)

    def _repeats(self, epoch: int) -> bool:
        """Whether the order begins with the same entries if an epoch is begun twice; leaves the global generators as they are."""
        samplers = (getattr(self.loader, name, None) for name in ("batch_sampler", "sampler"))
        order = next(sampler for sampler in samplers if sampler is not None)
        if any(isinstance(sampler, Iterator) for sampler in self._own_samplers()):  # it can be read only once
            return True
        import torch

        self._seed_samplers(epoch)  # outside: it may draw the seed
        states = random.getstate(), np.random.get_state()
        beginnings: set[str] = set()
        try:
            with torch.random.fork_rng(devices=()):
                for read in range(_READS):
                    self.forward_epoch(epoch)
                    self._seed_samplers(epoch)
                    beginning = list(islice(order, _COMPARED))
                    beginnings.add(repr(beginning))
                    if read and len(beginning) == _COMPARED:
                        break
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])
        return len(beginnings) == 1


def _draws(sampler: object) -> bool:
    return hasattr(sampler, "generator") and not hasattr(sampler, "set_epoch")


def _datasets(owner: object, depth: int = _MAX_DEPTH) -> Iterator[Any]:
    """A loader's dataset, and those that it wraps, as Subset and ChainDataset do."""
    wrapped = [getattr(owner, "dataset", None), *(getattr(owner, "datasets", None) or ())]
    for dataset in wrapped if depth else ():
        if dataset is not None:
            yield dataset
            yield from _datasets(dataset, depth - 1)


def _check_loader(loader: object) -> None:
    """Raises ValueError for what is not an iterable of batches."""
    torch_data = sys.modules.get("torch.utils.data")  # a Dataset's module is imported
    if torch_data is not None and isinstance(loader, torch_data.Dataset):
        if not isinstance(loader, torch_data.IterableDataset):
            raise ValueError(
                f"{type(loader).__name__} is a dataset of samples, not a loader of batches: wrap it in a "
                f"torch.utils.data.DataLoader with a batch_size first"
            )
    elif isinstance(loader, str | bytes) or not (hasattr(loader, "__iter__") or hasattr(loader, "__getitem__")):
        hint = "; call it first" if callable(loader) else ""
        raise ValueError(
            f"loader is an iterable of batches, for example a DataLoader, got {type(loader).__name__}{hint}"
        )
