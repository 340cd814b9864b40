"""JPEG (ITU-T T.81): the walk over its segments and scans."""

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from augsvc_client.decoding.containers.stripped_image import (
    DAMAGED,
    MAX_SEGMENTS,
    StrippedImage,
    read_orientation,
    require_size,
)
from augsvc_client.decoding.errors import Undecodable

# Usual files have 1 to 10 scans. Every scan of a progressive file visits all blocks, however few bytes it has.
MAX_SCANS = 32
# A file of more scans than usual may have as many pixels as take 2 s: 28 million in 32 scans.
USUAL_SCANS, MAX_SCANNED_PIXELS = 10, 900_000_000

_SOI = b"\xff\xd8"
_SCAN, _END = 0xDA, 0xD9
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_HUFFMAN_FRAMES = frozenset({0xC0, 0xC1, 0xC2})  # baseline, extended and progressive
_METADATA = frozenset(range(0xE0, 0xF0)) | {0xFE}  # application segments and comments
_WITHOUT_LENGTH = frozenset({0x01, 0xD8, _END})
# In entropy-coded data FF 00 is a byte, and D0 to D7 are restarts; between segments the library skips both.
_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")
# The library reads a run of fill bytes from its start again for each block of 64 kB that arrives: 64 MB would take minutes.
_LONG_FILL = b"\xff" * 4096
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_COLOR_SPACES = {1: "GRAY", 3: "RGB", 4: "CMYK"}


class _Segment(NamedTuple):
    marker: int
    start: int  # of its marker
    content: bytes  # after its length

    def __bytes__(self) -> bytes:
        return b"\xff%c%b%b" % (self.marker, (len(self.content) + 2).to_bytes(2, "big"), self.content)


def strip_jpeg(data: bytes, max_pixels: int) -> StrippedImage:
    """The first image of a JPEG file without metadata.

    Raises:
        Undecodable: not exactly one frame header before the first scan, more than `max_pixels` pixels, MAX_SEGMENTS segments or
            MAX_SCANS scans, or above USUAL_SCANS more than MAX_SCANNED_PIXELS in all; a run of 4,096 fill bytes.
    """
    header, scans, n_scans = _split(data)
    frames = [segment for segment in header if segment.marker in _FRAMES]
    if (
        not n_scans
        or data.find(_LONG_FILL, scans.start, scans.stop) >= 0
        or len(frames) != 1
        or len(frames[0].content) < 6
    ):
        raise Undecodable(DAMAGED)
    _, height, width, components = struct.unpack_from(">BHHB", frames[0].content)
    require_size(width, height, max_pixels)
    if n_scans > USUAL_SCANS and n_scans * width * height > MAX_SCANNED_PIXELS:
        raise Undecodable(f"the image has too many scans for its size: {n_scans} of {width} × {height}")
    color = b"".join(bytes(segment) for segment in header if _sets_color_space(segment))
    color_space = _COLOR_SPACES.get(components, "") if frames[0].marker in _HUFFMAN_FRAMES else ""
    plain = _join(data, _SOI + color + _tables(header), scans)
    return StrippedImage(plain, width, height, _orientation(header), color_space)


def strip_color_space(data: bytes) -> bytes:
    """A stripped JPEG without the segments that say which colours it has."""
    header, scans, _ = _split(data)
    return _join(data, _SOI + _tables(header), scans)


def _join(data: bytes, header: bytes, scans: slice) -> bytes:
    """A header before the scans of `data`; that itself where they are all of it, since a copy of 200 kB takes 50 µs."""
    if scans.stop == len(data) and data.startswith(header) and len(header) == scans.start:
        return data
    return b"".join((header, memoryview(data)[scans]))


def read_jpeg_size(data: bytes) -> tuple[int, int]:
    """The width and height that the first frame header declares."""
    frame = next(segment.content for segment in _segments(data) if segment.marker in _FRAMES)
    height, width = struct.unpack_from(">HH", frame, 1)
    return width, height


def _split(data: bytes) -> tuple[list[_Segment], slice, int]:
    """The segments before the first scan, the place of all from there to the end of the first image, and the number of scans."""
    header: list[_Segment] = []
    n_scans, first_scan, end = 0, 0, len(data)
    for n_segments, segment in enumerate(_segments(data)):
        if segment.marker == _END:
            end = segment.start + 2
        elif segment.marker == _SCAN:
            first_scan = first_scan or segment.start
            n_scans += 1
        elif not n_scans:
            header.append(segment)
        if n_segments > MAX_SEGMENTS:
            raise Undecodable("the image has too many segments")
        if n_scans > MAX_SCANS:
            raise Undecodable("the image has too many scans")
    return header, slice(first_scan, end if n_scans else first_scan), n_scans


def _segments(data: bytes) -> Iterator[_Segment]:
    """Every segment up to the end marker, or up to one that is cut short."""
    at = len(_SOI)
    while match := _MARKER.search(data, at):
        marker, at = match[1][0], match.end()
        n_bytes = 0 if marker in _WITHOUT_LENGTH else int.from_bytes(data[at : at + 2], "big")
        yield _Segment(marker, match.start(), data[at + 2 : at + n_bytes])
        at += n_bytes
        if marker == _END:
            return


def _tables(header: list[_Segment]) -> bytes:
    return b"".join(bytes(segment) for segment in header if segment.marker not in _METADATA)


def _sets_color_space(segment: _Segment) -> bool:
    """JFIF means YCbCr, and Adobe's segment names the transform."""
    jfif = segment.marker == 0xE0 and segment.content.startswith(b"JFIF\0")
    return jfif or (segment.marker == 0xEE and segment.content.startswith(b"Adobe"))


def _orientation(header: list[_Segment]) -> int:
    """From the EXIF, which may span several segments, or the last XMP packet."""
    contents = [segment.content for segment in header if segment.marker == 0xE1]
    exif = b"".join(content[6:] for content in contents if content.startswith(b"Exif\0\0"))
    xmp = next((content[len(_XMP) :] for content in reversed(contents) if content.startswith(_XMP)), b"")
    return read_orientation(exif, xmp)
