"""A user's DataLoader, augmented in transit: the result depends on the indices alone, not on batches, ranks or workers."""

import gc
import itertools
import json
import logging
import multiprocessing
import threading
import weakref
from contextlib import ExitStack

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from augsvc_client import (
    AugmentingDataLoader,
    AugsvcError,
    Client,
    RequestRefused,
    ServerUnavailable,
    StateMismatch,
    StreamChanged,
)

N = 22
FIELDS = ("image", "mask", "label")
DRAWS = {"pipeline": "strong", "aug_seed": 7}


class Pets(Dataset):
    """A user's images and masks, as a tuple, or with an id as a dict."""

    def __init__(self, *, named=False, n=N):
        rng = np.random.default_rng(0)
        self.images = torch.from_numpy(rng.integers(0, 256, (n, 14, 12, 3), dtype=np.uint8))
        self.masks = torch.from_numpy(rng.integers(0, 4, (n, 14, 12), dtype=np.uint8))
        self.named = named

    def __len__(self):
        return len(self.images)

    def __getitem__(self, at):
        image, mask, label = self.images[at], self.masks[at], at % 5
        if not self.named:
            return image, mask, label
        return {"image": image, "mask": mask, "label": label, "id": at, "path": f"pets/{at}.png"}


@pytest.fixture
def make(server):
    """Wraps loaders with the shared server, and closes them."""
    with ExitStack() as stack:

        def build(loader, urls=None, **more):
            arguments = {"fields": FIELDS, "scale": None, "prefetch": 2, "wait_s": 60, **DRAWS, **more}
            return stack.enter_context(AugmentingDataLoader(loader, urls or server.url, **arguments))

        yield build


@pytest.fixture(scope="module")
def whole(server):
    """What Client.augment makes of all samples in epochs 0 and 1, by index."""
    pets = Pets()
    tensors = {"image": pets.images, "mask": pets.masks, "label": torch.arange(N) % 5, "index": torch.arange(N)}
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    with server.client() as client:
        return [client.augment(arrays, epoch=epoch, **DRAWS).arrays for epoch in (0, 1)]


def loader_of(batch_size=4, **more):
    return DataLoader(Pets(), batch_size=batch_size, **more)


def training_loader():
    """One in order whose sampler is not known to be unshuffled, so that it continues after a break."""
    return loader_of(sampler=range(N))


def ids(batches):
    return [int(index) for batch in batches for index in batch["index"]]


def assert_whole(batches, whole, order=None):
    """These samples, in this order, in the bytes that Client.augment gives."""
    order = list(range(N)) if order is None else order
    assert ids(batches) == order
    for name, array in whole.items():
        assert np.array_equal(np.concatenate([batch[name].numpy() for batch in batches]), array[order]), name


# --- what comes back


