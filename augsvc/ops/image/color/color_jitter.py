"""Colour jitter."""

from itertools import permutations
from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F64, I64, Bools
from augsvc.numerics import exact
from augsvc.numerics.color import LUMA, blend_with_grey, color_product, diagonal
from augsvc.numerics.geometry import Canvas
from augsvc.ops.image.color.pivot import Pivot, measure_pivot, pivot_statistics
from augsvc.ops.kinds.image import Hsv, Statistics, Tone
from augsvc.ops.laws import INTEGERS
from augsvc.ops.operation import AddedLater, Draw, Drawn, Interval, Settings, Statistic

_CONTRAST, _HUE = 1, 3
_ORDERS = np.array(list(permutations(range(4))))  # in lexicographic order, the order of the fields first


class ColorJitter(Tone):
    """Scales brightness, contrast and saturation, and rotates hue, in that order or in a drawn one.

    `pivot` is the value that contrast leaves alone: 0.5 (`middle`), 0 (`black`), or the image's mean luma at that point
    (`mean`, as in Pillow and torchvision). `order` numbers the 24 orders lexicographically: [0, 23] draws one, as in torchvision.
    `space` is where hue is turned: `linear`, about the grey axis, or `hsv`, as in these libraries.

    What is linear is one matrix: values are clamped after it, not between its parts as in these libraries. With hue in HSV there
    is one before it and one after it.
    """

    examples: ClassVar[tuple[Settings, ...]] = (
        {},
        {"pivot": "mean", "order": [0, 23]},
        {"pivot": "black"},
        {"space": "hsv"},
        {"space": "hsv", "order": [0, 23], "pivot": "mean"},
    )
    identity: ClassVar[Settings] = {"brightness": 1, "contrast": 1, "saturation": 1, "hue": 0}
    elsewhere = {"Kornia": "ColorJitter, ColorJiggle", "torchvision": "ColorJitter", "Albumentations": "ColorJitter"}
    op: Literal["color_jitter"] = "color_jitter"
    brightness: Annotated[Interval, Drawn(lane=1, low=0.0, high=4.0, unit="×")] = (0.8, 1.2)
    contrast: Annotated[Interval, Drawn(lane=2, low=0.0, high=4.0, unit="×")] = (0.8, 1.2)
    saturation: Annotated[Interval, Drawn(lane=3, low=0.0, high=4.0, unit="×")] = (0.8, 1.2)
    hue: Annotated[Interval, Drawn(lane=4, low=-0.5, high=0.5, unit="turns")] = (-0.05, 0.05)
    order: Annotated[Interval, Drawn(lane=5, low=0.0, high=23.0, law=INTEGERS), AddedLater()] = (0.0, 0.0)
    pivot: Annotated[Pivot, AddedLater()] = "middle"
    space: Annotated[Literal["linear", "hsv"], AddedLater()] = "linear"

    @property
    def statistics(self) -> frozenset[Statistic]:
        """Moments for a pivot at the mean."""
        return pivot_statistics(self.pivot)

    def matrix(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> F64:
        """One matrix for all four, or for what comes before hue in HSV; grey images have neither saturation nor hue.

        Saturation blends with the Rec. 601 luma. Hue rotates about the grey axis (1 is a full turn): linear, not HSV's.
        """
        order, hue = self._order(draw)
        applies = order >= 0 if self.space == "linear" else np.arange(4) < hue
        return self._merge(order, applies, draw, canvas, statistics)

    def hsv(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> Hsv | None:
        """Hue in HSV."""
        return Hsv.turn(draw.value("hue")) if self.space == "hsv" else None

    def final_matrix(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> F64 | None:
        """What comes after hue in HSV, which is nothing in the order of the fields."""
        if not self._ends_after_hue:
            return None
        order, hue = self._order(draw)
        return self._merge(order, np.arange(4) > hue, draw, canvas, statistics)

    @property
    def final_statistics(self) -> frozenset[Statistic]:
        """Moments for a pivot at the mean, if contrast may come after hue in HSV."""
        return pivot_statistics(self.pivot) if self._ends_after_hue else frozenset()

    @property
    def _ends_after_hue(self) -> bool:
        return self.space == "hsv" and self.order != (0.0, 0.0)

    def _order(self, draw: Draw) -> tuple[I64, I64]:
        """The parts in order (N, 4), and which of them is hue (N, 1)."""
        order = _ORDERS[draw.value("order").astype(np.int64)]
        return order, np.argmax(order == _HUE, axis=1)[:, None]

    def _merge(self, order: I64, applies: Bools, draw: Draw, canvas: Canvas, statistics: Statistics) -> F64:
        """The parts of `order` (N, 4) that apply, as one matrix."""
        channels, contrast = canvas.channels, draw.value("contrast")
        total = diagonal(contrast * 0 + 1.0, contrast * 0, channels)
        parts = [
            diagonal(draw.value("brightness"), contrast * 0, channels),
            total,
            blend_with_grey(draw.value("saturation"), LUMA, channels),
            _hue_matrix(draw.value("hue")) if channels == 3 else total,
        ]
        for index, applied in zip(order.T, np.broadcast_to(applies, order.shape).T, strict=True):
            if (index == _CONTRAST).any():
                pivot = measure_pivot(self.pivot, total, statistics)
                parts[_CONTRAST] = diagonal(contrast, pivot - pivot * contrast, channels)
            if applied.all() and (index == index[0]).all():
                total = color_product(parts[index[0]], total)
            else:
                product = color_product(np.choose(index[:, None, None], parts), total)
                total = np.where(applied[:, None, None], product, total)
        return total


def _hue_matrix(turns: F64) -> F64:
    """Rodrigues' rotation about (1, 1, 1)/√3: (N, 3, 4)."""
    sin, cos = exact.sincos(turns * 360.0)
    same = cos + (1.0 - cos) / 3.0
    following = (1.0 - cos) / 3.0 - sin / np.sqrt(3.0)
    preceding = (1.0 - cos) / 3.0 + sin / np.sqrt(3.0)
    matrix = np.zeros((len(turns), 3, 4))
    for c in range(3):
        matrix[:, c, c], matrix[:, c, (c + 1) % 3], matrix[:, c, (c + 2) % 3] = same, following, preceding
    return matrix
