"""Channel dropout."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics.color import diagonal
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import Statistics, Tone
from augsvc.ops.laws import INTEGERS
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class ChannelDropout(Tone):
    """Sets `count` of the three channels, chosen at random, to `value`; a grey canvas stays as it is."""

    identity: ClassVar[Settings] = {"count": 0}
    elsewhere = {"Kornia": "RandomChannelDropout", "Albumentations": "ChannelDropout"}
    op: Literal["channel_dropout"] = "channel_dropout"
    count: Annotated[Interval, Drawn(lane=1, low=0.0, high=3.0, law=INTEGERS, unit="channels")] = (1.0, 1.0)
    ranks: Annotated[Interval, Drawn(lane=2, low=0.0, high=1.0, count=3)] = (0.0, 1.0)
    value: Annotated[Interval, Drawn(lane=3, low=0.0, high=1.0, unit="of full scale")] = (0.0, 0.0)

    def matrix(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> F64:
        """The `count` channels of the smallest `ranks` are lost."""
        kept = np.ones((len(draw.selected), canvas.channels))
        if canvas.channels == 3:
            position = draw.value("ranks").argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
            kept = (position >= draw.value("count")[:, None]).astype(np.float64)
        matrix = diagonal(np.ones(len(kept)), np.zeros(len(kept)), canvas.channels) * kept[:, :, None]
        matrix[:, :, canvas.channels] = (1.0 - kept) * draw.value("value")[:, None]
        return matrix