def test_twenty_lines_of_training_with_masks(server):
    torch.manual_seed(0)
    data = DataLoader(Pets(), batch_size=8, shuffle=True)
    model = torch.nn.Conv2d(3, 4, 3, padding=1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    with AugmentingDataLoader(data, server.url, fields=FIELDS, pipeline="standard", size=(16, 16)) as loader:
        for _epoch in range(2):
            for batch in loader:
                assert batch["image"].shape[1:] == (3, 16, 16)
                assert batch["mask"].shape[1:] == (16, 16)
                target = batch["mask"].long()
                loss = torch.nn.functional.cross_entropy(model(batch["image"]), target, ignore_index=255)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
        assert loader.epoch == 2
    assert len(losses) == 6
    assert all(np.isfinite(losses))


def test_an_epoch_is_what_augment_gives_and_the_next_is_another(make, whole):
    loader = make(loader_of())
    assert len(loader) == 6
    assert_whole(list(loader), whole[0])
    assert (loader.epoch, loader.position) == (1, 0)
    assert_whole(list(loader), whole[1])
    assert not np.array_equal(whole[0]["image"], whole[1]["image"])


def test_the_image_is_scaled_as_by_the_other_loader(make, whole):
    for scale in ((-1.0, 1.0), (0.0, 1.0)):
        image = next(iter(make(loader_of(), scale=scale)))["image"]
        assert image.dtype == torch.float32
        low, high = scale
        wanted = torch.from_numpy(whole[0]["image"][:4]).float() / 255 * (high - low) + low
        torch.testing.assert_close(image, wanted)
    assert next(iter(make(loader_of(), scale=None)))["image"].dtype == torch.uint8


def test_labels_move_with_the_pixels(server, make):
    with server.client() as client:
        plain = client.stream({"dataset": "shapes/train", "shuffle": False, "output": {"layout": "NHWC"}})
        arrays = plain.batch(0, 0, 10)
        arrays.pop("valid")
        wanted = client.augment(arrays, size=(48, 40), **DRAWS).arrays
    assert {"mask", "boxes", "box_labels", "boxes_valid", "keypoints", "keypoints_valid"} <= arrays.keys()
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    parts = [{name: tensor[at : at + 4] for name, tensor in tensors.items()} for at in (0, 4, 8)]
    found = list(make(parts, index_key="index", size=(48, 40)))
    for name, array in wanted.items():
        assert np.array_equal(torch.cat([batch[name] for batch in found]).numpy(), array), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_float_images_are_rounded(make, whole, dtype):
    pets = Pets()
    batch = (pets.images.to(dtype) / 255, pets.masks.long(), torch.arange(N) % 5)
    assert_whole(list(make([batch])), whole[0])


def test_torchs_usual_order_of_axes(make, whole):
    pets = Pets()
    batch = [pets.images.permute(0, 3, 1, 2) / 255.0, pets.masks, torch.arange(N) % 5]
    assert_whole(list(make([batch], layout="NCHW")), whole[0])
    with pytest.raises(ValueError, match="NCHW"):
        list(make([batch]))


def test_fields_that_the_service_does_not_know_are_handed_through(make, whole):
    batches = list(make(DataLoader(Pets(named=True), batch_size=5), index_key="id"))
    assert_whole(batches, whole[0])
    assert [path for batch in batches for path in batch["path"]] == [f"pets/{at}.png" for at in range(N)]
    assert torch.equal(torch.cat([batch["id"] for batch in batches]), torch.arange(N))


def test_a_yielded_batch_belongs_to_the_caller_and_the_pulled_one_to_the_loader(make, whole):
    pets = Pets()
    buffer = torch.empty(2, 14, 12, 3, dtype=torch.uint8)

    def reusing():
        for at in range(0, N, 2):
            buffer.copy_(pets.images[at : at + 2])
            yield {"image": buffer, "mask": pets.masks[at : at + 2], "label": torch.arange(at, at + 2) % 5}

    batches = []
    for batch in make(reusing(), prefetch=5):
        batches.append({name: tensor.clone() for name, tensor in batch.items()})
        for tensor in batch.values():
            tensor.zero_()
    assert_whole(batches, whole[0])


# --- indices


@pytest.mark.parametrize(("batch_size", "workers", "prefetch"), [(1, 0, 4), (3, 2, 1), (7, 1, 3), (N, 0, 2)])
def test_batch_sizes_and_workers_change_nothing(make, whole, batch_size, workers, prefetch):
    loader = make(loader_of(batch_size, num_workers=workers), prefetch=prefetch)
    assert_whole(list(loader), whole[0])


def test_order_changes_nothing_where_the_index_is_the_callers(make, whole):
    order = torch.randperm(N, generator=torch.Generator().manual_seed(1)).tolist()
    data = DataLoader(Pets(named=True), batch_size=6, sampler=order)
    assert_whole(list(make(data, index_key="id")), whole[0], order)


def test_an_index_given_twice_is_refused(make):
    data = DataLoader(Pets(named=True), batch_size=4, sampler=[3, 1, 4, 1])
    with pytest.raises(RequestRefused) as refused:
        list(make(data, index_key="id"))
    assert refused.value.code == "duplicate_index"


def ranks_of(make, world_size, batch_size=4, **more):
    pets, found = Pets(**more), []
    for rank in range(world_size):
        sampler = DistributedSampler(pets, world_size, rank, shuffle=False, drop_last=True)
        data = DataLoader(pets, batch_size=batch_size, sampler=sampler)
        found.append(make(data, rank=rank, world_size=world_size))
    return found


def test_two_ranks_share_no_index_and_give_together_what_one_gives(make, whole):
    parts = [list(loader) for loader in ranks_of(make, 2)]
    seen = [ids(part) for part in parts]
    assert not set(seen[0]) & set(seen[1])
    assert sorted(seen[0] + seen[1]) == list(range(N))
    for part, order in zip(parts, seen, strict=True):
        assert_whole(part, whole[0], order)


def test_another_world_size_goes_on_behind_the_largest_index(make, whole):
    two = ranks_of(make, 2, batch_size=3)
    first = [next(iter(loader)) for loader in two]
    states = [json.loads(json.dumps(loader.state_dict())) for loader in two]
    assert states[0] == states[1]
    assert states[0]["position"] == 6
    one = make(loader_of(3))
    one.load_state_dict(states[0])
    rest = list(one)
    assert sorted(ids(first)) == list(range(6))
    assert_whole(rest, whole[0], list(range(6, N)))


def test_a_world_that_changes_in_mid_epoch_begins_a_new_base(make, monkeypatch):
    loader = make(training_loader())
    assert ids(itertools.islice(loader, 2)) == list(range(8))
    monkeypatch.setattr("augsvc_client.loaders.augmenting.rank_and_world_size", lambda: (1, 2))
    assert ids(loader) == [8 + 1 + 2 * n for n in range(N - 4)]  # of its 22 samples each rank of two has had 4


# --- epochs and resuming


def test_resuming_at_every_step_gives_the_same_tail(make, whole):
    for done in range(7):
        first = make(loader_of())
        seen = list(itertools.islice(first, done))
        second = make(loader_of())
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        assert len(second) == 6 - done
        assert_whole([*seen, *second], whole[0])
        assert second.epoch == 1


def test_break_then_iter_continues(make, whole):
    loader = make(training_loader())
    seen = list(itertools.islice(loader, 2))
    assert (len(loader), loader.position) == (4, 8)
    loader.set_epoch(0)
    seen += list(itertools.islice(loader, 1))
    assert_whole([*seen, *loader], whole[0])
    next(iter(loader))
    loader.set_epoch(0)
    assert_whole(list(loader), whole[0])


def test_who_takes_len_batches_and_never_asks_for_the_end_gets_the_next_epoch_then(make, whole):
    loader = make(loader_of())
    for epoch in range(2):
        steps = iter(loader)
        taken = [next(steps) for _ in range(len(loader))]
        assert ids(taken) == list(range(N))
        assert loader.state_dict()["epoch"] == epoch
    loader.set_epoch(1)
    assert len(loader) == 0
    assert list(loader) == []
    assert loader.epoch == 2


def test_the_epoch_is_passed_on(make):
    sampler = DistributedSampler(Pets(), 1, 0)
    loader = make(DataLoader(Pets(), batch_size=4, sampler=sampler))
    loader.set_epoch(5)
    assert sampler.epoch == 5
    list(loader)
    next(iter(loader))
    assert sampler.epoch == loader.epoch == 6
    other = DistributedSampler(Pets(), 1, 0)
    resumed = make(DataLoader(Pets(), batch_size=4, sampler=other))
    resumed.load_state_dict(loader.state_dict())
    assert other.epoch == 6
    labels = [[batch["label"].tolist() for batch in one] for one in (loader, resumed)]
    assert labels[0] == labels[1]


class Stateful:
    """A loader that knows its own place, and is never walked from its start again."""

    def __init__(self):
        self.at = self.started_at = 0

    def __iter__(self):
        self.started_at = self.at
        for at in range(self.at, N, 2):
            self.at = at + 2
            yield tuple(torch.stack(list(column)) for column in zip(*map(self.sample, (at, at + 1)), strict=True))
        self.at = 0

    @staticmethod
    def sample(at):
        image, mask, label = Pets()[at]
        return image, mask, torch.tensor(label)

    def state_dict(self):
        return {"at": self.at}

    def load_state_dict(self, state):
        self.at = state["at"]


def test_a_resumable_loader_gets_the_position(make, whole):
    first, wrapped = make(Stateful(), prefetch=3), Stateful()
    seen = list(itertools.islice(first, 4))
    state = json.loads(json.dumps(first.state_dict()))
    assert state["loader"] == {"at": 8}  # not as far as it was read ahead
    second = make(wrapped)
    second.load_state_dict(state)
    assert_whole([*seen, *second], whole[0])
    assert wrapped.started_at == 8


def test_a_state_of_something_else_is_refused(make):
    loader = make(loader_of())
    next(iter(loader))
    state = loader.state_dict()
    for change, named in ({"aug_seed": 8}, "aug_seed"), ({"size": (9, 9)}, "size"), ({"pipeline": "light"}, "pipeline"):
        with pytest.raises(StateMismatch, match=named):
            make(loader_of(), **change).load_state_dict(state)
    with pytest.raises(StateMismatch, match="lacks epoch"):
        loader.load_state_dict({key: value for key, value in state.items() if key != "epoch"})
    for change in {"epoch": -1}, {"position": "3"}, {"batches": True}:
        with pytest.raises(StateMismatch, match="epoch, batches and position"):
            loader.load_state_dict({**state, **change})
    other = make(loader_of(3))
    other.load_state_dict(state)
    with pytest.raises(StateMismatch, match="position 4"):
        next(iter(other))


def test_the_arithmetic_of_the_first_answer_is_kept_to(make, monkeypatch):
    expected, augment = [], Client.augment

    def recording(client, tensors, **more):
        expected.append(more["expect_arithmetic"])
        return augment(client, tensors, **more)

    monkeypatch.setattr(Client, "augment", recording)
    loader = make(loader_of(), prefetch=4)
    assert loader.state_dict()["arithmetic"] is None
    assert ids(loader) == list(range(N))
    known = loader.state_dict()["arithmetic"]
    assert expected == [None, *[known] * 5]
    assert len(known) == 32


def test_a_state_of_another_arithmetic(make, whole):
    loader = make(loader_of())
    seen = list(itertools.islice(loader, 2))
    state = {**loader.state_dict(), "arithmetic": "0" * 32}
    with pytest.raises(StateMismatch, match="arithmetic"):
        loader.load_state_dict(state)
    changed = make(loader_of())
    changed.load_state_dict(state)
    with pytest.raises(StreamChanged, match="arithmetic"):
        next(iter(changed))
    accepting = make(loader_of(), accept_arithmetic=True)
    accepting.load_state_dict(state)
    assert_whole([*seen, *accepting], whole[0])


# --- what goes wrong


def test_what_the_wrapped_loader_raises_comes_when_it_is_due(make, whole):
    pets = Pets()
    broken = [True]

    class Breaking:
        def __iter__(self):
            for at in range(0, N, 2):
                if at == 6 and broken:
                    raise OSError("the disk is gone")
                yield pets.images[at : at + 2], pets.masks[at : at + 2], torch.arange(at, at + 2) % 5

    loader = make(Breaking(), prefetch=8)
    running = iter(loader)
    seen = [next(running) for _ in range(3)]
    for _ in range(2):  # and again, as long as the disk is gone
        with pytest.raises(OSError, match="the disk is gone"):
            next(iter(loader))
        assert (loader.epoch, loader.position) == (0, 6)
    broken.clear()
    assert_whole([*seen, *loader], whole[0])


def test_an_interrupt_loses_and_repeats_nothing(make, whole):
    interrupts = [True]

    class Interrupted(Dataset):
        def __len__(self):
            return N

        def __getitem__(self, at):
            if at == 9 and interrupts:
                interrupts.clear()
                raise KeyboardInterrupt
            return Pets()[at]

    loader = make(DataLoader(Interrupted(), batch_size=2, sampler=range(N)))
    seen = []
    with pytest.raises(KeyboardInterrupt):
        for batch in loader:
            seen.append(batch)  # what came before the interrupt counts
    assert_whole([*seen, *loader], whole[0])


IMAGES = torch.zeros(2, 6, 5, 3, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("batch", "more", "message"),
    [
        ((IMAGES,), {}, "fields"),
        (IMAGES, {}, "dict, or a tuple"),
        ({"label": [1, 2]}, {}, "needs 'image'"),
        ({"image": IMAGES}, {"index_key": "id"}, "no 'id'"),
        ({"image": IMAGES, "index": [1, 2]}, {}, "index_key"),
        ({"image": IMAGES - 1.0}, {}, r"from -1 to -1"),
        ({"image": IMAGES.float() + 2}, {}, r"from 2 to 2"),
        ({"image": IMAGES.float() / 0}, {}, r"float in \[0, 1\]"),
        ({"image": IMAGES.int()}, {}, "int32"),
        ({"image": IMAGES[0]}, {}, "shape"),
        ({"image": IMAGES[:0]}, {}, "without samples"),
        ({"image": IMAGES, "mask": torch.full((2, 6, 5), 256)}, {}, "255"),
        ({"image": IMAGES, "mask": torch.zeros(2, 6, 5)}, {}, "mask"),
        ({"image": IMAGES, "boxes": [torch.zeros(1, 4), torch.zeros(2, 4)]}, {}, "padded"),
        ({"image": IMAGES, "box_labels": torch.zeros(2, 1)}, {}, "int64"),
        ({"image": IMAGES, "label": [1]}, {}, "one row for each sample"),
    ],
)
def test_batches_that_cannot_be_sent(make, batch, more, message):
    with pytest.raises(ValueError, match=message):
        list(make([batch], **more))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"layout": "HWC"}, "layout"),
        ({"fields": "image"}, "fields"),
        ({"prefetch": 0}, "prefetch"),
        ({"scale": 1}, "scale"),
        ({"rank": 1}, "rank"),
        ({"size": 9}, "size"),
        ({"pipeline": {"op": "gamma"}}, "pipeline"),
    ],
)
def test_arguments_that_cannot_be_used(make, wrong, message):
    with pytest.raises(ValueError, match=message):
        make([], **wrong)


