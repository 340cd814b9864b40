"""The loader: nothing lost and nothing repeated, whatever stops, resumes, changes or dies on the way."""

import gc
import itertools
import json
import multiprocessing
import pickle
import threading
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from replica import Replica, expected, order

from augsvc_client import AugsvcError, RemoteDataLoader, ServerUnavailable, StateMismatch, StreamChanged
from augsvc_client.loaders.shares import Address, Shares

SPEC = {"dataset": "digits/train", "shuffle": True, "order_seed": 0}
N = 20


@pytest.fixture
def replica():
    with Replica(samples=N) as running:
        yield running


@pytest.fixture
def make(replica):
    """Builds loaders on the replica, and closes them."""
    made = []

    def build(urls=None, **more):
        arguments = {"dataset": "digits/train", "batch_size": 3, "wait_s": 60, **more}
        made.append(RemoteDataLoader(urls or replica.url, **arguments))
        return made[-1]

    yield build
    for loader in made:
        loader.close()


def indices(batches):
    return [int(index) for batch in batches for index in batch["index"]]


def wanted(epoch=0, start=0, stop=N):
    return [int(index) for index in order(SPEC, epoch, N)[start:stop]]


# --- one epoch


def test_a_server_that_is_well_again_is_asked_again(make, replica, impatient):
    """What failed while the trainer was busy elsewhere says nothing of now."""
    loader = make(prefetch=2)
    steps = iter(loader)
    taken = [next(steps)]
    window = loader._prefetcher()._window
    assert all(future.result() for _, future in window)
    replica.always = "500"
    taken.append(next(steps))
    assert isinstance([future.exception() for _, future in window][-1], ServerUnavailable)
    replica.always = None
    assert indices([*taken, *steps]) == wanted(0, 0, 18)


def test_a_server_that_is_still_away_is_unavailable(make, replica, impatient):
    loader = make(prefetch=2)
    steps = iter(loader)
    next(steps)
    assert all(future.result() for _, future in loader._prefetcher()._window)
    replica.always = "500"
    next(steps)
    with pytest.raises(ServerUnavailable) as failed:
        list(steps)
    assert len(failed.value.__notes__) == 1


def test_who_takes_len_batches_and_never_asks_for_the_end_gets_the_next_epoch_then(make):
    loader = make()
    for epoch in range(3):
        steps = iter(loader)
        taken = [next(steps) for _ in range(len(loader))]
        assert indices(taken) == wanted(epoch, 0, 18)
        assert (loader.epoch_steps, loader.state_dict()["epoch"]) == (6, epoch)


def test_an_epoch_handed_out_and_named_again_is_over(make):
    loader = make()
    steps = iter(loader)
    for _ in range(len(loader)):
        next(steps)
    loader.set_epoch(0)
    assert len(loader) == 0
    assert list(loader) == []
    assert loader.epoch == 1


def test_batches_are_tensors_on_the_device_scaled_and_in_order(make):
    loader = make()
    batches = list(loader)
    assert len(batches) == 6
    for step, batch in enumerate(batches):
        arrays = expected(SPEC, 0, 3 * step, 3, N)
        image = torch.from_numpy(arrays["image"]).float() / 255 * 2 - 1
        assert batch["image"].dtype == torch.float32
        torch.testing.assert_close(batch["image"], image)
        for name in ("label", "index", "valid"):
            assert torch.equal(batch[name], torch.from_numpy(arrays[name]))
            assert batch[name].device.type == "cpu"
    assert (loader.batches, loader.epoch, loader.position) == (6, 1, 0)
    assert loader.wait_s_total > 0


@pytest.mark.parametrize(("scale", "low", "high"), [((-1.0, 1.0), -1.0, 1.0), ((0.0, 1.0), 0.0, 1.0)])
def test_the_ends_of_the_scale_are_met_exactly(make, scale, low, high):
    images = torch.cat([batch["image"] for batch in make(scale=scale)])
    raw = torch.cat([batch["image"] for batch in make(scale=None)])
    assert raw.dtype == torch.uint8
    assert images[raw == 255].eq(high).all()
    assert images[raw == 0].eq(low).all()
    assert images.min() >= low
    assert images.max() <= high


def test_a_view_is_another_draw(make):
    image = next(iter(make(view=2, scale=None)))["image"]
    assert np.array_equal(image.numpy(), expected(SPEC, 0, 0, 3, N, view=2)["image"])


