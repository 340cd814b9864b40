"""Whitening: the picture's own mean and spread taken out."""

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import field_validator

from augsvc.batch import F64
from augsvc.color import diagonal
from augsvc.errors import NotAvailable
from augsvc.geometry import Canvas
from augsvc.ops.base import Draw, Drawn, Interval, Statistics, Tone


class Whitening(Tone):
    """Blends the picture with its whitened self: its z-scores, 0 placed at 0.5 and a standard deviation at 0.25."""

    needs_statistics: ClassVar[bool] = True
    op: Literal["whitening"] = "whitening"
    mode: Literal["image", "color", "patch", "zca"] = "image"
    strength: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0)] = (1.0, 1.0)

    @field_validator("mode")
    @classmethod
    def _only_image(cls, mode: str) -> str:
        if mode != "image":
            raise NotAvailable("whitening has mode image only, so far", field="mode")
        return mode

    def matrix(self, draw: Draw, canvas: Canvas, statistics: Statistics | None) -> F64:
        """z = (v − mean) / max(std, 1/√count) over all channels, as tf.image.per_image_standardization has it."""
        if statistics is None:
            raise ValueError("whitening is lowered with statistics of the pixels")
        count = float(statistics.count)
        mean = statistics.total / count
        variance = np.maximum(statistics.squares / count - mean * mean, 0.0)
        spread = np.maximum(np.sqrt(variance) / 65280.0, 1.0 / np.sqrt(count))
        strength = draw.value("strength")
        gain = strength * (0.25 / spread)
        return diagonal(1.0 - strength + gain, strength * 0.5 - gain * (mean / 65280.0), canvas.channels)
