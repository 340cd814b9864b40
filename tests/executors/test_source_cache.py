"""Which sources stay on a device, for how long, and within what bound. Their pixels: test_grid.py."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from augsvc.arrays import Sample
from augsvc.data.catalog import open_catalog
from augsvc.errors import Undecodable
from augsvc.executors.cuda import source_cache
from augsvc.executors.cuda.source_cache import SourceCache
from augsvc.planning.spec import validate_spec
from augsvc.streams.stream import Stream
from tests.harness import ListSource, open_cpu


class NumPyDevice:
    """A device of NumPy arrays that counts the bytes it was sent."""

    def __init__(self, room=1 << 20):
        self.room, self.sent, self.bytes = room, 0, None

    def buffer(self, size, copied):
        if size > self.room:
            raise MemoryError
        return np.zeros(size, np.uint8)

    def stage(self, size):
        self.bytes = np.zeros(size, np.uint8)
        return self

    def copy_in(self, staged, size, buffer, offset):
        self.sent += size
        buffer[offset : offset + size] = staged.bytes[:size]

    def view(self, buffer, offset, shape, dtype):
        return buffer[offset : offset + shape[0]]

    def ran_out_of_memory(self, error):
        return isinstance(error, MemoryError)


def image(index, side=10):
    return np.full((side, side, 1), index, np.uint8)


def load(cache, indices, dataset="a", images=None):
    """What a kernel would read of each image; None if they have to be sent in some other way."""
    images = [image(index) for index in indices] if images is None else images
    loaded = cache.load(images, [(dataset, index) for index in indices], cache.device.stage)
    if loaded is None:
        return None
    memory, offsets = loaded
    return [memory[at : at + each.size].reshape(each.shape) for each, at in zip(images, offsets, strict=True)]


def assert_loaded(cache, indices, dataset="a"):
    for index, there in zip(indices, load(cache, indices, dataset), strict=True):
        assert (there == image(index)).all()


def test_a_source_is_sent_once_in_any_order_and_batch():
    cache = SourceCache(NumPyDevice(), 1000)
    assert_loaded(cache, [0, 1, 2, 3, 4])
    assert_loaded(cache, [6, 5, 4, 3, 2, 3])
    assert cache.device.sent == 700
    assert_loaded(cache, range(7))
    assert cache.device.sent == 700


def test_a_source_is_known_by_dataset_and_index_and_not_by_its_array():
    cache = SourceCache(NumPyDevice(), 1000)
    assert_loaded(cache, [0, 1])
    assert_loaded(cache, [0, 1])  # other arrays
    assert cache.device.sent == 200
    other = [image(7), image(8)]
    assert [int(each[0, 0, 0]) for each in load(cache, [0, 1], "b", other)] == [7, 8]
    assert_loaded(cache, [0, 1])
    assert cache.device.sent == 400


def test_a_mask_and_an_image_and_the_same_image_in_grey_and_colour_differ():
    cache = SourceCache(NumPyDevice(), 1000)
    arrays = [np.full((10, 10), 1, np.uint8), np.full((10, 10, 1), 2, np.uint8), np.full((10, 10, 3), 3, np.uint8)]
    for _ in range(2):
        for array in arrays:
            (loaded,) = load(cache, [0], images=[array])
            assert (loaded == array).all()
    assert cache.device.sent == 100 + 100 + 300


def test_the_bound_is_never_exceeded_and_cached_sources_stay():
    cache = SourceCache(NumPyDevice(), 250)
    assert_loaded(cache, [1, 2])
    assert load(cache, [3]) is None and load(cache, [1, 3]) is None
    assert_loaded(cache, [2, 1])
    assert (cache.device.sent, len(cache.buffer)) == (200, 250)


def test_sources_without_a_key_are_not_kept():
    cache = SourceCache(NumPyDevice(), 1000)
    assert cache.load([image(1), image(2)], [("a", 1), None], cache.device.stage) is None
    assert cache.device.sent == 0


def test_a_dataset_that_is_no_longer_used_makes_space_for_another(monkeypatch):
    monkeypatch.setattr(source_cache, "_IDLE_RUNS", 3)
    cache = SourceCache(NumPyDevice(), 200)
    assert_loaded(cache, [0, 1], "old")
    loaded = []
    for _ in range(6):
        cache.begin_run()
        loaded.append(load(cache, [0, 1], "new") is not None)
    assert loaded == [False] * 3 + [True] * 3
    assert_loaded(cache, [0, 1], "new")
    assert cache.device.sent == 400


def test_while_all_datasets_are_used_or_fit_nothing_is_dropped(monkeypatch):
    monkeypatch.setattr(source_cache, "_IDLE_RUNS", 3)
    cache = SourceCache(NumPyDevice(), 200)
    assert_loaded(cache, [0], "idle")
    assert_loaded(cache, [0], "used")
    for _ in range(10):
        cache.begin_run()
        assert_loaded(cache, [0], "used")
    assert_loaded(cache, [0], "idle")
    for _ in range(10):
        cache.begin_run()
        assert load(cache, [0, 1], "used") is None
        assert_loaded(cache, [0], "idle")
    assert cache.device.sent == 200


def test_without_memory_nothing_is_kept_and_it_is_logged_once(caplog):
    cache = SourceCache(NumPyDevice(room=100), 1000)
    for _ in range(3):
        assert load(cache, [1]) is None
        cache.open()
    assert caplog.text.count("device_cache_bytes") == 1
    cache.device.room = 1000
    assert_loaded(cache, [2])


def test_another_error_is_raised():
    class Broken(NumPyDevice):
        def buffer(self, size, copied):
            raise OSError

    with pytest.raises(OSError):
        load(SourceCache(Broken(), 1000), [1])


def test_a_source_that_could_not_be_sent_is_not_taken_for_cached():
    class Broken(NumPyDevice):
        def copy_in(self, staged, size, buffer, offset):
            if self.sent:
                raise OSError
            super().copy_in(staged, size, buffer, offset)

    cache = SourceCache(Broken(), 1000)
    assert_loaded(cache, [1])
    with pytest.raises(OSError):
        load(cache, [2])
    cache.device.sent = 0
    assert_loaded(cache, [1, 2])


def test_closed_it_frees_the_memory_until_it_is_opened():
    cache = SourceCache(NumPyDevice(), 1000)
    assert not SourceCache(NumPyDevice(), 1000).close()
    assert_loaded(cache, [1])
    assert cache.close() and not cache.close()
    assert cache.buffer is None and load(cache, [1]) is None
    cache.open()
    assert_loaded(cache, [1])


@pytest.mark.parametrize("name", ["digits/train", "photos/test", "shapes/train"])
def test_every_image_dataset_names_its_samples(name):
    source = open_catalog({}, 1 << 20).get(name)
    for index in (0, 3, 3):
        assert source.read(index).key == (name, index)


class RecordingExecutor:
    """An executor that records the keys of the images and masks that it renders."""

    def __init__(self, executor):
        self.executor, self.images, self.masks = executor, [], []

    def __getattr__(self, name):
        return getattr(self.executor, name)

    def over(self, workers):
        return self

    def render(self, *args):
        self.images += args[-1]
        self.executor.render(*args)

    def move_masks(self, *args):
        self.masks += args[-1]
        self.executor.move_masks(*args)


class HoledSource(ListSource):
    """Sample 1 cannot be decoded."""

    def read(self, index):
        if index == 1:
            raise Undecodable("not an image")
        return super().read(index)


def test_an_executor_gets_the_keys_of_the_samples_that_were_read():
    """A replaced sample has the pixels of another one, and so its key; a client's own has none."""
    keys = [("holed", 0), ("holed", 1), ("holed", 2), None]
    samples = [Sample(image(k), 0, mask=image(k)[..., 0], key=key) for k, key in enumerate(keys)]
    executor = RecordingExecutor(open_cpu("fused"))
    with ThreadPoolExecutor(1) as workers:
        for start in range(4):  # a sample in a batch, so that threads do not change the order
            spec = validate_spec({"dataset": "list", "shuffle": False, "pipeline": "none"})
            stream = Stream.open(spec, HoledSource(samples), executor)
            stream.produce(0, start, 1, 0, workers, lambda: None)
    assert executor.images == executor.masks == [("holed", 0), ("holed", 2), ("holed", 2), None]
