import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from augsvc.numerics import permutation as order
from augsvc.numerics.permutation import Permutation


@pytest.mark.parametrize("length", [1, 2, 3, 5, 8, 63, 64, 65, 1000, 4097])
@pytest.mark.parametrize(("seed", "epoch"), [(0, 0), (7, 3), (2**53 - 1, 2**24 - 1)])
def test_every_epoch_is_a_permutation(length, seed, epoch):
    found = Permutation(length, seed, epoch).indices(np.arange(length))
    assert sorted(found.tolist()) == list(range(length))


@given(st.integers(1, 2**32), st.integers(0, 2**53 - 1), st.integers(0, 2**24 - 1), st.data())
def test_the_inverse_inverts(length, seed, epoch, data):
    places = np.array(data.draw(st.lists(st.integers(0, length - 1), min_size=1, max_size=8)))
    epoch_order = Permutation(length, seed, epoch)
    found = epoch_order.indices(places)
    assert ((found >= 0) & (found < length)).all()
    assert (epoch_order.positions(found) == places).all()
    assert (epoch_order.indices(epoch_order.positions(places)) == places).all()


def test_the_inverse_inverts_at_two_to_the_31():
    epoch_order = Permutation(2**31, 11, 5)
    places = np.concatenate((np.arange(1000), 2**31 - 1 - np.arange(1000), np.arange(0, 2**31, 2**21)))
    assert (epoch_order.positions(epoch_order.indices(places)) == places).all()


def test_each_position_alone_is_as_in_company():
    whole = Permutation(1000, 1, 2).indices(np.arange(1000))
    assert [int(Permutation(1000, 1, 2).indices(np.array([p]))[0]) for p in range(1000)] == whole.tolist()


def test_epochs_and_seeds_differ():
    orders = {
        tuple(Permutation(1000, seed, epoch).indices(np.arange(1000)).tolist())
        for seed in range(5)
        for epoch in range(5)
    }
    assert len(orders) == 25


def test_without_shuffling_it_is_the_identity():
    assert Permutation(10, 3, 4, shuffle=False).indices(np.arange(10)).tolist() == list(range(10))


@pytest.mark.parametrize(("length", "epochs"), [(6, 300), (50, 1500)])
def test_every_sample_comes_to_every_place_equally_often(length, epochs):
    counts = np.zeros((length, length))
    for epoch in range(epochs):
        counts[np.arange(length), Permutation(length, 9, epoch).indices(np.arange(length))] += 1
    statistic = ((counts - epochs / length) ** 2 / (epochs / length)).sum()
    assert scipy.stats.chi2((length - 1) ** 2).sf(statistic) > 1e-3


def test_neighbours_are_not_neighbours_afterwards():
    found = Permutation(10**6, 0, 0).indices(np.arange(10**5)).astype(float)
    assert abs(np.corrcoef(found[:-1], found[1:])[0, 1]) < 0.01


def test_position_ten_to_the_nine_takes_as_many_rounds_as_position_zero(monkeypatch):
    """Law L7, counted in work and not in seconds: rounds of Philox per position."""
    evaluated = []
    original = order.philox4x32
    monkeypatch.setattr(
        order, "philox4x32", lambda counter, key: evaluated.append(np.size(counter[0])) or original(counter, key)
    )
    epoch_order = Permutation(2**31, 0, 0)
    work = []
    for start in (0, 10**9):
        evaluated.clear()
        epoch_order.indices(np.arange(start, start + 512))
        work.append(sum(evaluated))
    assert work[0] <= 9 * 512  # eight rounds, and hardly ever a second walk: the square exceeds n by 5e-5
    assert work[1] <= 9 * 512


def test_out_of_range_is_refused():
    for bad in (-1, 10):
        with pytest.raises(ValueError, match="outside"):
            Permutation(10, 0, 0).indices(np.array([bad]))
    for length in (0, 2**32 + 1):
        with pytest.raises(ValueError, match="samples"):
            Permutation(length, 0, 0)
    with pytest.raises(ValueError, match="epoch"):
        Permutation(10, 0, 2**24)


def test_a_few_samples_are_ordered_by_one_evaluation_of_the_network(monkeypatch):
    calls, philox = [], order.philox4x32
    monkeypatch.setattr(order, "philox4x32", lambda *words: calls.append(1) or philox(*words))
    assert sorted(Permutation(4, 3, 0).indices(np.arange(4)).tolist()) == [0, 1, 2, 3]
    assert len(calls) == 8  # rounds
