"""Members of subsets: once for all streams of one, and within a bound."""

import tracemalloc
from contextlib import nullcontext
from itertools import chain

import numpy as np
import pytest

from augsvc.data import subset
from augsvc.data.catalog import open_catalog
from augsvc.data.index_set import IndexSet
from augsvc.data.source import Source, SourceInfo
from augsvc.data.subset import Members, Subset, Subsets, explain_class, subset_members
from augsvc.errors import SpecInvalid
from augsvc.planning.spec import validate_spec
from augsvc.streams.stream import Stream
from tests.harness import executor

DIGITS = open_catalog({}, 0).get("digits/train")


def opened(subsets, per_class=5, seed=0, **fields):
    spec = {"dataset": "digits/train", "subset": {"per_class": per_class, "seed": seed}, **fields}
    return Stream.open(validate_spec(spec), DIGITS, executor(), subsets)


def members(**fields):
    return subset_members(DIGITS, Subset(**fields)).tolist()


def test_streams_of_a_subset_share_its_members(monkeypatch):
    computed = []
    monkeypatch.setattr(subset, "subset_members", lambda *given: computed.append(given) or subset_members(*given))
    subsets = Subsets()
    streams = [opened(subsets, aug_seed=number) for number in range(20)]
    assert subsets.n_bytes == 50 * 8
    assert {stream.samples for stream in streams} == {50} and len(computed) == 1


def test_many_subsets_stay_within_the_bound_and_are_found_again():
    subsets, alone = Subsets(5 * 50 * 8), Subsets()
    streams = [opened(subsets, seed=seed) for seed in range(10)]
    assert subsets.n_bytes == 5 * 50 * 8
    for seed, stream in enumerate(streams):
        assert np.array_equal(stream.indices(3, 0, 50), opened(alone, seed=seed).indices(3, 0, 50))
        assert subsets.n_bytes == 5 * 50 * 8


def test_those_that_are_larger_than_the_bound_are_computed_once():
    subsets, computed = Subsets(100), []

    def make(key):
        return subsets.get_or_make((key,), lambda: computed.append(key) or np.arange(50))

    for key in "abcd" * 3:
        assert make(key).tolist() == list(range(50))
    assert computed == list("abcd")
    make("e")
    assert subsets.n_bytes == 4 * 50 * 8


def test_a_subset_of_more_than_there_is_is_refused():
    with pytest.raises(SpecInvalid, match="samples") as caught:
        opened(Subsets(), per_class=10**6)
    assert caught.value.field == "subset.per_class"


class Named(Source):
    """Samples with these names and classes."""

    def __init__(self, labels):
        self._labels = dict(sorted(labels.items()))
        self.info = SourceInfo("named", "", ("a", "b", "c"), 3, None)

    def __len__(self):
        return len(self._labels)

    def read(self, index):
        raise NotImplementedError

    def labels(self):
        return np.array([*self._labels.values()])

    def describe(self, index):
        return [*self._labels][index]


def test_a_sample_more_moves_few_others_to_another_fold():
    def folds(labels):
        source = Named(labels)
        members = [subset_members(source, Subset(fold=(k, 5))) for k in range(5)]
        return {source.describe(index): k for k in range(5) for index in members[k]}

    labels = {f"{k:03d}": k % 3 for k in range(300)}
    before, after = folds(labels), folds({**labels, "000a": 1, "150a": 0})
    moved = [name for name, fold in before.items() if after[name] != fold]
    assert len(moved) <= 2 * 4 * 3  # of each class as many as there are bounds between folds, for each sample more


def test_folds_are_disjoint_stratified_and_independent_of_filters():
    labels = DIGITS.labels()
    folds = [members(fold=(k, 5), seed=3) for k in range(5)]
    assert sorted(chain(*folds)) == list(range(len(labels)))
    counts = np.array([np.bincount(labels[fold], minlength=10) for fold in folds])
    assert (np.ptp(counts, axis=0) <= 1).all() and np.ptp(counts.sum(axis=1)) <= 1
    assert sorted(folds[2] + members(without_fold=(2, 5), seed=3)) == list(range(len(labels)))
    threes = members(fold=(2, 5), classes=("3",), seed=3)
    assert threes == [index for index in folds[2] if labels[index] == 3]


