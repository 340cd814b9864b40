"""A wrapped loader's order in epochs and after a resume, its state, and what cannot be wrapped."""

import itertools
import json
import pickle
import random
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from augsvc_client import AugmentingDataLoader, AugsvcError, StateMismatch
from augsvc_client.loaders.wrapped import WrappedLoader

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


UNSHUFFLED = {
    "sequential": lambda: DataLoader(Images(), 4),
    "workers": lambda: DataLoader(Images(), 4, num_workers=1, persistent_workers=True),
    "batch sampler": lambda: DataLoader(Images(), batch_sampler=BatchSampler(SequentialSampler(Images()), 4, False)),
    "distributed": lambda: DataLoader(Images(), 4, sampler=DistributedSampler(Images(), 1, 0, shuffle=False)),
}


@pytest.mark.parametrize("kind", UNSHUFFLED)
def test_each_pass_of_an_unshuffled_loader_is_whole(wrap, kind):
    loader = wrap(UNSHUFFLED[kind]())
    next(iter(loader))
    assert len(loader) == 5
    loader.set_epoch(0)
    assert ids(loader) == list(range(N))
    assert loader.epoch == 1
    for batch in loader:
        if 8 in batch["id"]:
            break
    assert ids(loader) == list(range(N))
    steps = iter(loader)
    assert ids(next(steps) for _ in range(len(loader))) == list(range(N))
    assert ids(loader) == list(range(N))
    assert loader.epoch == 4


def test_an_unshuffled_loader_continues_once_where_a_state_was_taken(wrap):
    first = wrap(DataLoader(Images(), 4))
    seen = ids(itertools.islice(first, 2))
    second = wrap(DataLoader(Images(), 4))
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert len(second) == 3
    assert seen + ids(itertools.islice(second, 2)) == list(range(16))
    assert len(second) == 5
    assert ids(second) == list(range(N))


@pytest.mark.parametrize("loader", [list(DataLoader(Images(), 4)), DataLoader(Images(), 4, sampler=range(N))])
def test_a_loader_of_unknown_order_continues_after_a_break(wrap, loader):
    loader = wrap(loader)
    assert ids(itertools.islice(loader, 2)) + ids(loader) == list(range(N))


LISTS = [list(range(start, start + 4)) for start in range(0, N, 4)]


@pytest.mark.parametrize("order", [{"shuffle": True, "batch_size": 4}, {"batch_sampler": SubsetRandomSampler(LISTS)}])
def test_a_shuffled_loader_continues_after_a_break(wrap, order):
    loader = wrap(DataLoader(Images(), **order))
    seen = ids(itertools.islice(loader, 2))
    assert len(loader) == 3
    assert sorted(seen + ids(loader)) == list(range(N))


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


def test_a_state_from_before_the_first_batch_holds_the_order(wrap):
    first, second = wrap(SHUFFLED["subset"]()), wrap(SHUFFLED["subset"]())
    state = json.loads(json.dumps(first.state_dict()))
    second.load_state_dict(state)
    assert ids(second) == ids(first)
    assert first.state_dict()["order_seed"] == state["order_seed"]


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


class Buckets(BatchSampler):
    """Shuffles whole batches, over a sampler whose order is fixed."""

    def __iter__(self):
        return iter(random.sample(list(super().__iter__()), len(self)))


class SeededBuckets(Buckets):
    def set_epoch(self, epoch):
        self.epoch = epoch

    def __iter__(self):
        return iter(random.Random(self.epoch).sample(list(BatchSampler.__iter__(self)), len(self)))


class Deaf(Shuffling):
    def set_epoch(self, epoch):
        """Changes nothing."""


@pytest.mark.parametrize(
    "build",
    [
        lambda: DataLoader(Images(), batch_sampler=Buckets(SequentialSampler(Images()), 4, False)),
        lambda: DataLoader(Images(), batch_sampler=Buckets(RandomSampler(Images()), 4, False)),
        lambda: DataLoader(Images(), 4, sampler=Deaf(lambda: random.sample(range(N), N))),
        lambda: DataLoader(Images(), batch_sampler=BatchSampler(Shuffling(lambda: np.random.permutation(N).tolist()), 4, False)),
    ],
    ids=["buckets", "random buckets", "deaf", "inside a batch sampler"],
)  # fmt: skip
def test_any_sampler_is_judged_by_its_order(wrap, build, caplog):
    first, second = wrap(build()), wrap(build())
    assert len(set(ids(first))) == N
    assert "set_epoch" in caplog.text
    next(iter(first))
    second.load_state_dict(first.state_dict())
    with pytest.raises(StateMismatch, match="set_epoch"):
        next(iter(second))


def test_a_short_shuffled_order_is_not_taken_for_a_fixed_one():
    for seed in range(40):  # of three batches, every sixth order equals the one before
        random.seed(seed)
        loader = DataLoader(Images(), batch_sampler=Buckets(SequentialSampler(Images()), 8, False))
        with pytest.raises(StateMismatch, match="set_epoch"):
            WrappedLoader(loader).begin(0, None, resumed=True)


