"""Photometric distortion."""

from itertools import permutations
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, StrictBool

from augsvc.arrays import F64, Bools
from augsvc.numerics.color import LUMA, blend_with_grey, color_product, diagonal
from augsvc.numerics.geometry import Canvas
from augsvc.ops.image.color.pivot import Pivot, measure_pivot, pivot_statistics
from augsvc.ops.kinds.image import Hsv, Statistics, Tone
from augsvc.ops.laws import INTEGERS
from augsvc.ops.operation import AddedLater, Draw, Drawn, Interval, Settings, Statistic

_ORDERS = np.array(list(permutations(range(3))))
_BRIGHTNESS, _CONTRAST, _SATURATION, _HUE, _PERMUTATION, _CONTRAST_FIRST = range(6)


class PhotometricDistort(Tone):
    """Brightness, contrast, saturation, hue and a permutation of the channels, each with probability `chance`.

    As torchvision's RandomPhotometricDistort: contrast comes after brightness, or after hue, with equal probabilities; hue is
    HSV's. `brightness_shift` is added with the brightness, and with `hsv_saturation` HSV's saturation is multiplied, not the
    distance from grey: with a brightness of 1, a shift of ±32/255 and pivot `black` it is MMSegmentation's
    PhotoMetricDistortion. Values are clamped before hue is turned and at the end, not after each part. `choices` decide: of
    brightness, contrast, saturation, hue and permutation those apply whose number is below `chance`; contrast is first if the
    sixth is below 0.5.
    """

    examples: ClassVar[tuple[Settings, ...]] = ({}, {"pivot": "black"}, {"pivot": "middle"})
    identity: ClassVar[Settings] = {"brightness": 1, "contrast": 1, "saturation": 1, "hue": 0, "permutation": 0}
    elsewhere = {"torchvision": "RandomPhotometricDistort", "MMSegmentation": "PhotoMetricDistortion"}
    op: Literal["photometric_distort"] = "photometric_distort"
    pivot: Pivot = "mean"
    chance: Annotated[float, Field(ge=0.0, le=1.0, strict=True)] = 0.5
    brightness: Annotated[Interval, Drawn(lane=1, low=0.0, high=4.0, unit="×")] = (0.875, 1.125)
    contrast: Annotated[Interval, Drawn(lane=2, low=0.0, high=4.0, unit="×")] = (0.5, 1.5)
    saturation: Annotated[Interval, Drawn(lane=3, low=0.0, high=4.0, unit="×")] = (0.5, 1.5)
    hue: Annotated[Interval, Drawn(lane=4, low=-0.5, high=0.5, unit="turns")] = (-0.05, 0.05)
    permutation: Annotated[Interval, Drawn(lane=5, low=0.0, high=5.0, law=INTEGERS)] = (0.0, 5.0)
    brightness_shift: Annotated[Interval, Drawn(lane=8, low=-1.0, high=1.0, unit="of full scale"), AddedLater()] = (
        0.0,
        0.0,
    )
    hsv_saturation: Annotated[StrictBool, AddedLater()] = False
    choices: Annotated[Interval, Drawn(lane=6, low=0.0, high=1.0, count=6)] = (0.0, 1.0)

    @property
    def statistics(self) -> frozenset[Statistic]:
        """Moments for a pivot at the mean."""
        return pivot_statistics(self.pivot)

    def matrix(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> F64:
        """Brightness, contrast if it is first, and saturation."""
        brightness = self._factor(draw, "brightness", _BRIGHTNESS)
        contrast = np.where(self._is_contrast_first(draw), self._factor(draw, "contrast", _CONTRAST), 1.0)
        shift = np.where(self._applies(draw, _BRIGHTNESS), draw.value("brightness_shift"), 0.0)
        matrix = diagonal(brightness, shift, canvas.channels)
        matrix = color_product(self._contrast(contrast, matrix, statistics), matrix)
        if self.hsv_saturation:
            return matrix
        saturation = self._factor(draw, "saturation", _SATURATION)
        return color_product(blend_with_grey(saturation, LUMA, canvas.channels), matrix)

    def hsv(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> Hsv:
        """Hue, and with `hsv_saturation` saturation."""
        change = Hsv.turn(np.where(self._applies(draw, _HUE), draw.value("hue"), 0.0))
        if not self.hsv_saturation:
            return change
        return change._replace(saturation_gain=self._factor(draw, "saturation", _SATURATION))

    def final_matrix(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> F64:
        """Contrast if it is last, and the permutation."""
        contrast = np.where(self._is_contrast_first(draw), 1.0, self._factor(draw, "contrast", _CONTRAST))
        identity = diagonal(contrast * 0 + 1.0, contrast * 0, canvas.channels)
        matrix = self._contrast(contrast, identity, statistics)
        if canvas.channels == 1:
            return matrix
        number = np.where(self._applies(draw, _PERMUTATION), draw.value("permutation"), 0.0)
        return np.take_along_axis(matrix, _ORDERS[number.astype(np.int64)][:, :, None], axis=1)

    @property
    def final_statistics(self) -> frozenset[Statistic]:
        """Moments for a pivot at the mean."""
        return pivot_statistics(self.pivot)

    def _contrast(self, factor: F64, matrix: F64, statistics: Statistics) -> F64:
        """Contrast of images after `matrix`."""
        pivot = measure_pivot(self.pivot, matrix, statistics)
        return diagonal(factor, pivot * (1.0 - factor), matrix.shape[1])

    def _factor(self, draw: Draw, name: str, part: int) -> F64:
        """A drawn factor, 1 where it does not apply."""
        return np.where(self._applies(draw, part), draw.value(name), 1.0)

    def _applies(self, draw: Draw, part: int) -> Bools:
        return draw.value("choices")[:, part] < self.chance

    def _is_contrast_first(self, draw: Draw) -> Bools:
        return draw.value("choices")[:, _CONTRAST_FIRST] < 0.5
