"""Which samples take part in which calls of a plan, and where each is encoded: as soon as no later call changes it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from augsvc.arrays import I64
from augsvc.executors.fused.lower_image import Segment
from augsvc.ops.operation import Draw


class Rows(NamedTuple):
    """The samples of a call: those that it encodes, and those whose values it keeps for a later one."""

    encoded: I64
    kept: I64


def schedule_rows(
    steps: Sequence[Segment], moved: Sequence[bool], draws: Sequence[Draw], n: int, encodes: bool
) -> list[Rows]:
    """The samples of each of a plan's calls. The first one reads the sources of all `n`; an opaque operation encodes none.

    `moved` calls write to another canvas, whereto all samples follow that are not encoded yet.
    """
    changed = np.zeros((len(steps), n), dtype=np.bool_)
    changed[0] = True
    for k, segment in enumerate(steps):
        for index in segment.indices:
            changed[k] |= draws[index].selected
    last = len(steps) - 1 - changed[::-1].argmax(axis=0) if encodes else np.full(n, len(steps))
    for k, segment in enumerate(steps):
        if segment.opaque:
            last[last == k] += 1
    return [
        Rows(np.flatnonzero(last == k), np.flatnonzero((last > k) & (changed[k] | moved[k]))) for k in range(len(steps))
    ]
