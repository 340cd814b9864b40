"""Permutations of many groups, evaluated together: each value in its own group's permutation.

The network is that of `augsvc.numerics.permutation`, with the sides, and the counter, of each value's group.
"""

import numpy as np

from augsvc.arrays import I64
from augsvc.numerics.rng import GROUP_KEY, philox4x32, seed_key

_ROUNDS = 8
_MAX_GROUPS = 1 << 29  # the group shares a counter word with the round


def permute_in_groups(values: I64, lengths: I64, groups: I64, passes: I64, seed: int) -> I64:
    """Each value's image under the permutation of [0, length) that its group has in a pass; all are int64 (N,).

    Counters take a pass modulo 2^32, so the permutations of a group repeat after as many passes.
    """
    if values.size and not (int(values.min()) >= 0 and (values < lengths).all() and int(groups.max()) < _MAX_GROUPS):
        raise ValueError("a value lies outside its group, or a group has no counter")
    a = np.maximum(1, np.ceil(np.sqrt(lengths)).astype(np.int64))  # exact below 2^52
    b = -(-lengths // a)
    result = values.copy()
    outside = np.ones(result.shape, dtype=np.bool_)
    while outside.any():
        rows = np.flatnonzero(outside)
        result[rows] = _network(result[rows], a[rows], b[rows], groups[rows], passes[rows], seed)
        outside = result >= lengths
    return result


def _network(values: I64, a: I64, b: I64, groups: I64, passes: I64, seed: int) -> I64:
    left, right = values // b, values % b
    for index in range(_ROUNDS):
        half, modulus = (right, a) if index % 2 == 0 else (left, b)
        counter = (half, GROUP_KEY, groups << 3 | index, passes & 0xFFFFFFFF)
        low, high, _, _ = philox4x32(counter, seed_key(seed))
        word = low.astype(np.uint64) | (high.astype(np.uint64) << np.uint64(32))
        step = (word % modulus.astype(np.uint64)).astype(np.int64)
        if index % 2 == 0:
            left = (left + step) % a
        else:
            right = (right + step) % b
    return left * b + right
