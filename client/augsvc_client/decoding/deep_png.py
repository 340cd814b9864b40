"""PNG of 16 bits a channel, whole: Pillow keeps all bits of grey images only."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt

from augsvc_client.decoding.whole_png import WholePng, require_declared_rows

U8 = npt.NDArray[np.uint8]
U16 = npt.NDArray[np.uint16]

_COLOR_TYPE = 25  # the byte of the header
_GREY, _COLOR, _GREY_ALPHA, _COLOR_ALPHA = 0, 2, 4, 6


def read_deep_png(data: bytes) -> U16:
    """The numbers (H, W, C) of a stripped PNG of 16 bits, with C of 1 or 3; alpha is dropped.

    Colour is decoded twice, once for the upper and once for the lower bytes: Pillow's raw modes "RGB;16B" and "RGB;16L" keep
    the first and the second byte of each number. Grey with alpha is decoded as four channels of 8 bits.
    """
    color_type = data[_COLOR_TYPE]
    if color_type == _GREY:
        grey: U16 = _load(data)[..., None]
        return grey
    if color_type == _GREY_ALPHA:
        pixels = _load(data, "RGBA")
        return _join(pixels[..., 0:1], pixels[..., 1:2])
    mode = "RGB" if color_type == _COLOR else "RGBA"
    return _join(_load(data, f"{mode};16B")[..., :3], _load(data, f"{mode};16L")[..., :3])


def decompressed_bytes(data: bytes) -> int:
    """The bytes of a pixel that `read_deep_png` decompresses, those of colour twice."""
    return {_GREY: 2, _COLOR: 12, _GREY_ALPHA: 4, _COLOR_ALPHA: 16}[data[_COLOR_TYPE]]


def _join(upper: U8, lower: U8) -> U16:
    numbers = upper.astype(np.uint16)
    numbers <<= 8
    numbers |= lower
    return numbers


def _load(data: bytes, raw_mode: str | None = None) -> npt.NDArray[Any]:
    with WholePng(io.BytesIO(data)) as image:
        if raw_mode is not None:
            image.tile = [tile._replace(args=raw_mode) for tile in image.tile]
        image.load()
        require_declared_rows(image)
        return np.asarray(image)