def test_a_yielded_batch_belongs_to_the_caller(make):
    first = list(make(scale=None))
    for batch in make(scale=None):
        for tensor in batch.values():
            tensor.zero_()
    again = list(make(scale=None))
    for left, right in zip(first, again, strict=True):
        assert all(torch.equal(left[name], right[name]) for name in left)


def test_a_kept_label_does_not_keep_the_images(make):
    batch = next(iter(make(scale=None)))
    assert batch["label"].untyped_storage().nbytes() == 24
    assert batch["label"].numpy().base is None or batch["label"].numpy().base.nbytes <= 24


def test_the_specification_that_is_sent(make, replica):
    loader = make(pipeline=[{"op": "rotation", "degrees": 5}], size=(4, 4), order_seed=3, aug_seed=4)
    sent = loader.stream.spec
    assert sent["size"] == [4, 4]
    assert sent["pipeline"] == [{"op": "rotation", "degrees": 5}]
    assert (sent["order_seed"], sent["aug_seed"], sent["fit"], sent["shuffle"]) == (3, 4, "cover", True)
    assert not {"channels", "subset", "output"} & sent.keys()


def test_nothing_is_asked_before_it_is_needed(make, replica):
    loader = make()
    loader.set_epoch(3)
    assert not replica.requests
    assert loader.id == loader.stream.id
    assert len(replica.requests) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 0},
        {"prefetch": 0},
        {"rank": 1},
        {"world_size": 2},
        {"rank": 2, "world_size": 2},
        {"rank": -1, "world_size": 1},
    ],
)
def test_arguments_that_cannot_be_used(make, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        make(**wrong)


# --- epochs


def test_exhaustion_goes_on_to_the_next_epoch(make):
    loader = make(batch_size=5)
    assert [indices(loader) for _ in range(3)] == [wanted(0), wanted(1), wanted(2)]


def test_break_then_iter_continues(make):
    loader = make(batch_size=4)
    seen = indices(itertools.islice(loader, 2))
    assert (loader.position, len(loader)) == (8, 3)
    assert seen + indices(loader) == wanted(0)


def test_set_epoch_keeps_the_position_iff_it_is_the_current_one(make):
    loader = make(batch_size=4)
    next(iter(loader))
    loader.set_epoch(0)
    assert loader.position == 4
    loader.set_epoch(2)
    assert (loader.epoch, loader.position) == (2, 0)
    loader.set_epoch(0)
    assert indices(loader) == wanted(0)
    with pytest.raises(ValueError, match="epoch"):
        loader.set_epoch(-1)


def test_an_older_iterator_ends_when_the_epoch_changes(make):
    loader = make(batch_size=4)
    older = iter(loader)
    next(older)
    loader.set_epoch(1)
    assert list(older) == []
    assert (loader.epoch, loader.position) == (1, 0)


def test_a_batch_that_is_larger_than_the_dataset_is_an_error(make):
    with pytest.raises(ValueError, match="drop_last=False"):
        iter(make(batch_size=N + 1))
    with pytest.raises(ValueError, match="20 samples has no whole step of 3 × 7"):
        len(make(batch_size=7, rank=0, world_size=3))


# --- ranks


@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
@pytest.mark.parametrize("drop_last", [True, False])
def test_ranks_are_disjoint_and_complete(make, world_size, drop_last):
    loaders = [make(batch_size=2, rank=rank, world_size=world_size, drop_last=drop_last) for rank in range(world_size)]
    steps = [len(loader) for loader in loaders]
    parts = [list(loader) for loader in loaders]
    assert steps == [len(part) for part in parts]
    assert len(set(steps)) == 1
    seen = [index for step in zip(*parts, strict=True) for index in indices(step)]
    whole = N // (2 * world_size) * 2 * world_size if drop_last else N
    assert seen == wanted(0, 0, whole)


def test_the_last_step_gives_larger_parts_to_lower_ranks_and_empty_ones_have_no_rows(make):
    loaders = [make(batch_size=3, rank=rank, world_size=6, drop_last=False, shuffle=False) for rank in range(6)]
    tails = [list(loader)[-1] for loader in loaders]  # 20 = 18 + 2
    assert [len(tail["index"]) for tail in tails] == [1, 1, 0, 0, 0, 0]
    assert tails[5]["image"].shape == (0, 3, 4, 4)
    assert {name: tensor.dtype for name, tensor in tails[5].items()} == {
        "image": torch.float32,
        "label": torch.int64,
        "index": torch.int64,
        "valid": torch.bool,
    }
    assert [loader.epoch for loader in loaders] == [1] * 6


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 7), st.integers(1, 9), st.data())
def test_shares_partition_every_step(samples, batch_size, world_size, data):
    position = data.draw(st.integers(0, samples))
    ranks = [Shares(samples, batch_size, rank, world_size, False) for rank in range(world_size)]
    for _ in range(ranks[0].steps_left(position)):
        parts = [share.own_range(position) for share in ranks]
        after = ranks[0].next_position(position)
        assert [place for start, n in parts for place in range(start, start + n)] == list(range(position, after))
        sizes = [n for _, n in parts]
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[0] - sizes[-1] <= 1
        position = after
    assert position == samples


