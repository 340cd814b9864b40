"""A connection cut, reset, throttled, and its bytes changed or left out, wherever in an exchange that is."""

import json
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from augsvc_client import AugmentingDataLoader, AugsvcError, Client, RemoteDataLoader
from augsvc_client.client import retry
from tests.faults.epochs import SOUND, Undisturbed
from tests.faults.proxy import Fault, Plan, Proxy

BATCH = 10
FIRST, MIDDLE, LAST = 0, 30, 50
PLACES = {  # of every class of bytes: first, somewhere, last
    "request": (0, 30, -1),
    "status": (0, 9, -1),
    "header": (0, 20, -1),
    "length": (0, -1),
    "body": (0, 8, 200, -1),
}
BROKEN = [(kind, part, at) for kind in ("cut", "reset") for part, places in PLACES.items() for at in places]
CHANGED = [
    *(("corrupt", "body", at) for at in (0, 7, 8, 100, 5000, -1)),
    *(("corrupt", "length", at) for at in (0, -1)),
    ("corrupt", "status", 9),  # 200 becomes 300
    *(("truncate", "body", at) for at in (0, 1, 8, 1000, -1)),
    ("throttle", "body", 0),
]


def loader_on(*urls, spec, **more):
    arguments = {"batch_size": BATCH, "scale": None, "prefetch": 2, "wait_s": 120, "drop_last": False, **more}
    return RemoteDataLoader(list(urls), **spec, **arguments)


@pytest.mark.usefixtures("impatient")  # a length that is too large waits for bytes that never come
@pytest.mark.parametrize(("kind", "part", "at"), BROKEN + CHANGED)
def test_batches(calm, before, images, kind, part, at):
    """In the first, a middle and the last batch of one epoch, all from one replica."""
    plan = Plan({start: Fault(kind, part, at) for start in (FIRST, MIDDLE, LAST)})
    with loader_on(before(calm, plan).url, spec=images.spec) as loader:
        images.assert_delivered(loader)
    assert not plan.left
    asked_twice = len(plan.asked) - images.samples // BATCH
    assert asked_twice >= (0 if kind == "throttle" else 3)


def frame_place(stream, number, within):
    """Where byte `within` of a frame (u64 length, body, u64 xxh3) is in the answer's body."""
    return number * (16 + stream.layout.size(BATCH)) + within % (16 + stream.layout.size(BATCH))


@pytest.mark.parametrize("kind", ["cut", "reset", "corrupt"])
@pytest.mark.parametrize("within", [0, 7, 8, 20, 4000, -9, -8, -1])
def test_frames(calm, before, images, kind, within):
    """In the first, a middle and the last frame; the bytes are those of the length, the body and the digest."""
    with calm.client() as client:
        stream = client.stream(images.spec)
    # the answer that follows a broken one begins with the frame that is missing
    faults = {
        0: Fault(kind, at=frame_place(stream, 0, within)),
        1: Fault(kind, at=frame_place(stream, 3, within)),
        2: Fault(kind, at=frame_place(stream, 2, within)),
    }
    plan = Plan(faults, by="number")
    with Client(before(calm, plan).url, wait_s=120) as client:
        frames = client.stream(images.spec).frames(0, 0, BATCH, frames=images.samples)
        images.assert_delivered(frames)
    assert [exchange.start for exchange in plan.asked] == [0, 0, 30, 50]


@pytest.fixture
def clock(monkeypatch):
    """The clock of a retry, which a test can advance."""
    later = SimpleNamespace(by_s=0.0)
    monkeypatch.setattr(retry, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + later.by_s))
    return later


@pytest.mark.parametrize("fault", [None, Fault("cut"), Fault("reset")])
def test_who_takes_frames_may_pause_between_them(calm, before, images, clock, fault):
    """For longer than wait_s, which is the time for a frame to come."""
    with calm.client() as client:
        at = frame_place(client.stream(images.spec), 2, 100)
    plan = Plan({} if fault is None else {0: replace(fault, at=at)}, by="number")
    taken = []
    with Client(before(calm, plan).url, wait_s=60) as client:
        for arrays in client.stream(images.spec).frames(0, 0, BATCH, frames=images.samples):
            taken.append(arrays)
            clock.by_s += 61
    images.assert_delivered(taken)
    assert [exchange.start for exchange in plan.asked] == ([0] if fault is None else [0, 20])


@pytest.mark.parametrize(
    ("kind", "part", "at"),
    [("cut", "status", 3), ("cut", "header", 5), ("reset", "length", 0), ("corrupt", "status", 9)],
)
def test_frames_that_do_not_begin(calm, before, images, kind, part, at):
    plan = Plan({0: Fault(kind, part, at), 1: Fault(kind, part, at)}, by="number")
    with Client(before(calm, plan).url, wait_s=120) as client:
        images.assert_delivered(client.stream(images.spec).frames(0, 0, BATCH, frames=images.samples))
    assert [exchange.start for exchange in plan.asked] == [0, 0, 0]