def test_a_loader_that_can_be_iterated_only_once(make):
    pets = Pets()
    loader = make(iter([(pets.images, pets.masks, torch.arange(N))]))
    assert ids(loader) == list(range(N))
    with pytest.raises(ValueError, match="only once"):
        list(loader)


@pytest.mark.slow
def test_a_replica_killed_and_restarted_in_mid_epoch(serve, make, whole):
    replica, logged = serve().ready(), threading.Event()

    class Listener(logging.Handler):
        def emit(self, record):
            logged.set()

    listener = Listener()
    logging.getLogger("augsvc_client").addHandler(listener)
    try:
        loader = make(loader_of(2), replica.url, wait_s=120)
        running = iter(loader)
        batches = [next(running) for _ in range(4)]
        replica.kill()
        starter = threading.Thread(target=lambda: logged.wait(60) and replica.begin())
        starter.start()
        batches += running
        starter.join()
    finally:
        logging.getLogger("augsvc_client").removeHandler(listener)
    assert logged.is_set()
    assert_whole(batches, whole[0])


@pytest.mark.slow
def test_a_request_that_failed_is_made_again(serve, make, whole):
    replica = serve().ready()
    loader = make(training_loader(), replica.url, wait_s=1, prefetch=3)
    seen = list(itertools.islice(loader, 1))
    replica.kill()
    with pytest.raises(ServerUnavailable):
        for batch in loader:
            seen.append(batch)
    replica.begin().ready()
    assert_whole([*seen, *loader], whole[0])


# --- processes and ends


def _in_child(loader, queue):
    queue.put(ids(loader))


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # threads and fork: what is tested
def test_built_before_a_fork(make):
    loader = make(training_loader())
    next(iter(loader))
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=_in_child, args=(loader, queue))
    child.start()
    assert queue.get() == list(range(4, N))
    child.join()
    assert ids(loader) == list(range(4, N))


def test_closed_and_forgotten(make, server):
    loader = make(loader_of())
    next(iter(loader))
    loader.close()
    with pytest.raises(AugsvcError, match="closed"):
        list(loader)
    before = set(threading.enumerate())
    forgotten = AugmentingDataLoader(loader_of(), server.url, fields=FIELDS)
    next(iter(forgotten))
    threads = [one for one in threading.enumerate() if one.name.startswith("augsvc-prefetch") and one not in before]
    gone = weakref.ref(forgotten)
    del forgotten
    gc.collect()
    assert gone() is None
    assert threads
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
