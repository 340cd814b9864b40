"""Decodes images: the only code that does so, from the bytes of a file to the array of a sample.

The result is a function of the bytes alone, so an image that cannot be decoded is a value too (`Undecodable`). The container is
walked first, and the library (simplejpeg for JPEGs without damage, Pillow for all others) gets the file without its metadata.
Pillow's format classes are called directly: `Image.open` also applies a process-wide size limit, first with a warning (which
cannot be caught safely beside other threads), and detects some JPEGs as another format.
"""

import io
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.WebPImagePlugin import WebPImageFile

from augsvc_client.decoding.containers.foreign import name_foreign
from augsvc_client.decoding.containers.jpeg import strip_jpeg
from augsvc_client.decoding.containers.png import SIGNATURE, has_16_bits, strip_png
from augsvc_client.decoding.containers.stripped_image import DAMAGED, StrippedImage, require_bytes
from augsvc_client.decoding.containers.webp import strip_webp
from augsvc_client.decoding.deep_png import decompressed_bytes, read_deep_png
from augsvc_client.decoding.errors import Undecodable
from augsvc_client.decoding.tiff import is_tiff, read_tiff
from augsvc_client.decoding.whole_jpeg import Allocate, allocate_nothing, read_whole_jpeg, require_undamaged
from augsvc_client.decoding.whole_png import WholePng, require_declared_rows
from augsvc_client.decoding.whole_webp import require_read_to_end
from augsvc_client.decoding.window import U16, Window, apply_window, to_channels

FACTORS = (8, 4, 2)  # that JPEGs are decoded smaller by: at others libjpeg has no fast transform

U8 = npt.NDArray[np.uint8]
Numbers = npt.NDArray[Any]  # H,W,C as they are stored
T = TypeVar("T")


def decode_image(
    data: bytes,
    channels: int,
    max_pixels: int,
    strict: bool = True,
    factor: int = 1,
    allocate: Allocate = allocate_nothing,
) -> U8:
    """Decodes the first image of a JPEG, PNG or WebP file: uint8 H,W,C, contiguous and read-only (it may be shared).

    The EXIF orientation is applied. Colour to grey is Rec. 601 luma, grey to colour repeats it; alpha is dropped,
    16 bits are reduced to their upper 8, palettes and CMYK are converted to RGB. `channels` is 1 or 3.

    `strict` refuses JPEGs whose data the decoder repairs with a warning, and lossy WebPs whose data it does not read to their
    end; without it, such pixels are decoded as they come.
    A `factor` of 2, 4 or 8 decodes a JPEG to ⌈H / factor⌉ × ⌈W / factor⌉, if simplejpeg reads it; other files are decoded whole.
    `allocate` may give memory for the pixels of a JPEG, by their bytes.

    Raises:
        Undecodable: another format; more than `max_pixels` by its header, or too many segments or scans (checked before any
            pixel is decoded); damaged or truncated in a way that the decoder detects.
    """
    _require_channels(channels)
    return _without_library_errors(lambda: _decode(data, channels, max_pixels, strict, factor, allocate))


def read_upright_size(data: bytes, max_pixels: int) -> tuple[int, int] | None:
    """The (H, W) of a JPEG as it is seen, by its header; None of other files, and of those that are refused by their header."""
    try:
        library, file = _strip(data, max_pixels)
    except Exception:  # the decoder says how it is damaged
        return None
    if library is not JpegImageFile:
        return None
    return (file.width, file.height) if file.orientation in (5, 6, 7, 8) else (file.height, file.width)


def decode_window(data: bytes, channels: int, max_pixels: int, window: Window, strict: bool = True) -> U16:
    """Decodes the first image of a JPEG, PNG, WebP or TIFF file: uint16 H,W,C, contiguous and read-only.

    The file's numbers, of up to 32 bits or floats, become values 0 … 65,280 without passing through 8 bits: `window`'s ends are
    black and white, what lies outside is clamped. Orientation, alpha and `channels` are treated as by `decode_image`; colour to
    grey is the luma of the values. `strict` as there.

    Raises:
        Undecodable: as `decode_image`; or a number is NaN or infinite, or a TIFF of another kind (`read_tiff`).
    """
    _require_channels(channels)
    return _without_library_errors(lambda: _decode_window(data, channels, max_pixels, window, strict))


