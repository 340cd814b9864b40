"""Whitening: standardises an image by its mean and standard deviation, or by the dataset's mean colour and covariance."""

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import BeforeValidator

from augsvc.arrays import F64
from augsvc.errors import NotAvailable
from augsvc.numerics.color import diagonal
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import WHITE, Moments, Statistics, Tone
from augsvc.ops.operation import Draw, Drawn, Interval, Settings, Statistic

_MEAN, _STD = 0.5, 0.25  # of whitened values


def _available(mode: object) -> object:
    if mode in ("patch", "zca"):
        raise NotAvailable("whitening has the modes image and color, so far", field="mode")
    return mode


class Whitening(Tone):
    """Blends the image with its standardised version, of mean 0.5 and standard deviation 0.25.

    Mode `image` standardises by the mean and standard deviation of the image, over all channels. Mode `color` subtracts the
    dataset's mean colour and decorrelates the channels to unit variance (ZCA: of all such maps the one that changes colours
    least); its statistics are fitted once per dataset.
    """

    examples: ClassVar[tuple[Settings, ...]] = ({}, {"mode": "color"})
    identity: ClassVar[Settings] = {"strength": 0}
    elsewhere = {"torchvision": "LinearTransformation"}
    op: Literal["whitening"] = "whitening"
    mode: Annotated[Literal["image", "color"], BeforeValidator(_available)] = "image"
    strength: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0)] = (1.0, 1.0)

    @property
    def statistics(self) -> frozenset[Statistic]:
        """Moments in mode `image`."""
        return frozenset({Statistic.MOMENTS}) if self.mode == "image" else frozenset()

    @property
    def needs_fitted(self) -> bool:
        """True in mode `color`."""
        return self.mode == "color"

    def matrix(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> F64:
        """v' = (1 − strength)·v + strength·(0.5 + 0.25·z), with the z of the mode."""
        strength = draw.value("strength")
        if self.mode == "color":
            return _color_matrix(strength, canvas)
        return _image_matrix(strength, canvas.channels, statistics.require_moments())


def _image_matrix(strength: F64, channels: int, moments: Moments) -> F64:
    """z = (v − mean) / max(std, 1/√count) over all channels, as in tf.image.per_image_standardization."""
    count = float(moments.count * channels)
    mean = moments.total.sum(axis=1) / count
    variance = np.maximum(moments.squares.sum(axis=1) / count - mean * mean, 0.0)
    std = np.maximum(np.sqrt(variance) / WHITE, 1.0 / np.sqrt(count))
    gain = strength * (_STD / std)
    return diagonal(1.0 - strength + gain, strength * _MEAN - gain * (mean / WHITE), channels)


def _color_matrix(strength: F64, canvas: Canvas) -> F64:
    """z = W·(v − μ) with the dataset's mean colour μ and W = (Σ + εI)^(−1/2) (ZCA: Bell & Sejnowski, 1997)."""
    if canvas.colors is None:
        raise ValueError("whitening needs statistics of the dataset")
    fitted = canvas.colors.whitening(canvas.channels)
    matrix = diagonal(1.0 - strength, strength * _MEAN, canvas.channels)
    for c, row in enumerate(fitted.matrix):
        for k, weight in enumerate(row):
            gain = strength * (_STD * weight)
            matrix[:, c, k] += gain
            matrix[:, c, canvas.channels] -= gain * fitted.mean[k]
    return matrix
