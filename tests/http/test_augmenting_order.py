"""A wrapped loader's order in epochs and after a resume, its state, and what cannot be wrapped."""

import itertools
import json
import pickle
import random
from contextlib import ExitStack

import numpy as np
import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    RandomSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from augsvc_client import AugmentingDataLoader, AugsvcError, StateMismatch

N = 20


class Images(Dataset):
    """Images that hold their index."""

    def __len__(self):
        return N

    def __getitem__(self, index):
        return {"image": torch.full((4, 4, 3), index, dtype=torch.uint8), "id": index}


@pytest.fixture
def wrap(server):
    with ExitStack() as stack:

        def build(loader, **more):
            arguments = {"scale": None, "wait_s": 60, "prefetch": 2, **more}
            return stack.enter_context(AugmentingDataLoader(loader, server.url, **arguments))

        yield build


def ids(batches):
    return [int(index) for batch in batches for index in batch["id"]]


def batches_of(sampler, seed):
    """A DataLoader as a script builds it, in a process with this global seed."""
    torch.manual_seed(seed)
    return sampler()


SHUFFLED = {
    "shuffle": lambda: DataLoader(Images(), 4, shuffle=True),
    "workers": lambda: DataLoader(Images(), 4, shuffle=True, num_workers=1),
    "generator": lambda: DataLoader(Images(), 4, shuffle=True, generator=torch.Generator().manual_seed(5)),
    "batch sampler": lambda: DataLoader(Images(), batch_sampler=BatchSampler(RandomSampler(Images()), 4, False)),
    "subset": lambda: DataLoader(Images(), 4, sampler=SubsetRandomSampler(range(N))),
    "weighted": lambda: DataLoader(Images(), 4, sampler=WeightedRandomSampler([1.0] * N, N, replacement=False)),
}


@pytest.mark.parametrize("kind", SHUFFLED)
def test_a_resumed_epoch_of_a_random_sampler_keeps_its_order(wrap, kind):
    first = wrap(batches_of(SHUFFLED[kind], 0))
    assert len(set(ids(first))) == N
    seen = ids(itertools.islice(first, 2))
    state = json.loads(json.dumps(first.state_dict()))
    second = wrap(batches_of(SHUFFLED[kind], 1))
    second.load_state_dict(state)
    rest = ids(second)
    assert len({*seen, *rest}) == N
    assert rest == ids(first)
    assert ids(second) == ids(first)  # and the next epoch


def test_epochs_differ_in_their_order_and_so_do_seeds(wrap):
    loader, other = (wrap(batches_of(SHUFFLED["shuffle"], seed)) for seed in (0, 1))
    orders = [ids(loader), ids(loader), ids(other)]
    assert all(sorted(order) == list(range(N)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3


class Shuffling:
    """A sampler of a user's own, drawn from a global generator."""

    def __init__(self, draw):
        self.draw = draw

    def __iter__(self):
        return iter(self.draw())

    def __len__(self):
        return N


@pytest.mark.parametrize(
    "draw",
    [lambda: torch.randperm(N).tolist(), lambda: random.sample(range(N), N), lambda: np.random.permutation(N).tolist()],
    ids=["torch", "random", "numpy"],
)
def test_a_sampler_that_cannot_be_seeded_is_refused_when_resumed(wrap, draw, caplog):
    first, second = (wrap(DataLoader(Images(), 4, sampler=Shuffling(draw))) for _ in range(2))
    assert len(set(ids(first))) == N
    assert "set_epoch" in caplog.text
    next(iter(first))
    second.load_state_dict(first.state_dict())
    with pytest.raises(StateMismatch, match="set_epoch"):
        next(iter(second))


class Stateful:
    """A loader with a state that is not JSON."""

    def __init__(self):
        self.generator, self.start = torch.Generator().manual_seed(1), 0

    def __iter__(self):
        for start in range(self.start, N, 4):
            self.start = start + 4
            yield torch.utils.data.default_collate([Images()[index] for index in range(start, start + 4)])
        self.start = 0

    def state_dict(self):
        return {
            "generator": self.generator.get_state(),
            "start": (self.start, b"x"),
            3: {"a": np.arange(2), "b": float("inf")},
        }

    def load_state_dict(self, state):
        assert torch.equal(state["generator"], self.generator.get_state())
        assert state["generator"].dtype == torch.uint8
        assert state["start"][1] == b"x"
        assert state[3]["a"].tolist() == [0, 1]
        assert state[3]["b"] == float("inf")
        self.start = state["start"][0]


def test_the_state_is_json_whatever_the_wrapped_loader_s_holds(wrap):
    first, second = wrap(Stateful()), wrap(Stateful())
    seen = ids(itertools.islice(first, 2))
    second.load_state_dict(json.loads(json.dumps(first.state_dict(), allow_nan=False)))
    assert seen + ids(second) == list(range(N))


def test_a_used_loader_can_be_sent_to_a_spawned_process(wrap):
    loader = wrap(DataLoader(Images(), 4))
    seen = ids(itertools.islice(loader, 2))
    with pickle.loads(pickle.dumps(loader)) as copy:  # noqa: S301 - of this test
        assert seen + ids(copy) == list(range(N))


def test_in_a_worker_of_another_dataloader_it_is_refused(wrap):
    class Wrapping(torch.utils.data.IterableDataset):
        def __iter__(self):
            return iter(loader)

    loader = wrap(DataLoader(Images(), 4))
    with pytest.raises(AugsvcError, match="iterate it directly"):
        list(DataLoader(Wrapping(), batch_size=None, num_workers=1, multiprocessing_context="fork"))


@pytest.mark.parametrize(
    ("loader", "cure"),
    [
        (Images(), "DataLoader with a batch_size"),
        (lambda: iter(()), "call it first"),
        (5, "iterable"),
        ("abc", "iterable"),
    ],
)
def test_what_is_not_a_loader_is_refused_immediately(wrap, loader, cure):
    with pytest.raises(ValueError, match=cure):
        wrap(loader)


def test_a_label_of_none_is_refused_by_name(wrap, server):
    image = torch.zeros(2, 4, 4, 3, dtype=torch.uint8)
    with pytest.raises(ValueError, match="label is None; leave it out"):
        list(wrap([{"image": image, "label": None}]))
    with server.client() as client, pytest.raises(ValueError, match="label is None; leave it out"):
        client.augment({"image": image.numpy(), "label": None, "index": np.arange(2)})


def test_a_view_is_one_number(wrap, server):
    with pytest.raises(ValueError, match="view must be an integer"):
        wrap([], view=[0, 1])
    with server.client() as client:
        stream = client.stream({"dataset": "digits/train"})
        for view in ([0, 1], 256, -1, True):
            with pytest.raises(ValueError, match="view must be an integer"):
                stream.batch(0, 0, 1, view)