class Stream(IterableDataset):
    """Shuffles, by a global generator or by `set_epoch` as Hugging Face's do."""

    def __init__(self, seeded):
        self.seeded, self.epoch = seeded, 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __iter__(self):
        draw = random.Random(self.epoch) if self.seeded else random
        return (Images()[index] for index in draw.sample(range(N), N))


class Loader:
    """A loader of the user's, in batches of `size`."""

    def __init__(self, seeded, size=4):
        self.stream, self.size = Stream(seeded), size

    def __iter__(self):
        return iter(DataLoader(self.stream, self.size))

    def set_epoch(self, epoch):
        self.stream.set_epoch(epoch)


class Reshuffled(Images):
    """Another order for each object, though each read is the same."""

    def __init__(self):
        self.order = random.sample(range(N), N)

    def __getitem__(self, index):
        return super().__getitem__(self.order[index])


class Shuffler(DataLoader):
    def __iter__(self):
        return iter(random.sample(list(super().__iter__()), len(self)))


UNSEEDED = {
    "stream": (lambda: DataLoader(Stream(False), 4), {}),
    "loader": (lambda: Loader(False), {}),
    "list": (lambda: list(DataLoader(Images(), 4, shuffle=True)), {}),
    "subclass": (lambda: Shuffler(Images(), 4), {}),
    "indexed": (lambda: Loader(False), {"index_key": "id"}),
    "dataset": (lambda: DataLoader(Reshuffled(), 4), {"index_key": "id"}),
}


@pytest.mark.parametrize("kind", UNSEEDED)
def test_a_loader_that_gives_other_samples_is_refused_when_resumed(wrap, kind):
    build, more = UNSEEDED[kind]
    first, second = wrap(build(), **more), wrap(build(), **more)
    list(itertools.islice(first, 3))
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    with pytest.raises(StateMismatch, match="other samples"):
        next(iter(second))


SEEDED = {
    "stream": lambda size: DataLoader(Stream(True), size),
    "workers": lambda size: DataLoader(Stream(True), size, num_workers=1),
    "subset": lambda size: DataLoader(torch.utils.data.ChainDataset([Stream(True)]), size),
    "loader": lambda size: Loader(True, size),
    "buckets": lambda size: DataLoader(Images(), batch_sampler=SeededBuckets(SequentialSampler(Images()), size, False)),
}


@pytest.mark.parametrize("kind", SEEDED)
def test_a_dataset_and_a_loader_follow_the_epoch(wrap, kind):
    first, second = (wrap(SEEDED[kind](4)) for _ in range(2))
    orders = [ids(first) for _ in range(2)]
    assert orders[0] != orders[1]
    seen = ids(itertools.islice(first, 3))
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    rest = ids(second)
    assert sorted(seen + rest) == list(range(N))
    assert ids(second) == ids(wrap_at(first, 3))


def wrap_at(loader, epoch):
    loader.set_epoch(epoch)
    return loader


def test_samples_are_compared_in_batches_of_any_size_and_by_their_own_rank(wrap):
    first = wrap(Loader(True))
    seen = ids(itertools.islice(first, 2))
    state = json.loads(json.dumps(first.state_dict()))
    other = wrap(Loader(True, 2))
    other.load_state_dict(state)
    assert sorted(seen + ids(other)) == list(range(N))
    rank = wrap(Loader(False), rank=1, world_size=2)
    rank.load_state_dict({**state, "position": 8})  # another rank's samples
    next(iter(rank))
    damaged = wrap(Loader(True))
    with pytest.raises(StateMismatch, match="damaged"):
        damaged.load_state_dict({**state, "samples": {"value": 3}})


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


class Holding(Stateful):
    """A loader whose state holds this, too."""

    def __init__(self, held):
        super().__init__()
        self.held = held

    def state_dict(self):
        return {**super().state_dict(), "held": self.held}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.restored = state["held"]


def test_sets_paths_and_tensors_of_any_type_are_saved(wrap):
    held = {"seen": {3, 1}, "frozen": frozenset("ab"), "path": Path("a") / "b", "half": torch.ones(2, 3).bfloat16() / 3}
    first, second = wrap(Holding(held)), wrap(copying := Holding({}))
    seen = ids(itertools.islice(first, 2))
    second.load_state_dict(json.loads(json.dumps(first.state_dict(), allow_nan=False)))
    assert seen + ids(second) == list(range(N))
    assert torch.equal(copying.restored.pop("half"), held.pop("half"))
    assert copying.restored == held


def test_a_state_that_is_never_saved_may_hold_anything(wrap):
    loader = wrap(Holding(object()))
    next(iter(loader))
    with pytest.raises(TypeError, match="holds a object"):
        loader.state_dict()
    assert len(ids(loader)) == N - 4


def test_a_used_loader_can_be_sent_to_a_spawned_process(wrap):
    loader = wrap(DataLoader(Images(), 4, sampler=range(N)))
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