@pytest.mark.parametrize(
    ("kind", "part", "at"), [("cut", "body", 500), ("corrupt", "body", -1), ("reset", "header", 0)]
)
def test_sound(calm, before, sound, kind, part, at):
    plan = Plan({start: Fault(kind, part, at) for start in (0, 20, 30)})
    with loader_on(before(calm, plan).url, spec=SOUND) as loader:
        sound.assert_delivered(loader, 0)
        sound.assert_delivered(loader, 1)
    assert not plan.left


class Pushed:
    """A custom loader, and its expected batches."""

    def __init__(self, calm):
        rng = np.random.default_rng(5)
        self.image = rng.integers(0, 256, (48, 16, 16, 3), dtype=np.uint8)
        self.label = np.arange(48) % 7
        self.batches = [(self.image[at : at + 8], self.label[at : at + 8]) for at in range(0, 48, 8)]
        tensors = {"image": self.image, "label": self.label, "index": np.arange(48)}
        with calm.client() as client:
            arrays = client.augment(tensors, pipeline="strong", aug_seed=3).arrays
        self.undisturbed = Undisturbed({}, "", 48, {0: arrays})

    def loader(self, *urls):
        return AugmentingDataLoader(
            self.batches,
            list(urls),
            fields=("image", "label"),
            pipeline="strong",
            aug_seed=3,
            scale=None,
            prefetch=2,
            wait_s=120,
        )


@pytest.fixture(scope="module")
def pushed(calm):
    return Pushed(calm)


PUSHED = [
    *(("cut", "request", at) for at in (5, 400, 4000, -1)),
    ("reset", "request", 4000),
    *(("cut", part, 3) for part in ("status", "header", "body")),
    ("reset", "body", -1),
    *(("corrupt", "body", at) for at in (8, 3000, -1)),
    *(("corrupt", "request", at) for at in (1000, 3000, -1)),  # its body
    ("truncate", "body", 700),
]


@pytest.mark.parametrize(("kind", "part", "at"), PUSHED)
def test_samples_that_are_pushed(calm, before, pushed, kind, part, at):
    plan = Plan({number: Fault(kind, part, at) for number in (0, 3, 6)}, by="number")
    with pushed.loader(before(calm, plan).url) as loader:
        pushed.undisturbed.assert_delivered(loader)
    assert not plan.left
    assert len(plan.asked) >= 9


def test_a_changed_description_is_asked_for_again(calm, images):
    """A digit of `samples` alone would make an epoch shorter without notice."""
    with calm.client() as client:
        at = json.dumps(calm.open(images.spec), separators=(",", ":")).index(f'"samples":{images.samples}') + 10
        plan = Plan({0: Fault("corrupt", "body", at)}, by="place")
        with Proxy(("127.0.0.1", calm.port), plan) as proxy, Client(proxy.url, wait_s=60) as client:
            assert client.stream(images.spec).samples == images.samples
    assert len(plan.seen) == 2


def outcome(run):
    """What came, or the client's own error; anything else is a failure."""
    try:
        return run()
    except AugsvcError as err:
        return err


parts = st.sampled_from(["request", "status", "header", "length", "body"])


@pytest.mark.usefixtures("impatient")
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(part=parts, at=st.integers(0, 1 << 16), mask=st.integers(1, 255), number=st.integers(0, 3))
def test_any_byte_changed_is_never_delivered(calm, images, part, at, mask, number):
    """Of the description, of a batch, of what is asked: the right samples come, or an error, and never others."""
    plan = Plan({number: Fault("corrupt", part, at, mask=mask)}, by="place")
    with Proxy(("127.0.0.1", calm.port), plan) as proxy, Client(proxy.url, wait_s=2) as client:

        def run():
            stream = client.stream(images.spec)
            return [stream.batch(0, start, 20) for start in range(0, stream.samples, 20)]

        found = outcome(run)
    if isinstance(found, list):
        images.assert_delivered(found)


@pytest.mark.usefixtures("impatient")
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(part=parts, at=st.integers(0, 1 << 16), mask=st.integers(1, 255))
def test_any_byte_changed_of_what_is_pushed_is_never_delivered(calm, pushed, part, at, mask):
    plan = Plan({0: Fault("corrupt", part, at, mask=mask)}, by="place")
    tensors = {"image": pushed.image, "label": pushed.label, "index": np.arange(48)}
    with Proxy(("127.0.0.1", calm.port), plan) as proxy, Client(proxy.url, wait_s=2) as client:
        found = outcome(lambda: [client.augment(tensors, pipeline="strong", aug_seed=3).arrays])
    if isinstance(found, list):
        pushed.undisturbed.assert_delivered(found)
