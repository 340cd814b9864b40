"""Decodes images: the only code that does so, from the bytes of a file to the array of a sample.

The result is a function of the bytes alone, so an image that cannot be decoded is a value too (`Undecodable`). The container is
walked first, and the library (Pillow) gets the file without its metadata. The format classes are called directly: `Image.open`
also applies a process-wide size limit, first with a warning (which cannot be caught safely beside other threads), and detects
some JPEGs as another format.
"""

import io
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from augsvc_client.decoding.containers.jpeg import strip_jpeg
from augsvc_client.decoding.containers.png import SIGNATURE, strip_png
from augsvc_client.decoding.containers.stripped_image import DAMAGED
from augsvc_client.decoding.containers.webp import strip_webp
from augsvc_client.decoding.errors import Undecodable

U8 = npt.NDArray[np.uint8]

_UPRIGHT: Mapping[int, Image.Transpose] = MappingProxyType(
    {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
)


def decode_image(data: bytes, channels: int, max_pixels: int, strict: bool = True) -> U8:
    """Decodes the first image of a JPEG, PNG or WebP file: uint8 H,W,C, contiguous and read-only (it may be shared).

    The EXIF orientation is applied. Colour to grey is Rec. 601 luma, grey to colour repeats it; alpha is dropped,
    16 bits are reduced to their upper 8, palettes and CMYK are converted to RGB. `channels` is 1 or 3.

    `strict` refuses JPEGs whose data the decoder repairs with a warning; without it, such pixels are decoded as they come.

    Raises:
        Undecodable: another format; more than `max_pixels` by its header, or too many segments or scans (checked before any
            pixel is decoded); damaged or truncated in a way that the decoder detects.
    """
    if channels not in (1, 3):
        raise ValueError(f"an image has 1 or 3 channels, not {channels}")
    try:
        return _decode(data, channels, max_pixels, strict)
    except (Undecodable, MemoryError):  # lack of memory is not a property of the bytes, so it must not become a value
        raise
    except Exception as err:  # on damaged data the library raises a dozen unrelated classes
        raise Undecodable(DAMAGED) from err


def _decode(data: bytes, channels: int, max_pixels: int, strict: bool) -> U8:
    library: type[ImageFile]
    if data.startswith(b"\xff\xd8\xff"):
        library, file = JpegImageFile, strip_jpeg(data, max_pixels, strict)
    elif data.startswith(SIGNATURE):
        library, file = PngImageFile, strip_png(data, max_pixels)
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        library, file = WebPImageFile, strip_webp(data, max_pixels)
    else:
        raise Undecodable("the file is not a JPEG, PNG or WebP image")
    with library(io.BytesIO(file.data)) as image:
        if image.size != (file.width, file.height):
            raise Undecodable(DAMAGED)
        image.load()
        upright = _to_mode(image, "L" if channels == 1 else "RGB")
    if file.orientation in _UPRIGHT:
        upright = upright.transpose(_UPRIGHT[file.orientation])
    pixels: U8 = np.asarray(upright)
    return pixels.reshape(upright.height, upright.width, channels)


def _to_mode(image: Image.Image, mode: str) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits: convert() would clip; the library reduces 16-bit colour the same way
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode not in ("L", "RGB"):
        image = image.convert("L" if image.mode in ("1", "LA") else "RGB")
    return image if image.mode == mode else image.convert(mode)
