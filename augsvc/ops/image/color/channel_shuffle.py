"""Channel shuffle."""

from itertools import permutations
from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics.color import diagonal
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import Statistics, Tone
from augsvc.ops.laws import INTEGERS
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

_ORDERS = np.array(list(permutations(range(3))))  # in lexicographic order, the identity first


class ChannelShuffle(Tone):
    """Permutes red, green and blue, as torchvision's RandomChannelPermutation; a grey canvas stays as it is."""

    identity: ClassVar[Settings] = {"order": 0}
    elsewhere = {
        "Kornia": "RandomChannelShuffle",
        "torchvision": "RandomChannelPermutation",
        "Albumentations": "ChannelShuffle",
    }
    op: Literal["channel_shuffle"] = "channel_shuffle"
    order: Annotated[Interval, Drawn(lane=1, low=0.0, high=5.0, law=INTEGERS)] = (0.0, 5.0)

    def matrix(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> F64:
        """Channel c becomes the former channel order[c], of the orders RGB, RBG, GRB, GBR, BRG, BGR numbered from 0."""
        n, channels = len(draw.selected), canvas.channels
        matrix = diagonal(np.ones(n), np.zeros(n), channels)
        if channels == 3:
            matrix[:, :, :3] = np.eye(3)[_ORDERS[draw.value("order").astype(np.int64)]]
        return matrix
