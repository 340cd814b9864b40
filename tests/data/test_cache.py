"""The cache's bound, its order of dropping, and threads."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augsvc.arrays import Sample
from augsvc.data.cache import DECODING_BYTES, DecodedCache
from augsvc.errors import Undecodable


def sample(n_bytes, label=0, mask=0):
    return Sample(
        image=np.full((1, n_bytes, 1), label, dtype=np.uint8),
        label=label,
        mask=np.zeros((1, mask), dtype=np.uint8) if mask else None,
    )


def test_decoding_waits_for_memory_and_evicts_samples():
    cache = DecodedCache(2 * DECODING_BYTES)
    cache.get_or_make("kept", lambda: sample(DECODING_BYTES // 2))
    order, entered = [], threading.Event()

    def decode():
        with cache.decoding(DECODING_BYTES):
            order.append("second")
            entered.set()

    with cache.decoding(DECODING_BYTES + 1):
        assert len(cache) == 1
        waiting = threading.Thread(target=decode)
        waiting.start()
        assert not entered.wait(0.2)
        with cache.decoding(DECODING_BYTES - 1):
            assert len(cache) == 0 and cache.n_bytes == 0
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


@given(
    st.integers(0, 60),
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30), st.integers(0, 10)), max_size=60),
)
def test_the_bound_holds_and_the_oldest_goes_first(max_bytes, requests):
    cache = DecodedCache(max_bytes)
    model = []  # (key, bytes), the most recent last
    hits = 0
    for key, n_bytes, mask in requests:
        known = [entry for entry in model if entry[0] == key]
        got = cache.get_or_make(key, lambda key=key, n_bytes=n_bytes, mask=mask: sample(n_bytes, key, mask))
        assert got.label == key
        if known:
            hits += 1
            model.remove(known[0])
            model.append(known[0])
        elif 0 < n_bytes + mask <= max_bytes:
            model.append((key, n_bytes + mask))
            while sum(size for _, size in model) > max_bytes:
                model.pop(0)
        assert cache.n_bytes == sum(size for _, size in model) <= max_bytes
        assert len(cache) == len(model)
    assert (cache.hits, cache.misses) == (hits, len(requests) - hits)


def test_zero_turns_it_off():
    cache = DecodedCache(0)
    first, second = (cache.get_or_make("a", lambda: sample(4)) for _ in range(2))
    assert first is not second
    assert (len(cache), cache.n_bytes, cache.misses) == (0, 0, 2)


def test_a_failure_passes_and_is_not_kept():
    cache = DecodedCache(100)

    def fail():
        raise Undecodable("no")

    for _ in range(2):
        with pytest.raises(Undecodable):
            cache.get_or_make("a", fail)
    assert cache.get_or_make("a", lambda: sample(1, 7)).label == 7


def test_threads_share_it():
    cache = DecodedCache(500)
    wrong = []

    def work(seed):
        for key in np.random.default_rng(seed).integers(0, 60, 2000).tolist():
            got = cache.get_or_make(key, lambda key=key: sample(10 + key % 7, key))
            if got.label != key or cache.n_bytes > 500 + 8 * 16:  # read without the lock: one put a thread at most
                wrong.append(key)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert cache.n_bytes == sum(10 + key % 7 for key in cache._samples) <= 500
    assert cache.hits + cache.misses == 8 * 2000
