"""Orders with locality and with strata: exactly once, whatever the lengths; the same at once or one by one; far out too."""

from fractions import Fraction

import numpy as np
import pytest

from augsvc.numerics.block_order import WINDOW, BlockOrder
from augsvc.numerics.bucket_order import BucketOrder
from augsvc.numerics.group_permutation import permute_in_groups
from augsvc.numerics.permutation import Permutation
from augsvc.numerics.strata import StratifiedOrder, allocate_quotas


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 9, 63, 100, 1000])
def test_each_group_has_a_permutation(length):
    values = np.tile(np.arange(length), 3)
    groups, passes = np.repeat([0, 5, 5], length), np.repeat([0, 0, 1 << 31], length)
    permuted = permute_in_groups(values, np.full(3 * length, length), groups, passes, 7).reshape(3, length)
    assert (np.sort(permuted, axis=1) == np.arange(length)).all()
    assert length < 60 or len({tuple(row) for row in permuted.tolist()}) == 3


@pytest.mark.parametrize(
    ("length", "block"), [(1, 1), (10, 3), (10, 100), (1000, 7), (1000, 10), (5000, 64), (4097, 16)]
)
@pytest.mark.parametrize("epoch", [0, 1, 2, 9])
def test_blocks_give_each_sample_once_and_stay_together(length, block, epoch):
    order = BlockOrder(length, block, 3, epoch)
    indices = order.indices(np.arange(length))
    assert (np.sort(indices) == np.arange(length)).all()
    one_by_one = [int(order.indices(np.array([p]))[0]) for p in range(0, length, 37)]
    assert one_by_one == indices[::37].tolist()
    for start in range(0, length, 256):
        assert len(set((indices[start : start + 256] // block).tolist())) <= 2 * WINDOW + 256 // block


def test_blocks_differ_between_epochs_and_mix_labels_nearly_as_the_full_permutation():
    """1,000 sorted classes of 100 samples, blocks of 32: distinct classes in a batch of 256."""
    length = 100_000

    def classes(indices):
        return np.mean([len(set((batch // 100).tolist())) for batch in indices[: 256 * 390].reshape(-1, 256)])

    positions = np.arange(length)
    full = classes(Permutation(length, 0, 0).indices(positions))
    blocks = BlockOrder(length, 32, 0, 0).indices(positions)
    assert 225 < full < 229 and 15 < classes(blocks) < 45 and classes(positions) < 4
    assert (BlockOrder(length, 32, 0, 1).indices(positions[:64]) != blocks[:64]).any()


def test_quotas_are_exact():
    assert allocate_quotas([Fraction(1)] * 3, 100).tolist() == [34, 33, 33]
    assert allocate_quotas([Fraction(0.7), Fraction(0.3)], 10).tolist() == [7, 3]
    assert allocate_quotas([Fraction(10**9), Fraction(1)], 10).tolist() == [10, 0]


def test_strata_have_their_quotas_and_take_all_samples_in_turn():
    sizes, quotas = np.array([90, 7, 3]), np.array([34, 33, 33])
    order = StratifiedOrder(sizes, quotas, 5, True)
    counts = [np.zeros(size, np.int64) for size in sizes]
    drawn = set()
    for epoch in range(60):
        strata, numbers, repeats = order.at(np.arange(100), epoch)
        assert np.bincount(strata, minlength=3).tolist() == quotas.tolist()
        assert int(repeats.max()) <= order.max_repeats
        rows = set(zip([epoch] * 100, strata.tolist(), numbers.tolist(), repeats.tolist(), strict=True))
        assert len(rows) == 100 and not rows & drawn  # no two share their random numbers
        for stratum, number in zip(strata.tolist(), numbers.tolist(), strict=True):
            counts[stratum][number] += 1
        assert all(np.ptp(count) <= 1 for count in counts)


def test_a_position_far_out_costs_what_the_first_one_does():
    order = StratifiedOrder(np.array([10**9, 3 * 10**9]), np.array([3 * 10**9, 10**9]), 0, True)
    for start in (0, 10**9, 4 * 10**9 - 64):
        positions = np.arange(start, start + 64)
        members = order.at(positions, (1 << 24) - 1)
        assert (members.numbers < order.sizes[members.strata]).all()
        assert BlockOrder(4 * 10**9, 1000, 0, 5).indices(positions).max() < 4 * 10**9


def test_orders_are_pinned():
    assert BlockOrder(100, 4, 1, 2).indices(np.arange(8)).tolist() == [28, 84, 78, 24, 29, 95, 46, 37]
    assert BucketOrder(np.arange(100) % 7, 4, 1, 2).indices(np.arange(8)).tolist() == [33, 54, 26, 5, 4, 53, 11, 18]
    members = StratifiedOrder(np.array([5, 50]), np.array([28, 27]), 1, True).at(np.arange(6), 2)
    assert [array.tolist() for array in members] == [[0, 1, 1, 1, 0, 0], [0, 42, 0, 12, 4, 4], [4, 0, 0, 0, 1, 0]]


@pytest.mark.parametrize(("length", "bucket"), [(1, 1), (1, 8), (5, 2), (100, 4), (1000, 7), (4097, 16), (5000, 4096)])
def test_buckets_give_each_sample_once_and_the_same_one_by_one(length, bucket):
    lengths = np.random.default_rng(0).integers(0, 50, length)
    for epoch in (0, 1):
        order = BucketOrder(lengths, bucket, 3, epoch)
        indices = order.indices(np.arange(length))
        assert (np.sort(indices) == np.arange(length)).all()
        assert [int(order.indices(np.array([p]))[0]) for p in range(0, length, 37)] == indices[::37].tolist()


def test_buckets_hold_clips_of_nearly_one_length_and_differ_between_epochs():
    lengths = np.random.default_rng(1).integers(1000, 20_000, 20_000)
    epochs = [BucketOrder(lengths, 16, 0, epoch).indices(np.arange(20_000)).reshape(-1, 16) for epoch in (0, 1)]
    for batches in epochs:
        spreads = np.ptp(lengths[batches], axis=1)
        assert np.median(spreads) < 400  # of 19,000 / 64 a bucket
        means = lengths[batches].mean(axis=1)
        assert abs(np.corrcoef(means[1:], means[:-1])[0, 1]) < 0.1
    with_first = [set(next(row for row in batches.tolist() if 0 in row)) for batches in epochs]
    assert len(with_first[0] & with_first[1]) < 4
