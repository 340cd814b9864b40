"""JPEG compression."""

from io import BytesIO
from typing import Annotated, ClassVar, Literal

import numpy as np
import simplejpeg
from PIL import Image

from augsvc.arrays import I64, U8
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.opaque import OnLevels
from augsvc.ops.laws import INTEGERS
from augsvc.ops.operation import Draw, Drawn, Interval


class Jpeg(OnLevels):
    """Compresses to JPEG and decodes it again, with colour at half of the resolution (4:2:0)."""

    continuous: ClassVar[bool] = False
    elsewhere = {"Kornia": "RandomJPEG", "torchvision": "JPEG", "Albumentations": "ImageCompression"}
    op: Literal["jpeg"] = "jpeg"
    quality: Annotated[Interval, Drawn(lane=1, low=1.0, high=100.0, law=INTEGERS, unit="JPEG quality")] = (30.0, 95.0)

    def lower(self, draw: Draw, canvas: Canvas) -> I64:
        """The quality: (N, 1)."""
        return draw.value("quality").astype(np.int64)[:, None]

    def apply_levels(self, levels: U8, lowered: I64) -> U8:
        """libjpeg's pixels, on the host: a version with other ones changes the arithmetic id by the self-test."""
        out = np.empty(levels.shape, np.uint8)
        for image, decoded, (quality,) in zip(levels, out, lowered.tolist(), strict=True):
            _round_trip(image, quality, decoded)
        return out


def _round_trip(levels: U8, quality: int, out: U8) -> None:
    """An image (H, W, C) through JPEG: encoded by Pillow, because simplejpeg has only the fast transform for that; decoded by
    simplejpeg, to Pillow's pixels in half of its time.
    """
    is_grey = levels.shape[2] == 1
    with BytesIO() as file:
        image = Image.fromarray(levels[..., 0] if is_grey else levels)
        image.save(file, "JPEG", quality=quality, subsampling="4:2:0")
        simplejpeg.decode_jpeg(file.getvalue(), "GRAY" if is_grey else "RGB", buffer=out)