def test_ranks_default_to_torch_distributed(make, monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    assert indices(itertools.islice(make(batch_size=4), 1)) == wanted(0, 4, 8)


# --- resume


def test_resume_at_every_step_gives_the_same_tail_on_any_world(make):
    whole = make(batch_size=2, drop_last=False)
    states = [whole.state_dict()]
    for _ in whole:
        states.append(whole.state_dict())
    assert [state["position"] for state in states] == list(range(0, N + 1, 2))
    for state, world_size in itertools.product(states, (1, 3)):
        loaders = [make(batch_size=2, rank=rank, world_size=world_size, drop_last=False) for rank in range(world_size)]
        for loader in loaders:
            loader.load_state_dict(json.loads(json.dumps(state)))
        parts = [list(loader) for loader in loaders]
        assert [index for step in zip(*parts, strict=True) for index in indices(step)] == wanted(0, state["position"])
        assert indices(itertools.islice(loaders[0], 1)) == wanted(1, 0, 2)
        for loader in loaders:
            loader.close()


def test_batch_and_world_size_changed_in_mid_epoch(make):
    seen = []
    state = make().state_dict()
    for batch_size, world_size in ((3, 1), (1, 4), (2, 2)):
        loaders = [
            make(batch_size=batch_size, rank=rank, world_size=world_size, drop_last=False) for rank in range(world_size)
        ]
        for loader in loaders:
            loader.load_state_dict(state)
        iterators = [iter(loader) for loader in loaders]
        for _ in range(2):
            seen += indices(next(iterator) for iterator in iterators)
        state = loaders[-1].state_dict()
    assert state["position"] == len(seen) == 22 - 2
    assert seen == wanted(0)[: len(seen)]


def test_state_counts_what_was_handed_out_not_what_was_fetched(make, replica):
    loader = make(batch_size=2, prefetch=6)
    next(iter(loader))
    assert loader.state_dict()["position"] == 2


def test_the_state_says_what_it_belongs_to(make):
    loader = make()
    state = json.loads(json.dumps(loader.state_dict()))
    assert state == {
        "spec": loader.stream.spec,
        "id": loader.id,
        "dataset_version": "d1",
        "arithmetic": "a1",
        "samples": N,
        "epoch": 0,
        "position": 0,
    }


@pytest.mark.parametrize("more", [{"aug_seed": 1}, {"shuffle": False}, {"pipeline": "light"}, {"size": (8, 8)}])
def test_a_state_of_other_arguments_is_refused(make, more):
    state = make(**more).state_dict()
    with pytest.raises(StateMismatch, match=next(iter(more))):
        make().load_state_dict(state)


def test_a_state_of_another_dataset_or_arithmetic_is_refused(make, replica):
    state = make().state_dict()
    state["position"] = 9
    replica.arithmetic = "a2"
    with pytest.raises(StateMismatch, match=r"arithmetic .a1 in the state, a2 here"):
        make().load_state_dict(state)
    loader = make(accept_arithmetic=True)
    loader.load_state_dict(state)
    assert indices(loader) == wanted(0, 9, 18)
    replica.dataset_version = "d2"
    with pytest.raises(StateMismatch, match="dataset_version"):
        make(accept_arithmetic=True).load_state_dict(state)


@pytest.mark.parametrize(
    "change", [{"position": N + 1}, {"position": "3"}, {"epoch": True}, {"epoch": -1}, {"epoch": 2**24}]
)
def test_a_state_that_is_damaged_is_refused(make, change):
    with pytest.raises(StateMismatch, match=next(iter(change))):
        make().load_state_dict({**make().state_dict(), **change})
    with pytest.raises(StateMismatch, match="lacks epoch"):
        make().load_state_dict({key: value for key, value in make().state_dict().items() if key != "epoch"})
    for nothing in (None, [], 3):
        with pytest.raises(StateMismatch, match="a state is a dict"):
            make().load_state_dict(nothing)


def test_a_pinned_id_that_is_not_served(make):
    with pytest.raises(StreamChanged):
        make(id="0" * 32).stream  # noqa: B018  # the property asks


# --- failures


@pytest.mark.parametrize("fault", ["500", "503", "page", "cut", "corrupt", "garbled", "foreign", "shape", "close"])
def test_bad_answers_in_mid_epoch_change_nothing(make, replica, fault):
    replica.faults.extend([None, fault, None, fault, fault])
    assert indices(make(batch_size=4)) == wanted(0)


def test_a_replica_that_dies_in_mid_epoch_changes_nothing(make, replica):
    with Replica(samples=N) as other:
        loader = make([other.url, replica.url], batch_size=2)
        seen = indices(itertools.islice(loader, 3))
    assert seen + indices(loader) == wanted(0)


def test_a_replica_of_another_arithmetic_is_passed_over(make, replica):
    with Replica(samples=N) as other:
        loader = make([other.url, replica.url], batch_size=4, shuffle=False)
        assert loader.id
        other.arithmetic = "a2"
        assert indices(loader) == list(range(N))
        replica.arithmetic = "a3"
        with pytest.raises(StreamChanged, match=r"arithmetic is a[23], not a1"):
            list(loader)


def test_an_error_names_the_place_and_the_loader_can_go_on(make, replica, impatient):
    loader = make(batch_size=4, wait_s=60, prefetch=1)
    next(iter(loader))
    loader.set_epoch(5)
    replica.always = "500"
    with pytest.raises(ServerUnavailable) as failed:
        next(iter(loader))
    assert failed.value.__notes__ == ["while fetching positions 0 to 3 of epoch 5"]
    replica.always = None
    assert (loader.epoch, loader.position) == (5, 0)
    assert indices(loader) == wanted(5)


def test_close_ends_a_wait(make, replica):
    hanging = threading.Event()
    loader = make(wait_s=600)
    assert loader.id
    replica.always = "429"
    replica.on_request = lambda path: hanging.set()
    errors = []

    def consume():
        try:
            next(iter(loader))
        except AugsvcError as err:
            errors.append(err)

    thread = threading.Thread(target=consume)
    thread.start()
    assert hanging.wait(30)
    loader.close()
    thread.join()
    assert "closed" in str(errors[0])
    with pytest.raises(AugsvcError, match="closed"):
        next(iter(loader))


def test_a_forgotten_loader_ends_its_threads(replica):
    loader = RemoteDataLoader(replica.url, dataset="digits/train", batch_size=2)
    next(iter(loader))
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("augsvc-prefetch")]
    gone = weakref.ref(loader)
    del loader
    gc.collect()
    assert gone() is None
    assert threads
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