def read_numbers(data: bytes, max_pixels: int, strict: bool = True) -> Numbers:
    """The numbers (H, W, C) of the first image of a file as they are stored, with C of 1 or 3; raises as `decode_window`."""
    return _without_library_errors(lambda: _read(data, max_pixels, strict)[0])


def _require_channels(channels: int) -> None:
    if channels not in (1, 3):
        raise ValueError(f"an image has 1 or 3 channels, not {channels}")


def _without_library_errors(decode: Callable[[], T]) -> T:
    try:
        return decode()
    except (Undecodable, MemoryError):  # lack of memory is not a property of the bytes, so it must not become a value
        raise
    except Exception as err:  # on damaged data the library raises a dozen unrelated classes
        raise Undecodable(DAMAGED) from err


def _decode(data: bytes, channels: int, max_pixels: int, strict: bool, factor: int, allocate: Allocate) -> U8:
    file, pixels = _read_bytes(data, max_pixels, strict, factor, allocate)
    if pixels.shape[2] < channels:
        pixels = np.repeat(pixels, channels, axis=2)
    elif pixels.shape[2] > channels:
        pixels = np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
    pixels = np.ascontiguousarray(_turn(pixels, file.orientation))
    pixels.setflags(write=False)
    return pixels


def _decode_window(data: bytes, channels: int, max_pixels: int, window: Window, strict: bool) -> U16:
    numbers, orientation = _read(data, max_pixels, strict)
    values = to_channels(apply_window(numbers, window), channels)
    values = np.ascontiguousarray(_turn(values, orientation))
    values.setflags(write=False)
    return values


def _read(data: bytes, max_pixels: int, strict: bool) -> tuple[Numbers, int]:
    """Numbers (H, W, C) with C of 1 or 3, as they are stored, and the orientation."""
    if is_tiff(data):
        return read_tiff(data, max_pixels)
    if has_16_bits(data):
        file = strip_png(data, max_pixels)
        require_bytes(file.width, file.height, decompressed_bytes(file.data), max_pixels)
        return read_deep_png(file.data), file.orientation
    file, pixels = _read_bytes(data, max_pixels, strict)
    return pixels, file.orientation


def _read_bytes(
    data: bytes, max_pixels: int, strict: bool, factor: int = 1, allocate: Allocate = allocate_nothing
) -> tuple[StrippedImage, U8]:
    """The stripped file, and its pixels (H, W, 1 or 3) as they are stored, of 16 bits the upper ones."""
    library, file = _strip(data, max_pixels)
    if (pixels := read_whole_jpeg(file, strict, allocate, factor)) is None:
        if strict and library is WebPImageFile:
            require_read_to_end(file.data)
        elif strict:
            require_undamaged(file)
        with library(io.BytesIO(file.data)) as image:
            _load(image, file)
            pixels = np.asarray(_to_bytes(image))
    return file, pixels.reshape(*pixels.shape[:2], -1)


def _strip(data: bytes, max_pixels: int) -> tuple[type[ImageFile], StrippedImage]:
    """The library's class for a file, and what it may read of the file."""
    if data.startswith(b"\xff\xd8\xff"):
        return JpegImageFile, strip_jpeg(data, max_pixels)
    if data.startswith(SIGNATURE):
        return WholePng, strip_png(data, max_pixels)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return WebPImageFile, strip_webp(data, max_pixels)
    raise Undecodable(f"the file is not a JPEG, PNG or WebP image{name_foreign(data)}")


def _load(image: ImageFile, file: StrippedImage) -> None:
    if image.size != (file.width, file.height):
        raise Undecodable(DAMAGED)
    image.load()
    require_declared_rows(image)


def _to_bytes(image: Image.Image) -> Image.Image:
    """A loaded image as grey (L) or RGB."""
    if image.mode.startswith("I"):  # 16 bits: convert() would clip; the library reduces 16-bit colour the same way
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode in ("1", "LA") else "RGB")


def _turn(values: Numbers, orientation: int) -> Numbers:
    """A view of values (H, W, C) as seen, from an EXIF orientation."""
    if orientation in (2, 3, 7, 8):
        values = values[:, ::-1]
    if orientation in (3, 4, 6, 7):
        values = values[::-1]
    return values.swapaxes(0, 1) if orientation in (5, 6, 7, 8) else values
