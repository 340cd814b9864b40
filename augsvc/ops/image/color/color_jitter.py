"""Colour jitter."""

from itertools import permutations
from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics import exact
from augsvc.numerics.color import LUMA, blend_with_grey, color_product, diagonal
from augsvc.numerics.geometry import Canvas
from augsvc.ops.image.color.pivot import Pivot, measure_pivot, pivot_statistics
from augsvc.ops.kinds.image import Hsv, Statistics, Tone
from augsvc.ops.laws import INTEGERS
from augsvc.ops.operation import AddedLater, Draw, Drawn, Interval, Settings, Statistic

_HUE = 3
_ORDERS = np.array(list(permutations(range(4))))  # in lexicographic order, the order of the fields first


class ColorJitter(Tone):
    """Scales brightness, contrast and saturation, and rotates hue, in that order or in a drawn one.

    `pivot` is the value that contrast leaves alone: 0.5 (`middle`), 0 (`black`), or the image's mean luma at that point
    (`mean`, as in Pillow and torchvision). `order` numbers the 24 orders lexicographically: [0, 23] draws one, as in torchvision.
    `space` is where hue is turned: `linear`, about the grey axis, or `hsv`, as in these libraries.

    What is linear is one matrix: values are clamped after it, not between its parts as in these libraries. With hue in HSV there
    is one before and one after, and the mean luma of a contrast that comes after is that before hue is turned.
    """

    examples: ClassVar[tuple[Settings, ...]] = (
        {},
        {"pivot": "mean", "order": [0, 23]},
        {"pivot": "black"},
        {"space": "hsv"},
        {"space": "hsv", "order": [0, 23]},
    )
    identity: ClassVar[Settings] = {"brightness": 1, "contrast": 1, "saturation": 1, "hue": 0}
    op: Literal["color_jitter"] = "color_jitter"
    brightness: Annotated[Interval, Drawn(lane=1, low=0.0, high=4.0)] = (0.8, 1.2)
    contrast: Annotated[Interval, Drawn(lane=2, low=0.0, high=4.0)] = (0.8, 1.2)
    saturation: Annotated[Interval, Drawn(lane=3, low=0.0, high=4.0)] = (0.8, 1.2)
    hue: Annotated[Interval, Drawn(lane=4, low=-0.5, high=0.5)] = (-0.05, 0.05)
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
        total, before, _ = self._matrices(draw, canvas, statistics)
        return total if self.space == "linear" else before

    def hsv(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> Hsv | None:
        """Hue in HSV."""
        return Hsv.turn(draw.value("hue")) if self.space == "hsv" else None

    def final_matrix(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> F64 | None:
        """What comes after hue in HSV, which is nothing in the order of the fields."""
        if self.space == "linear" or self.order == (0.0, 0.0):
            return None
        return self._matrices(draw, canvas, statistics)[2]

    def _matrices(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> tuple[F64, F64, F64]:
        """The maps of all parts, of those before hue and of those after it; hue in HSV is in none of them."""
        channels, contrast = canvas.channels, draw.value("contrast")
        total = before = after = diagonal(contrast * 0 + 1.0, contrast * 0, channels)
        brightness = diagonal(draw.value("brightness"), contrast * 0, channels)
        saturation = blend_with_grey(draw.value("saturation"), LUMA, channels)
        hue = _hue_matrix(draw.value("hue")) if channels == 3 and self.space == "linear" else total
        hue_done = np.zeros((len(contrast), 1, 1), np.bool_)
        for step in _ORDERS[draw.value("order").astype(np.int64)].T[:, :, None, None]:
            pivot = measure_pivot(self.pivot, total, statistics)
            steps = (brightness, diagonal(contrast, pivot - pivot * contrast, channels), saturation, hue)
            chosen = np.choose(step, steps)
            total = color_product(chosen, total)
            after = np.where(hue_done, color_product(chosen, after), after)
            hue_done = hue_done | (step == _HUE)
            before = np.where(hue_done, before, total)
        return total, before, after


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
