"""An epoch is a permutation that ranks divide without loss or repetition, whatever changes on the way (law L3)."""

import json
from contextlib import ExitStack

import numpy as np
import pytest

from augsvc_client import RemoteDataLoader

SPEC = {"dataset": "digits/train", "subset": {"per_class": 2, "seed": 4}, "order_seed": 5, "pipeline": "light"}
N = 20


@pytest.fixture
def make(server):
    """Builds loaders on the shared server, and closes them."""
    with ExitStack() as stack:

        def build(**more):
            arguments = {**SPEC, "batch_size": 3, "scale": None, "prefetch": 2, "wait_s": 60, **more}
            return stack.enter_context(RemoteDataLoader(server.url, **arguments))

        yield build


def indices(server, spec, epoch=0):
    stream = server.open(spec)
    return server.batch(stream, epoch, 0, stream["samples"]).arrays["index"].tolist()


def ids(batches):
    return [int(index) for batch in batches for index in batch["index"]]


def joined(batches, key="image"):
    return np.concatenate([batch[key].numpy() for batch in batches])


# --- the order


@pytest.mark.parametrize("dataset", ["digits/test", "shapes/test", "photos/test", "pets"])
def test_an_epoch_is_a_permutation_of_the_dataset(server, dataset):
    spec = {"dataset": dataset, "size": [4, 4]}
    seen = [indices(server, spec, epoch) for epoch in (0, 1, (1 << 24) - 1)]
    everything = list(range(len(seen[0])))
    assert all(sorted(epoch) == everything for epoch in seen)
    assert len({tuple(epoch) for epoch in seen}) == 3
    assert indices(server, {**spec, "order_seed": 1}) != seen[0]
    assert indices(server, {**spec, "aug_seed": 1, "pipeline": "light"}) == seen[0]
    for epoch in (0, 1):
        assert indices(server, {**spec, "shuffle": False}, epoch) == everything


@pytest.mark.parametrize("per_class", [1, 7])
def test_an_epoch_of_a_subset_is_a_permutation_of_it(server, per_class):
    spec = {"dataset": "digits/train", "subset": {"per_class": per_class, "seed": 2}}
    stream = server.open(spec)
    assert stream["samples"] == 10 * per_class
    arrays = server.batch(stream, 0, 0, stream["samples"]).arrays
    assert np.bincount(arrays["label"]).tolist() == [per_class] * 10
    members = sorted(arrays["index"].tolist())
    assert len(set(members)) == 10 * per_class
    assert sorted(indices(server, {**spec, "order_seed": 9}, 3)) == members
    assert indices(server, {**spec, "shuffle": False}) == members
    assert sorted(indices(server, {**spec, "subset": {"per_class": per_class, "seed": 3}})) != members
    if per_class > 1:  # smaller ones are parts of larger ones
        assert set(indices(server, {**spec, "subset": {"per_class": 1, "seed": 2}})) < set(members)


# --- ranks


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
def test_ranks_are_disjoint_and_complete(server, make, world_size, drop_last):
    order = indices(server, SPEC)
    step = world_size * 2
    loaders = [make(rank=r, world_size=world_size, batch_size=2, drop_last=drop_last) for r in range(world_size)]
    seen = []
    steps = len(loaders[0])
    assert {len(loader) for loader in loaders} == {steps} == {N // step if drop_last else -(-N // step)}
    for number, parts in enumerate(zip(*loaders, strict=True)):
        found = ids(parts)
        assert found == order[number * step : (number + 1) * step]
        sizes = [len(part["index"]) for part in parts]
        assert sizes == sorted(sizes, reverse=True)
        assert max(sizes) - min(sizes) <= 1
        seen += found
    assert seen == order[: steps * step]
    assert {(loader.epoch, loader.position) for loader in loaders} == {(1, 0)}


def test_world_and_batch_size_may_change_at_every_step(server, make):
    order = indices(server, SPEC, 1)
    whole = server.batch(server.open(SPEC), 1, 0, N).arrays
    loader = make()
    loader.set_epoch(1)
    state = loader.state_dict()
    seen, images = [], []
    for world_size, batch_size, steps in ((1, 3, 1), (2, 2, 2), (3, 1, 1), (1, 1, 1), (8, 1, 9)):
        loaders = [
            make(rank=rank, world_size=world_size, batch_size=batch_size, drop_last=False) for rank in range(world_size)
        ]
        for loader in loaders:
            loader.load_state_dict(json.loads(json.dumps(state)))
        for number, parts in enumerate(zip(*loaders, strict=True), start=1):
            seen += ids(parts)
            images += [part["image"].numpy() for part in parts]
            states = [loader.state_dict() for loader in loaders]
            assert all(one == states[0] for one in states)
            state = states[0]
            if number == steps:
                break
    assert seen == order
    assert np.array_equal(np.concatenate(images), whole["image"])


# --- resuming


@pytest.mark.parametrize("shuffle", [True, False])
def test_resuming_at_every_step_gives_the_same_tail(make, shuffle):
    undisturbed = list(make(drop_last=False, shuffle=shuffle))
    assert len(undisturbed) == 7
    for done in range(len(undisturbed) + 1):
        first = make(drop_last=False, shuffle=shuffle)
        running = iter(first)
        for _ in range(done):
            next(running)
        state = json.loads(json.dumps(first.state_dict()))
        assert (state["epoch"], state["position"]) == (0, min(done * 3, N))
        second = make(drop_last=False, shuffle=shuffle)
        second.load_state_dict(state)
        tail = list(second)
        assert len(tail) == len(undisturbed) - done
        for ours, theirs in zip(tail, undisturbed[done:], strict=True):
            assert ours.keys() == theirs.keys()
            assert all(np.array_equal(ours[key].numpy(), theirs[key].numpy()) for key in ours)
        if done < len(undisturbed):  # on another world size too, and with another batch size
            ranks = [make(rank=r, world_size=2, batch_size=4, drop_last=False, shuffle=shuffle) for r in range(2)]
            for rank in ranks:
                rank.load_state_dict(state)
            spread = [part for parts in zip(*ranks, strict=True) for part in parts]
            assert ids(spread) == ids(undisturbed[done:])
            assert np.array_equal(joined(spread), joined(undisturbed[done:]))


def test_epochs_follow_one_another(server, make):
    loader = make(batch_size=10)
    seen = [ids(loader) for _ in range(3)]
    assert seen == [indices(server, SPEC, epoch) for epoch in range(3)]
    assert (loader.epoch, loader.position) == (3, 0)


def test_there_are_2_to_the_24_epochs(server):
    stream = server.open(SPEC)
    assert server.batch(stream, (1 << 24) - 1, N - 1, 1).status == 200
    server.batch(stream, 1 << 24, 0, 1).refused(422, "spec_invalid")