class Renamed(Source):
    """The digits under other names, which their version does not cover."""

    info = DIGITS.info
    read, labels, __len__ = DIGITS.read, DIGITS.labels, lambda self: len(DIGITS)

    def describe(self, index):
        return f"other {index}"


@pytest.mark.parametrize("field", ["fold", "without_fold"])
def test_other_members_of_a_fold_are_another_stream(field):
    def stream(source, **subset):
        spec = validate_spec({"dataset": "digits/train", "subset": subset, "pipeline": "none"})
        return Stream.open(spec, source, executor())

    ours, theirs = stream(DIGITS, **{field: [0, 5]}), stream(Renamed(), **{field: [0, 5]})
    assert not np.array_equal(ours.order.members.all(), theirs.order.members.all())
    assert ours.id != theirs.id
    assert stream(DIGITS, fraction=0.2).id == stream(Renamed(), fraction=0.2).id


def test_the_members_and_the_id_of_a_fold_are_pinned():
    """So that a run does not continue on other samples with the next release."""
    spec = validate_spec({"dataset": "digits/train", "subset": {"fold": [1, 150]}, "pipeline": "none"})
    stream = Stream.open(spec, DIGITS, executor()).with_arithmetic("0" * 32)
    assert stream.order.members.all().tolist() == [514, 540, 644, 728, 786, 817, 939, 1138, 1162, 1314]
    assert stream.id == "7019a2f89cf48cbca03e82b313c7ffed"


def test_fractions_hold_smaller_ones_and_keep_the_balance():
    labels = DIGITS.labels()
    tenth, half = members(fraction=0.1), members(fraction=0.5)
    assert set(tenth) < set(half) and members(fraction=1.0) == list(range(len(labels)))
    assert np.bincount(labels[half]).tolist() == np.floor(np.bincount(labels) / 2 + 0.5).tolist()
    assert set(members(per_class=3)) < set(tenth)
    assert len(members(fraction=1e-9)) == 10  # one of each class


def test_filters_combine():
    labels = DIGITS.labels()
    chosen = members(classes=("7", "1"), without_fold=(0, 4), per_class=20)
    assert np.bincount(labels[chosen], minlength=10).tolist() == [0, 20, 0, 0, 0, 0, 0, 20, 0, 0]
    assert not set(chosen) & set(members(fold=(0, 4)))


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "subset"),
        ({"classes": []}, "subset.classes"),
        ({"classes": ["11"]}, "subset.classes"),
        ({"classes": [3]}, "subset.classes"),
        ({"fraction": 0}, "subset.fraction"),
        ({"fraction": 1.5}, "subset.fraction"),
        ({"fraction": 0.5, "per_class": 3}, "subset"),
        ({"fold": [5, 5]}, "subset"),
        ({"fold": [0, 1]}, "subset.fold"),
        ({"fold": [0, 2], "without_fold": [1, 2]}, "subset"),
        ({"fold": [0, 2, 3]}, "subset.fold"),
        ({"where": {}}, "subset.where"),
        ({"where": {"site": "a"}}, "subset.where"),
        ({"where": {"site": {"min": 3, "step": 2}}}, "subset.where"),
        ({"where": {"site": {}}}, "subset.where"),
        ({"where": {"site": 1 << 60}}, "subset.where"),
        ({"classes": ["3"], "fold": [0, 10], "where": None}, None),
    ],
    ids=str,
)
def test_subsets_that_cannot_be_are_refused(fields, field):
    with pytest.raises(SpecInvalid) if field else nullcontext() as caught:
        Stream.open(validate_spec({"dataset": "digits/train", "subset": fields}), DIGITS, executor())
    assert field is None or caught.value.field.startswith(field)


