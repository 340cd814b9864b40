"""Where holes and stripes lie along a side."""

import numpy as np

from augsvc.arrays import F64


def place_spans(lengths: F64, places: F64, side: int) -> tuple[F64, F64]:
    """First and last pixel, exclusive, of spans along a side: lengths are fractions of it, rounded to whole pixels.

    `places` in [0, 1) make every position inside the side equally probable.
    """
    rounded = np.floor(lengths * side + 0.5)
    free = side - rounded
    first: F64 = np.minimum(np.floor((free + 1.0) * places), free)
    return first, first + rounded
