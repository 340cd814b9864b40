"""Exchanging pieces of a clip."""

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F32, I64
from augsvc.ops.kinds.sound_opaque import SoundOpaque
from augsvc.ops.laws import INTEGERS
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

_MOST = 16


class ChunkSwap(SoundOpaque):
    """Cuts the clip into pieces of equal length and puts them into a random order."""

    identity: ClassVar[Settings] = {"pieces": 1}
    ns_per_element: ClassVar[float] = 5.0
    bytes_per_element: ClassVar[float] = 8.0
    elsewhere = {"wav2aug": "chunk_swap"}
    op: Literal["chunk_swap"] = "chunk_swap"
    pieces: Annotated[Interval, Drawn(lane=1, low=1.0, high=_MOST, law=INTEGERS)] = (2.0, 10.0)
    order: Annotated[Interval, Drawn(lane=2, low=0.0, high=1.0, count=_MOST)] = (0.0, 1.0)  # sorted by these numbers

    def lower(self, draw: Draw, lengths: I64, rate: int) -> I64:
        """The pieces in their new order; −1 behind the last one."""
        pieces, order = draw.value("pieces").astype(np.int64), draw.columns("order")
        numbers = np.arange(_MOST)
        keys = np.where(numbers < pieces[:, None], order, 2.0)
        sorted_pieces: I64 = np.argsort(keys, axis=1, kind="stable")
        return np.where(numbers < pieces[:, None], sorted_pieces, -1)

    def change(self, clip: F32, lowered: I64, rate: int, samples: int, check: Callable[[], None]) -> F32:
        """Piece k of n begins at sample ⌊k · T / n⌋."""
        pieces = lowered[lowered >= 0].tolist()
        bounds = [k * len(clip) // len(pieces) for k in range(len(pieces) + 1)]
        return np.concatenate([clip[bounds[k] : bounds[k + 1]] for k in pieces])
