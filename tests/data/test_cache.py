"""The cache's bound, what it keeps, and threads."""

import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augsvc.arrays import Sample
from augsvc.data.cache import DECODING_BYTES, IDLE_S, DecodedCache
from augsvc.errors import Undecodable


def sample(n_bytes, label=0, mask=0):
    return Sample(
        image=np.full((1, n_bytes, 1), label, dtype=np.uint8),
        label=label,
        mask=np.zeros((1, mask), dtype=np.uint8) if mask else None,
    )


def test_decoding_waits_for_memory_and_evicts_samples():
    cache = DecodedCache(2 * DECODING_BYTES)
    cache.get_or_make(("kept", 0), lambda: sample(DECODING_BYTES // 2))
    order, entered = [], threading.Event()

    def decode():
        with cache.decoding(DECODING_BYTES):
            order.append("second")
            entered.set()

    with cache.decoding(DECODING_BYTES + 1):
        assert len(cache) == 1
        with cache.decoding(DECODING_BYTES - 1):
            assert len(cache) == 0 and cache.n_bytes == 0
        waiting = threading.Thread(target=decode)
        waiting.start()
        assert not entered.wait(0.2)
        order.append("first")
    waiting.join(5)
    assert order == ["first", "second"] and cache.decoding_bytes == 0


def test_a_decode_that_needs_more_than_there_is_runs_alone_and_ends_with_its_error():
    cache = DecodedCache(0)
    with pytest.raises(Undecodable), cache.decoding(10 * DECODING_BYTES):
        raise Undecodable("damaged")
    with cache.decoding(1), cache.decoding(DECODING_BYTES - 1):
        assert cache.decoding_bytes == DECODING_BYTES
    assert cache.decoding_bytes == 0


def test_a_large_decode_comes_before_small_ones_that_came_later():
    """Beside steady small ones it never ran, and its job was silent for as long."""
    cache, order = DecodedCache(0, 100), []
    threads = []

    def start(name, n_bytes):
        def decode():
            with cache.decoding(n_bytes):
                order.append(name)

        threads.append(threading.Thread(target=decode))
        threads[-1].start()
        deadline = time.monotonic() + 30
        while len(cache._arrivals) < len(threads) and time.monotonic() < deadline:
            time.sleep(0.001)

    with cache.decoding(10):
        start("large", 300)
        start("small", 20)
        start("small", 20)
        assert order == []
    for thread in threads:
        thread.join(30)
    assert order == ["large", "small", "small"]
    assert cache.decoding_bytes == 0 and not cache._arrivals


def test_boxes_and_keypoints_count():
    """A cache of many boxes held far more than its bound."""
    arrays = {
        "boxes": np.zeros((50, 4), np.float32),
        "box_labels": np.zeros(50, np.int64),
        "boxes_valid": np.zeros(50, bool),
        "keypoints": np.zeros((60, 2), np.float32),
        "keypoints_valid": np.zeros(60, bool),
    }
    cache = DecodedCache(10_000)
    cache.get_or_make(("a", 0), lambda: Sample(np.zeros((4, 4, 3), np.uint8), 0, **arrays))
    assert cache.n_bytes == 48 + sum(array.nbytes for array in arrays.values())


@given(
    st.integers(0, 60),
    st.lists(
        st.tuples(
            st.sampled_from("abc"), st.integers(0, 9), st.integers(0, 30), st.integers(0, 10), st.integers(0, 40)
        ),
        max_size=60,
    ),
)
def test_the_bound_holds_and_what_is_kept_is_found(max_bytes, requests):
    now_s = 0
    cache = DecodedCache(max_bytes, clock=lambda: now_s)
    sizes = {}  # of what has been cached
    for number, (name, index, n_bytes, mask, pause_s) in enumerate(requests):
        now_s += pause_s
        hits, before = cache.hits, cache.n_bytes

        def make(index=index, n_bytes=n_bytes, mask=mask):
            with cache.decoding(n_bytes // 2):
                assert cache.n_bytes + n_bytes // 2 <= max(max_bytes, n_bytes // 2)
            return sample(n_bytes, index, mask)

        got = cache.get_or_make((name, index), make)
        assert got.label == index
        if cache.hits > hits:
            assert cache.n_bytes == before and got.n_bytes == sizes[name, index]
        sizes[name, index] = got.n_bytes
        assert cache.n_bytes <= max_bytes
        assert cache.hits + cache.misses == number + 1


def read_epochs(cache, name, indices, epochs=1, decoding=0):
    """The fraction of samples of 100 bytes that are found in the last of some epochs."""
    random = np.random.default_rng(len(indices))

    def make():
        with cache.decoding(decoding):
            return sample(100)

    for _ in range(epochs):
        hits = cache.hits
        for index in random.permutation(indices).tolist():
            cache.get_or_make((name, index), make)
    return (cache.hits - hits) / len(indices)


@pytest.mark.parametrize("decoding", [0, 500])
@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5, 0.75, 0.9, 1])
def test_an_epoch_finds_the_fraction_that_fits(fraction, decoding):
    """Least recently used: 0.004, 0.03, 0.16, 0.40, 0.67. Decoding takes memory for five samples."""
    cache = DecodedCache(int(fraction * 100_000))
    for epochs in (2, 3):
        assert read_epochs(cache, "a", range(1000), epochs, decoding) >= fraction - 0.01


def test_datasets_share_it_equally_and_small_ones_whole():
    cache = DecodedCache(100_000)
    assert read_epochs(cache, "a", range(1000), 2) == 1
    assert read_epochs(cache, "b", range(1000), 2) == pytest.approx(1 / 2, abs=0.01)  # in its second epoch
    assert read_epochs(cache, "small", range(100), 2) == 1
    for _ in range(2):  # which keeps what it has
        shares = [read_epochs(cache, name, range(1000)) for name in "ab"]
        assert shares == pytest.approx([0.45, 0.45], abs=0.01)
        assert read_epochs(cache, "small", range(100)) == 1


def test_a_dataset_that_is_not_read_for_a_minute_makes_room():
    now_s = 0
    cache = DecodedCache(100_000, clock=lambda: now_s)
    read_epochs(cache, "a", range(1000))
    now_s = IDLE_S + 1
    assert read_epochs(cache, "b", range(1000), 2) == 1
    assert cache.n_bytes == 100_000 and read_epochs(cache, "a", range(1000)) == 0


@pytest.mark.parametrize(("other", "epochs"), [(range(1000, 1300), 9), (range(1000, 2000), 10), (range(400), 2)])
def test_another_subset_of_the_same_dataset_takes_the_place_of_the_former_one(other, epochs):
    cache = DecodedCache(100_000)
    read_epochs(cache, "a", range(1000), 3)
    assert read_epochs(cache, "a", other, epochs) == 1


def test_two_jobs_on_one_dataset_do_not_drop_what_the_other_one_needs():
    cache, random = DecodedCache(50_000), np.random.default_rng(0)
    orders = [np.concatenate([random.permutation(1000) for _ in range(12)]) for _ in range(2)]
    for position, pair in enumerate(zip(orders[0], np.roll(orders[1], 300), strict=True)):
        if position == 4000:
            hits = cache.hits
        for index in pair:
            cache.get_or_make(("a", int(index)), lambda: sample(100))
    assert (cache.hits - hits) / 16_000 >= 0.48


def test_an_image_of_much_memory_leaves_the_cache_as_it_was_in_the_end():
    cache = DecodedCache(100_000)
    read_epochs(cache, "a", range(2000), 2, decoding=500)
    with cache.decoding(90_000):
        assert cache.n_bytes <= 10_000
    assert read_epochs(cache, "a", range(2000), 4, decoding=500) >= 0.49


def test_zero_turns_it_off():
    cache = DecodedCache(0)
    first, second = (cache.get_or_make(("a", 0), lambda: sample(4)) for _ in range(2))
    assert first is not second
    assert (len(cache), cache.n_bytes, cache.misses) == (0, 0, 2)


def test_a_failure_passes_and_is_not_kept():
    cache = DecodedCache(100)

    def fail():
        raise Undecodable("no")

    for _ in range(2):
        with pytest.raises(Undecodable):
            cache.get_or_make(("a", 0), fail)
    assert cache.get_or_make(("a", 0), lambda: sample(1, 7)).label == 7


def test_threads_share_it():
    cache = DecodedCache(500)
    wrong = []

    def work(seed):
        for key in np.random.default_rng(seed).integers(0, 60, 2000).tolist():
            got = cache.get_or_make((f"{key % 3}", key), lambda key=key: sample(10 + key % 7, key))
            if got.label != key or cache.n_bytes > 500 + 8 * 16:  # read without the lock: one put a thread at most
                wrong.append(key)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    kept = {int(name): dataset.samples for name, dataset in cache._datasets.items()}
    assert all(key % 3 == name for name, samples in kept.items() for key in samples)
    assert cache.n_bytes == sum(10 + key % 7 for samples in kept.values() for key in samples) <= 500
    assert cache.hits + cache.misses == 8 * 2000
