"""WebP (RFC 9649): the walk over its chunks."""

from collections.abc import Iterator

from augsvc_client.decoding.containers.stripped_image import (
    DAMAGED,
    MAX_SEGMENTS,
    StrippedImage,
    read_orientation,
    require_size,
)
from augsvc_client.decoding.errors import Undecodable

_KEPT = (b"VP8X", b"ANIM", b"ANMF", b"ALPH", b"VP8 ", b"VP8L")
_NO_METADATA = 0xFF ^ 0x2C  # the flags of a profile, of EXIF and of XMP


def strip_webp(data: bytes, max_pixels: int) -> StrippedImage:
    """The first image of a WebP file without metadata.

    Raises:
        Undecodable: the file is shorter than it states, has no image, or more than `max_pixels` pixels or MAX_SEGMENTS chunks.
    """
    chunks: dict[bytes, bytes] = {}  # the first one of each name
    for n_chunks, (name, chunk) in enumerate(_chunks(data)):
        if n_chunks > MAX_SEGMENTS:
            raise Undecodable("the image has too many segments")
        chunks.setdefault(name, chunk)
    first = next(iter(chunks), b"")
    width, height = _size(first, chunks.get(first, b"")[8:])
    require_size(width, height, max_pixels)
    if first == b"VP8X":
        chunks[first] = chunks[first][:8] + bytes([chunks[first][8] & _NO_METADATA]) + chunks[first][9:]
    kept = b"".join(chunk for name, chunk in chunks.items() if name in (_KEPT if first == b"VP8X" else (first,)))
    exif, xmp = (chunks.get(name, b"")[8:] if first == b"VP8X" else b"" for name in (b"EXIF", b"XMP "))
    return StrippedImage(
        b"RIFF" + (4 + len(kept)).to_bytes(4, "little") + b"WEBP" + kept, width, height, read_orientation(exif, xmp)
    )


def read_webp_size(data: bytes) -> tuple[int, int]:
    """The declared width and height."""
    return _size(data[12:16], data[20:30])


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The name and the bytes, header and padding included, of every chunk."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise Undecodable(DAMAGED)
    at = 12
    while at + 8 <= end:
        n_bytes = int.from_bytes(data[at + 4 : at + 8], "little")
        stop = at + 8 + n_bytes + n_bytes % 2
        if stop > end:
            raise Undecodable(DAMAGED)
        yield data[at : at + 4], data[at:stop]
        at = stop


def _size(name: bytes, content: bytes) -> tuple[int, int]:
    """The width and height by the first chunk's header: of the canvas, or of a lossy or lossless image."""
    if name == b"VP8X" and len(content) >= 10:
        return 1 + int.from_bytes(content[4:7], "little"), 1 + int.from_bytes(content[7:10], "little")
    if name == b"VP8 " and len(content) >= 10:
        return int.from_bytes(content[6:8], "little") & 0x3FFF, int.from_bytes(content[8:10], "little") & 0x3FFF
    if name == b"VP8L" and len(content) >= 5:
        bits = int.from_bytes(content[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    raise Undecodable(DAMAGED)