# --- prefetch


def test_the_window_runs_on_into_the_next_epoch_and_never_past_an_end(make, replica):
    loader = make(batch_size=N, prefetch=3)
    next(iter(loader))
    loader.close()
    assert {epoch for epoch, _, _ in replica.batches()} <= {0, 1, 2, 3}
    assert all(start + count <= N for _, start, count in replica.batches())


def test_an_evaluation_stream_stops_at_the_end_of_the_epoch(make, replica):
    loader = make(batch_size=8, shuffle=False, drop_last=False, prefetch=4)
    assert indices(loader) == list(range(N))
    assert sorted(replica.batches()) == [(0, 0, 8), (0, 8, 8), (0, 16, 4)]


def test_ahead_goes_through_the_epochs_and_ends_for_a_rank_without_a_share():
    shares = Shares(10, 4, 0, 1, True)
    addresses = list(itertools.islice(shares.upcoming(0, 4, later_epochs=True), 4))
    assert addresses == [Address(0, 4, 4), Address(1, 0, 4), Address(1, 4, 4), Address(2, 0, 4)]
    assert list(shares.upcoming(0, 0, later_epochs=False)) == [Address(0, 0, 4), Address(0, 4, 4)]
    assert list(Shares(1, 4, 7, 8, False).upcoming(0, 0, later_epochs=True)) == []
    assert list(shares.upcoming(2**24 - 1, 4, later_epochs=True)) == [Address(2**24 - 1, 4, 4)]


# --- processes


def consume(loader, queue):
    queue.put(indices(loader))
    loader.close()


