"""What the walks over image containers share: a file without its metadata, and the EXIF orientation.

The walks come before the library: they bound how many segments and scans a file may have, read the declared size, and pass on
only what the pixels need. The library would copy and parse all metadata, which cost gigabytes and a minute for files made for it.
"""

import re
import struct
from typing import NamedTuple

from augsvc_client.decoding.errors import Undecodable

MAX_SEGMENTS = 100_000  # segments or chunks per image file; walking them takes 60 ms

DAMAGED = "the image is damaged or truncated"

_ORIENTATION_TAG = 0x0112
# TIFF types of one whole number: BYTE, SHORT, LONG and their signed forms, as struct formats
_WHOLE_NUMBERS = {1: "B", 3: "H", 4: "L", 6: "b", 8: "h", 9: "l"}
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


class StrippedImage(NamedTuple):
    """An image file, stripped to what its first image needs."""

    data: bytes
    width: int
    height: int
    orientation: int  # EXIF: 1 is upright
    color_space: str = ""  # "GRAY", "RGB" or "CMYK", of a JPEG in Huffman codes that is decoded to it


def require_size(width: int, height: int, max_pixels: int) -> None:
    """Refuses an image by its declared size, before any pixel is decoded.

    Raises:
        Undecodable: no pixels, or more than `max_pixels`.
    """
    if not width * height:
        raise Undecodable(DAMAGED)
    if width * height > max_pixels:
        raise Undecodable(
            f"the image has more pixels than the dataset allows: {width} × {height}, max_pixels {max_pixels}"
        )


def require_bytes(width: int, height: int, pixel_bytes: int, max_pixels: int) -> None:
    """Refuses an image that decompresses into more bytes than `max_pixels` pixels of 8-bit colour have.

    Raises:
        Undecodable: it has more.
    """
    if width * height * pixel_bytes > 3 * max_pixels:
        raise Undecodable(
            "the image has more bytes than the dataset allows, 3 × max_pixels: "
            f"{width} × {height} × {pixel_bytes}, max_pixels {max_pixels}"
        )


def read_orientation(exif: bytes, xmp: bytes) -> int:
    """The EXIF orientation of a TIFF structure, else the one in XMP, else 1; never fails, since the pixels are not damaged.

    Only the first directory is read: tag 0112 of TIFF 6.0, which EXIF 2.3 takes over.
    """
    orientation = _exif_orientation(re.sub(rb"^(?:Exif\0\0){1,2}", b"", exif, count=1))
    if orientation is None:
        match = _XMP_ORIENTATION.search(xmp)
        orientation = int(match[1]) if match else 1
    return orientation


def _exif_orientation(tiff: bytes) -> int | None:
    if tiff[:4] not in (b"II*\0", b"II\0*", b"MM\0*", b"MM*\0"):
        return None
    order = "<" if tiff.startswith(b"II") else ">"
    try:
        (at,) = struct.unpack_from(order + "L", tiff, 4)
        (n_entries,) = struct.unpack_from(order + "H", tiff, at)
    except struct.error:
        return None
    entries = tiff[at + 2 : at + 2 + 12 * n_entries]
    orientation = None
    for tag, kind, count, value in struct.iter_unpack(order + "HHL4s", entries[: len(entries) // 12 * 12]):
        if tag == _ORIENTATION_TAG and count == 1 and kind in _WHOLE_NUMBERS:
            (orientation,) = struct.unpack_from(order + _WHOLE_NUMBERS[kind], value)
    return orientation
