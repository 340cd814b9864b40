"""PNG (ISO/IEC 15948): the walk over its chunks."""

import struct
import zlib
from collections.abc import Iterator

from augsvc_client.decoding.containers.stripped_image import (
    DAMAGED,
    MAX_SEGMENTS,
    StrippedImage,
    read_orientation,
    require_size,
)
from augsvc_client.decoding.errors import Undecodable

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_XMP, _EXIF = b"XML:com.adobe.xmp", b"Raw profile type exif"
_MAX_TEXT = 1 << 20  # bytes of a decompressed text that are searched for an orientation


def strip_png(data: bytes, max_pixels: int) -> StrippedImage:
    """The first image of a PNG file without metadata, animation and end; the library checks the checksums of what remains.

    Raises:
        Undecodable: the file does not begin with its header, or has more than `max_pixels` pixels or MAX_SEGMENTS chunks.
    """
    header = data[len(SIGNATURE) : len(SIGNATURE) + 25]
    if header[:8] != b"\0\0\0\x0dIHDR" or len(header) < 25:
        raise Undecodable(DAMAGED)
    width, height = struct.unpack_from(">II", header, 8)
    require_size(width, height, max_pixels)
    pixels: list[bytes] = []
    palette = exif = b""
    texts: dict[bytes, tuple[bytes, bytes]] = {}  # the last chunk of each keyword, as it lies in the file
    for n_chunks, (name, chunk) in enumerate(_chunks(data)):
        if n_chunks > MAX_SEGMENTS:
            raise Undecodable("the image has too many segments")
        if name == b"IDAT":
            pixels.append(chunk)
        elif name == b"PLTE":
            palette = chunk
        elif name == b"eXIf":
            exif = chunk[8:-4]
        elif name in _TEXTS and (key := _keyword(chunk)):
            texts[key] = name, chunk[8 + len(key) + 1 : -4]
    raw_exif, xmp = (_read_text(*texts[key]) if key in texts else b"" for key in (_EXIF, _XMP))
    orientation = read_orientation(exif or _read_hex(raw_exif), xmp)
    return StrippedImage(b"".join((SIGNATURE, header, palette, *pixels)), width, height, orientation)


def read_png_size(data: bytes) -> tuple[int, int]:
    """The declared width and height."""
    width, height = struct.unpack_from(">II", data, len(SIGNATURE) + 8)
    return width, height


def has_16_bits(data: bytes) -> bool:
    """Whether a file is a PNG of 16 bits a channel, of which `decode_image` keeps the upper 8."""
    return data.startswith(SIGNATURE) and data[24:25] == b"\x10"


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The name and the bytes, length and checksum included, of every chunk up to the end; the last one may be cut short."""
    at = len(SIGNATURE)
    while at + 8 <= len(data):
        (n_bytes,) = struct.unpack_from(">I", data, at)
        name = data[at + 4 : at + 8]
        if name == b"IEND":
            return
        yield name, data[at : at + 12 + n_bytes]
        at += 12 + n_bytes


def _keyword(chunk: bytes) -> bytes | None:
    """The keyword of a text chunk if it can hold an orientation."""
    return next((key for key in (_XMP, _EXIF) if chunk.startswith(key + b"\0", 8)), None)


def _read_text(name: bytes, text: bytes) -> bytes:
    """What follows the keyword in a text chunk, decompressed up to _MAX_TEXT; empty if damaged, which costs no pixel."""
    compressed = name == b"zTXt"
    if name == b"iTXt":  # a flag, a method, a language and a translated keyword come first
        compressed = text[:1] == b"\1"
        text = b"".join(text[2:].split(b"\0", 2)[2:])
    elif compressed:
        text = text[1:]  # the method
    try:
        return zlib.decompressobj().decompress(text, _MAX_TEXT) if compressed else text
    except zlib.error:
        return b""


def _read_hex(profile: bytes) -> bytes:
    """The bytes of a raw profile as ImageMagick writes it: an empty line, a name, a length, then hexadecimal digits."""
    try:
        return bytes.fromhex("".join(profile.decode("latin-1").split("\n", 3)[3:]).replace("\n", ""))
    except ValueError:
        return b""
