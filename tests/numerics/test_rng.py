import hashlib

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from augsvc.errors import SpecInvalid
from augsvc.numerics import rng
from augsvc.ops.drawing import draw_operations
from augsvc.ops.registry import registry

# Random123, tests/kat_vectors, philox4x32-10: counter, key, answer
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]
WORD = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_philox_gives_random123s_answers(counter, key, answer):
    assert tuple(int(word) for word in rng.philox4x32(counter, key)) == answer


@given(st.lists(st.tuples(WORD, WORD, WORD, WORD), min_size=1, max_size=9), st.tuples(WORD, WORD))
def test_philox_of_many_counters_is_philox_of_each(counters, key):
    together = np.stack(rng.philox4x32(tuple(np.array(counters, dtype=np.uint64).T), key), axis=-1)
    alone = [[int(word) for word in rng.philox4x32(counter, key)] for counter in counters]
    assert together.tolist() == alone


def counter_of(operation, lane, index, epoch, view):
    """The counter that a parameter's draw uses, read off the call to Philox."""
    seen = []
    original = rng.philox_blocks
    try:
        rng.philox_blocks = lambda counter, key: seen.append(counter) or original(counter, key)
        rng.parameter_words(0, [operation], [lane], rng.Address(np.array([index]), epoch, view))
    finally:
        rng.philox_blocks = original
    return tuple(int(np.asarray(word).ravel()[0]) for word in seen[0])


ADDRESS = st.tuples(
    WORD, st.integers(0, 255), st.integers(0, 2**32 - 1), st.integers(0, 2**24 - 1), st.integers(0, 255)
)


@given(ADDRESS, ADDRESS)
def test_different_addresses_have_different_counters(one, other):
    assert (counter_of(*one) == counter_of(*other)) == (one == other)


@pytest.mark.parametrize(
    ("index", "epoch", "view"), [(2**32, 0, 0), (-1, 0, 0), (0, 2**24, 0), (0, -1, 0), (0, 0, 256), (0, 0, -1)]
)
def test_limits_of_the_counter_are_refused_not_wrapped(index, epoch, view):
    with pytest.raises(SpecInvalid):
        rng.Address(np.array([index]), epoch, view)


@pytest.mark.parametrize("lane", [-1, 256])
def test_lanes_end_where_pixels_begin(lane):
    with pytest.raises(ValueError, match="lane"):
        rng.parameter_words(0, [77], [lane], rng.Address(np.array([0]), 0, 0))


@pytest.mark.parametrize("seed", [-1, 2**53])
def test_seeds_are_53_bits(seed):
    with pytest.raises(SpecInvalid):
        rng.seed_key(seed)


def test_every_operation_draws_each_parameter_on_a_separate_lane():
    for operation in registry().values():
        lanes = [lane for mark in operation.parameters().values() for lane in mark.lanes]
        assert len(set(lanes)) == len(lanes)
        assert all(0 < lane < 256 for lane in lanes)
        assert all(mark.words <= 4 * len(mark.lanes) for mark in operation.parameters().values())


def test_operation_keys_refuse_repeats():
    with pytest.raises(SpecInvalid):
        rng.operation_keys(["rotation", "rotation"])
    assert len(set(rng.operation_keys([f"op{n}" for n in range(50)]))) == 50


def test_a_colliding_key_is_refused(monkeypatch):
    monkeypatch.setattr(rng, "operation_key", lambda operation_id: 4242)
    with pytest.raises(SpecInvalid):
        rng.operation_keys(["one", "other"])
    monkeypatch.setattr(rng, "operation_key", lambda operation_id: rng.ORDER_KEY)
    with pytest.raises(SpecInvalid):
        rng.operation_keys(["one"])


def test_uniform_draws_are_uniform_and_selection_follows_p():
    operation = registry()["rotation"](degrees=[-30, 10], p=0.25)
    address = rng.Address(np.arange(20000), 3, 1)
    draw = draw_operations([operation], rng.operation_keys(["rotation"]), 5, address)[0]
    values = draw.value("degrees")
    assert scipy.stats.kstest(values, scipy.stats.uniform(-30, 40).cdf).pvalue > 1e-3
    assert abs(draw.selected.mean() - 0.25) < 0.015
    assert abs(np.corrcoef(values, draw.selected)[0, 1]) < 0.03


@pytest.mark.parametrize(("p", "share"), [(0.0, 0.0), (1.0, 1.0)])
def test_p_is_exact_at_its_ends(p, share):
    operation = registry()["rotation"](p=p)
    draw = draw_operations([operation], [99], 5, rng.Address(np.arange(5000), 0, 0))[0]
    assert draw.selected.mean() == share


def test_the_quantile_table_is_the_normal_distributions():
    table = rng.quantile_table()
    digest = hashlib.sha256(table.astype("<i2").tobytes()).hexdigest()
    assert digest == "4dc7f1c7279a52642a4d867161353210d79e16ea7a268ea71e2e4e1c80a36d56"  # a constant of version 1
    assert (table == -table[::-1]).all()
    values = table / 4096
    exact = scipy.stats.norm.ppf((np.arange(65536) + 0.5) / 65536)
    assert np.abs(values - exact).max() < 2e-4  # rounding to 12 bits, and the rescaling to variance 1
    assert abs(values.var() - 1) < 1e-6
    assert abs(scipy.stats.kurtosis(values)) < 1e-3
