"""What a job will ask for next: ranks, windows, ends of epochs, and who cannot be foretold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augsvc.engine.stride import Place, Walk
from augsvc_client.loaders.prefetch import Shares


def asked(walk, places, depth=1):
    """How many of the places were expected when they were asked for, and what is expected behind them."""
    hits = 0
    for place in places:
        hits += place in walk.expected()
        walk.asked(place, depth)
    return hits, walk.expected()


def of(samples, batch, epochs=1, rank=0, world_size=1, position=0, *, drop_last=True):
    """What the client's loader asks for."""
    shares = Shares(samples, batch, rank, world_size, drop_last)
    found = []
    for epoch, start, n in shares.ahead(0, position, onward=True):
        if epoch == epochs:
            return found
        if n == batch:
            found.append(Place(epoch, start))
    return found


def test_one_walk_is_foretold_from_its_second_step_on_and_through_the_ends_of_epochs():
    places = of(1000, 64, epochs=3)
    hits, ahead = asked(Walk(1000, 64, onward=True), places)
    assert hits == len(places) - 2
    assert ahead == (Place(3, 0),)


def test_one_request_is_no_walk():
    walk = Walk(1000, 64, onward=True)
    walk.asked(Place(0, 0), 4)
    assert walk.expected() == ()


def test_what_does_not_go_on_ends_with_the_epoch():
    assert asked(Walk(1000, 64, onward=False), of(1000, 64))[1] == ()


def test_one_rank_of_eight_has_a_longer_stride():
    places = of(10_000, 32, epochs=3, rank=5, world_size=8)
    hits, ahead = asked(Walk(10_000, 32, onward=True), places)
    assert hits >= len(places) - 5
    assert ahead == (Place(3, 5 * 32),)


@pytest.mark.parametrize("world_size", [1, 2, 4, 8])
@pytest.mark.parametrize("prefetch", [1, 2, 4])
def test_all_ranks_together_and_out_of_order(world_size, prefetch):
    """Each keeps `prefetch` requests on their way, which overtake one another."""
    walks = [of(8000, 32, epochs=3, rank=rank, world_size=world_size) for rank in range(world_size)]
    places = [place for step in zip(*walks, strict=True) for place in step]
    depth, chance = world_size * prefetch, np.random.default_rng(world_size)
    arrival = {place: number + chance.uniform(0, depth) for number, place in enumerate(places)}
    walk = Walk(8000, 32, onward=True)
    hits, ahead = asked(walk, sorted(places, key=arrival.__getitem__), depth)
    assert hits >= 0.75 * len(places)
    assert ahead[-1] >= Place(3, 0)


def test_the_end_that_the_last_epoch_had_is_that_of_the_next():
    """Two ranks leave a rest that holds a batch of one of them, which nobody asks for."""
    walks = [of(1000, 64, epochs=4, rank=rank, world_size=2) for rank in range(2)]
    places = [place for step in zip(*walks, strict=True) for place in step]
    per_epoch = len(places) // 4
    walk = Walk(1000, 64, onward=True)
    asked(walk, places[:per_epoch])
    hits, _ = asked(walk, places[per_epoch:])
    assert hits >= 3 * per_epoch - 1  # only the first turn is learnt by seeing it


def test_a_jump_is_a_new_walk():
    walk = Walk(10**6, 10, onward=True)
    asked(walk, [Place(3, start) for start in range(0, 500, 10)])
    walk.asked(Place(7, 90_000), 1)
    assert walk.expected() == ()
    assert asked(walk, [Place(7, 90_010)])[1] == (Place(7, 90_020),)


def test_who_asks_at_random_is_not_foretold():
    walk, chance = Walk(10**6, 10, onward=True), np.random.default_rng(0)
    for _ in range(300):
        walk.asked(Place(0, int(chance.integers(10**6))), 4)
        assert walk.expected() == ()


def test_half_of_a_walk_is_not_foretold():
    """The other half goes to another replica, by chance: guesses would be wrong as often as right."""
    walk, chance, guesses = Walk(10**6, 10, onward=True), np.random.default_rng(1), 0
    places = [Place(0, 10 * number) for number in range(2000) if chance.random() < 0.5]
    for place in places:
        walk.asked(place, 1)
        guesses += bool(walk.expected())
    assert guesses < len(places) / 2


@pytest.mark.parametrize(("samples", "count"), [(5, 100), (100, 100), (1, 1)])
def test_an_epoch_of_one_batch(samples, count):
    hits, ahead = asked(Walk(samples, count, onward=True), [Place(epoch, 0) for epoch in range(6)])
    assert hits == 4
    assert ahead == (Place(6, 0),)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 200)), max_size=80),
    st.integers(1, 200),
    st.integers(1, 50),
    st.integers(1, 8),
    st.booleans(),
)
def test_whatever_is_asked_what_is_expected_exists(places, samples, count, depth, onward):
    walk = Walk(samples, count, onward=onward)
    for epoch, start in places:
        walk.asked(Place(epoch, start % samples), depth)
        for place in walk.expected():
            assert 0 <= place.start < samples
            assert place.epoch >= 0
