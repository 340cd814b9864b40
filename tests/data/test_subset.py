"""Members of subsets: once for all streams of one, and within a bound."""

import numpy as np
import pytest

from augsvc.data.catalog import open_catalog
from augsvc.data.subset import Subsets
from augsvc.errors import SpecInvalid
from augsvc.planning.spec import validate_spec
from augsvc.streams.stream import Stream
from tests.harness import executor

DIGITS = open_catalog({}, 0).get("digits/train")


def opened(subsets, per_class=5, seed=0, **fields):
    subset = {"per_class": per_class, "seed": seed}
    return Stream.open(
        validate_spec({"dataset": "digits/train", "subset": subset, **fields}), DIGITS, executor(), subsets
    )


def test_streams_of_a_subset_share_its_members():
    subsets = Subsets()
    streams = [opened(subsets, aug_seed=number) for number in range(20)]
    assert subsets.n_bytes == 50 * 8
    assert len({id(stream.subset.members) for stream in streams}) == 1
    assert {stream.samples for stream in streams} == {50}
    with pytest.raises(ValueError, match="read-only"):
        streams[0].subset.members[0] = 1


def test_many_subsets_stay_within_the_bound_and_are_found_again():
    subsets, alone = Subsets(3 * 50 * 8), Subsets()
    streams = [opened(subsets, seed=seed) for seed in range(10)]
    assert subsets.n_bytes == 3 * 50 * 8
    for seed, stream in enumerate(streams):
        assert np.array_equal(stream.indices(3, 0, 50), opened(alone, seed=seed).indices(3, 0, 50))
        assert subsets.n_bytes == 3 * 50 * 8


def test_one_that_is_larger_than_the_bound_is_served_and_not_kept():
    subsets = Subsets(100)
    assert len(set(opened(subsets).indices(0, 0, 50).tolist())) == 50
    assert subsets.n_bytes == 0


def test_a_subset_of_more_than_there_is_is_refused():
    with pytest.raises(SpecInvalid, match="samples") as caught:
        opened(Subsets(), per_class=10**6)
    assert caught.value.field == "subset.per_class"
