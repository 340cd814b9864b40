"""Where holes and stripes lie along a side, and rectangles on a canvas."""

import numpy as np

from augsvc.arrays import F64, I64
from augsvc.numerics.geometry import Canvas
from augsvc.ops.operation import Draw


def place_spans(lengths: F64, places: F64, side: int) -> tuple[F64, F64]:
    """First and last pixel, exclusive, of spans along a side: lengths are fractions of it, rounded to whole pixels.

    `places` in [0, 1) make every position inside the side equally probable.
    """
    rounded = np.floor(lengths * side + 0.5)
    free = side - rounded
    first: F64 = np.minimum(np.floor((free + 1.0) * places), free)
    return first, first + rounded


def place_rectangles(draw: Draw, count: int, canvas: Canvas) -> I64:
    """Whole pixels (N, count, 4) of rectangles that share `scale` of the area, by their `ratio`, `place_x` and `place_y`.

    A side that does not fit is clamped.
    """
    height, width = float(canvas.height), float(canvas.width)
    scale, ratio, place_x, place_y = (
        draw.value(name).reshape(-1, count) for name in ("scale", "ratio", "place_x", "place_y")
    )
    area = scale * (height * width) / count
    erased_width = np.minimum(np.floor(np.sqrt(area * ratio) + 0.5), width)
    erased_height = np.minimum(np.floor(np.sqrt(area / ratio) + 0.5), height)
    left = np.floor((width - erased_width) * place_x + 0.5)
    top = np.floor((height - erased_height) * place_y + 0.5)
    return np.stack((left, top, left + erased_width, top + erased_height), axis=-1).astype(np.int64)