def test_a_subset_that_holds_no_sample_is_refused():
    few = Shortened(DIGITS, 3)
    with pytest.raises(SpecInvalid, match="no sample"):
        subset_members(few, Subset(fold=(9, 10)))


@pytest.mark.parametrize(
    ("count", "per_class", "text"),
    [
        (12, 2, "class '2' has only 1 sample: ask for at most 1, or name classes with more in `classes`"),
        (4, 1, "class '4' has no samples here: remove it (an empty folder?), or name the other ones in `classes`"),
    ],
)
def test_a_class_of_few_samples_is_named_with_the_cure(count, per_class, text):
    with pytest.raises(SpecInvalid) as caught:
        subset_members(Shortened(DIGITS, count), Subset(per_class=per_class))
    assert caught.value.message == text and caught.value.field == "subset.per_class"


def test_an_unknown_class_is_answered_with_some_of_the_dataset():
    with pytest.raises(SpecInvalid) as caught:
        subset_members(DIGITS, Subset(classes=("cat" * 99,)))
    assert caught.value.message.endswith("'; it has 0, 1, 2, 3, 4, 5, 6, 7 and 2 more")
    assert len(caught.value.message) < 200
    with pytest.raises(SpecInvalid, match=r"no class 'cat'; it has 0, 1, 2"):
        Stream.open(validate_spec({"dataset": "digits/train", "weights": {"cat": 2.0}}), DIGITS, executor())
    assert explain_class("rosse", ["tulip", "rose"]).endswith("no class 'rosse'; did you mean rose?")
    assert (
        explain_class("cat", ["a\x1b[2J", "b" * 1000])
        == rf"the dataset has no class 'cat'; it has a\x1b[2J, {'b' * 100}"
    )


class Shortened(Source):
    """The first samples of a source."""

    def __init__(self, source, count):
        self._source, self._count, self.info = source, count, source.info

    def __len__(self):
        return self._count

    def read(self, index):
        return self._source.read(index)

    def labels(self):
        return self._source.labels()[: self._count]

    def describe(self, index):
        return self._source.describe(index)


@pytest.mark.parametrize(("n", "chance"), [(1, 1.0), (127, 0.5), (5000, 0.002), (5000, 0.99)])
def test_indices_as_bits_are_those_of_the_array(n, chance):
    rng = np.random.default_rng(n)
    indices = np.unique(np.append(np.flatnonzero(rng.random(n) < chance), rng.integers(n)))
    kept = IndexSet.of(indices)
    rows = rng.permutation(len(indices))
    assert len(kept) == len(indices) and (kept[rows] == indices[rows]).all()
    assert (kept.to_array() == indices).all()
    counts = [kept.count_to(index) for index in range(n + 300)]
    assert counts == np.searchsorted(indices, np.arange(n + 300), side="right").tolist()


def test_listing_a_subset_takes_little_more_than_the_list(monkeypatch):
    """It took 2 kB a member: 600 MB."""
    indices = np.flatnonzero(np.random.default_rng(0).random(600_000) < 0.5)
    monkeypatch.setattr(subset, "subset_members", lambda *_: indices)
    listed = Members.of(Named({"a": 0}), Subset(fraction=0.5), Subsets())
    rows = np.arange(len(indices))
    tracemalloc.start()
    try:
        assert (listed.indices(rows) == indices).all() and (listed.all() == indices).all()
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()


def test_large_subsets_in_turn_are_computed_once(monkeypatch):
    """More of them than MIN_KEPT, each of more bytes than the cache as an array."""
    subsets, n = Subsets(2 << 20), 500_000
    computed = []
    monkeypatch.setattr(subset, "subset_members", lambda source, _: computed.append(0) or np.arange(1, n, 2))
    source = Named({"a": 0})
    for _ in range(3):
        for seed in range(10):
            members = Members.of(source, Subset(fraction=0.5, seed=seed), subsets)
            assert members.indices(np.array([3, 0])).tolist() == [7, 1] and members.after(n - 1) == 1
            assert members.after(2) == members.after(1) == 3
    assert len(computed) == 10 and subsets.n_bytes < 2 << 20
