"""Whitening: the picture's own mean and spread taken out, or the dataset's mean colour and covariance of colours."""

from typing import Annotated, Literal

import numpy as np
from pydantic import BeforeValidator

from augsvc.arrays import F64
from augsvc.errors import NotAvailable
from augsvc.numerics.color import diagonal
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import Statistics, Tone
from augsvc.ops.operation import Draw, Drawn, Interval

_MIDDLE, _SPREAD = 0.5, 0.25  # where a whitened value of 0 is placed, and a standard deviation


def _built(mode: object) -> object:
    if mode in ("patch", "zca"):
        raise NotAvailable("whitening has the modes image and color, so far", field="mode")
    return mode


class Whitening(Tone):
    """Blends the picture with its whitened self, 0 placed at 0.5 and a standard deviation at 0.25.

    Mode `image` takes the picture's own mean and spread out, over all channels. Mode `color` takes out the dataset's mean
    colour, and makes the channels of its pixels uncorrelated and equally wide (ZCA: of all such maps the one that changes
    colours least); its numbers are fitted once for the dataset.
    """

    op: Literal["whitening"] = "whitening"
    mode: Annotated[Literal["image", "color"], BeforeValidator(_built)] = "image"
    strength: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0)] = (1.0, 1.0)

    @property
    def needs_statistics(self) -> bool:
        """In mode `image`."""
        return self.mode == "image"

    @property
    def needs_fitted(self) -> bool:
        """In mode `color`."""
        return self.mode == "color"

    def matrix(self, draw: Draw, canvas: Canvas, statistics: Statistics | None) -> F64:
        """v' = (1 − strength)·v + strength·(0.5 + 0.25·z), with the z of the mode."""
        strength = draw.value("strength")
        if self.mode == "color":
            return _color(strength, canvas)
        if statistics is None:
            raise ValueError("whitening is lowered with statistics of the pixels")
        return _image(strength, canvas.channels, statistics)


def _image(strength: F64, channels: int, statistics: Statistics) -> F64:
    """z = (v − mean) / max(std, 1/√count) over all channels, as tf.image.per_image_standardization has it."""
    count = float(statistics.count)
    mean = statistics.total / count
    variance = np.maximum(statistics.squares / count - mean * mean, 0.0)
    spread = np.maximum(np.sqrt(variance) / 65280.0, 1.0 / np.sqrt(count))
    gain = strength * (_SPREAD / spread)
    return diagonal(1.0 - strength + gain, strength * _MIDDLE - gain * (mean / 65280.0), channels)


def _color(strength: F64, canvas: Canvas) -> F64:
    """z = W·(v − μ) with the dataset's mean colour μ and W = (Σ + εI)^(−1/2) (ZCA: Bell & Sejnowski, 1997)."""
    if canvas.colors is None:
        raise ValueError("whitening is lowered with statistics of the dataset")
    fitted = canvas.colors.whitening(canvas.channels)
    matrix = diagonal(1.0 - strength, strength * _MIDDLE, canvas.channels)
    for c, row in enumerate(fitted.matrix):
        for k, weight in enumerate(row):
            gain = strength * (_SPREAD * weight)
            matrix[:, c, k] += gain
            matrix[:, c, canvas.channels] -= gain * fitted.mean[k]
    return matrix