@pytest.mark.parametrize("steps", [0, 2])
def test_a_forked_worker_goes_on_where_the_loader_was(make, steps):
    loader = make(batch_size=4)
    seen = indices(itertools.islice(loader, steps))
    forking = multiprocessing.get_context("fork")
    queue = forking.SimpleQueue()
    process = forking.Process(target=consume, args=(loader, queue))
    process.start()
    theirs = queue.get()
    process.join()
    process.close()
    queue.close()
    assert seen + theirs == wanted(0)
    assert seen + indices(loader) == wanted(0)  # and the parent's goes on as if nothing had been


class Stream(torch.utils.data.IterableDataset):
    def __init__(self, loader):
        super().__init__()
        self.loader = loader

    def __iter__(self):
        return iter(self.loader)


def test_in_a_worker_of_a_torch_dataloader_it_is_refused(make, monkeypatch):
    """Every epoch's worker would begin with the same copy of the loader."""
    monkeypatch.setattr(torch.utils.data._utils, "MP_STATUS_CHECK_INTERVAL", 0.1)  # what torch waits for a worker's end
    for workers in (1, 2):
        batches = torch.utils.data.DataLoader(
            Stream(make(batch_size=4, rank=0, world_size=1)), batch_size=None, num_workers=workers,
            multiprocessing_context="fork",
        )  # fmt: skip
        with pytest.raises(AugsvcError, match="iterate it directly"):
            list(batches)
        gc.collect()  # the error's traceback keeps the iterator, which waits for its workers when it goes


def test_in_a_torch_dataloader_without_workers_epochs_move(make):
    loader = make(batch_size=4)
    batches = torch.utils.data.DataLoader(Stream(loader), batch_size=None)
    assert [indices(batches) for _ in range(2)] == [wanted(0), wanted(1)]
    assert loader.epoch == 2


def test_a_torch_dataloader_around_a_loader_is_refused(make):
    with pytest.raises(TypeError, match="iterate it directly"):
        next(iter(torch.utils.data.DataLoader(make(), batch_size=None)))


@pytest.mark.parametrize("use", [len, lambda loader: next(iter(loader)), lambda loader: loader.id])
def test_a_used_loader_can_be_sent_to_a_spawned_process(make, use):
    loader = make(batch_size=4)
    use(loader)
    with pickle.loads(pickle.dumps(loader)) as copy:  # noqa: S301 - of this test
        assert indices(copy) == wanted(0, loader.position)
    assert indices(loader) == wanted(0, 4 if loader.position else 0) or loader.epoch == 1


def test_torchrun_without_a_process_group_is_noticed(make, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "2")
    loader = make()
    for use in (len, iter):
        with pytest.raises(AugsvcError, match="init_process_group"):
            use(loader)
    assert indices(itertools.islice(make(rank=0, world_size=2), 1)) == wanted(0, 0, 3)


# --- evaluation


def test_a_look_at_an_evaluation_does_not_shorten_it(make):
    loader = make(batch_size=8, shuffle=False, drop_last=False)
    next(iter(loader))
    assert len(loader) == 3
    assert indices(loader) == list(range(N))
    steps = iter(loader)
    assert indices(next(steps) for _ in range(len(loader))) == list(range(N))
    assert (len(loader), indices(loader), loader.epoch) == (3, list(range(N)), 3)


def test_an_evaluation_is_resumed_where_its_state_was_taken(make):
    loader, resumed = (make(batch_size=8, shuffle=False, drop_last=False) for _ in range(2))
    next(iter(loader))
    resumed.load_state_dict(loader.state_dict())
    assert len(resumed) == 2
    assert indices(resumed) == list(range(8, N))


# --- arguments


def test_integers_of_numpy_are_integers(make):
    loader = make(batch_size=np.int64(4), rank=np.int32(0), world_size=np.int8(1), prefetch=np.uint8(2),
                  aug_seed=np.int64(3), view=np.int64(1), subset={"per_class": np.int64(5)})  # fmt: skip
    loader.set_epoch(np.int64(1))
    batch = next(iter(loader))
    assert batch["index"].tolist() == wanted(1, 0, 4)
    json.dumps(loader.state_dict())


@pytest.mark.parametrize(
    "wrong",
    [{"batch_size": True}, {"batch_size": np.True_}, {"batch_size": 2.0}, {"batch_size": "4"}, {"batch_size": 0},
     {"view": [0, 1]}, {"view": 256}, {"view": None}, {"prefetch": np.float64(2)}, {"rank": 0.0, "world_size": 1}],
)  # fmt: skip
def test_other_numbers_are_refused_by_name(make, wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be an integer"):
        make(**wrong)
