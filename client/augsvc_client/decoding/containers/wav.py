"""WAV and its 64-bit forms (RF64 and BW64 of EBU Tech 3306, Sony Wave64): the walk over its chunks."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from augsvc_client.decoding.errors import Undecodable

MAX_CHUNKS = 10_000

_W64 = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0"
_DAMAGED = "the audio is damaged or truncated"
_MAX_PADDING = 1 << 16  # zeros behind the last chunk, up to a block of a disk or a tape
_TAGS = (b"ID3", b"3DI", b"TAG", b"APETAGEX", b"LYRICSBEGIN")
_METADATA = (b"LIST", b"id3 ", b"ID3 ", b"bext", b"iXML", b"axml", b"_PMX", b"cue ", b"smpl", b"JUNK", b"junk", b"PAD ")
_NAMES = (*_METADATA, b"fmt ", b"data", b"fact", b"PEAK", b"inst", b"acid", b"DISP", b"cart", b"LGWV", b"afsp")


class _Chunk(NamedTuple):
    name: bytes
    start: int  # of its content
    n_bytes: int  # by its header
    is_unknown: bool = False  # its header was written before its length was known


def is_wav(data: bytes) -> bool:
    """Whether a file begins as a WAV of one of the forms."""
    return (data[:4] in (b"RIFF", b"RF64", b"BW64") and data[8:12] == b"WAVE") or data.startswith(_W64)


def plain_wav(data: bytes) -> tuple[bytes, int]:
    """The file as a WAV of a format and a data chunk, in that order, and how many bytes of data it has.

    A data chunk of unknown length, as programs write it into a pipe (a size from 2^31 − 2^24 to 2^31, or within 64 KiB below
    2^32, or 0 where the file's size is not stated either or no metadata follow), extends to the end of the file. Where another
    length is stated and no metadata follow either, as Python's `wave` states that of its first write into a pipe, both may be
    wrong. A chunk of an odd length need not be padded.

    Raises:
        Undecodable: no such chunks, a data chunk that claims more than the file has or is followed by other data, or more than
            MAX_CHUNKS chunks.
    """
    form, samples = b"", None
    alignment, chunks = (8, _w64_chunks(data)) if data.startswith(_W64) else (2, _riff_chunks(data))
    for n_chunks, chunk in enumerate(chunks):
        if n_chunks > MAX_CHUNKS:
            raise Undecodable("the sound has too many chunks")
        end = len(data) if chunk.is_unknown else chunk.start + chunk.n_bytes
        if chunk.name == b"fmt " and not form:
            form = data[chunk.start : end]
        elif chunk.name == b"data" and samples is None:
            if end > len(data):
                raise Undecodable(_DAMAGED)
            if not _is_followed_by_metadata(data, end, alignment, _MAX_PADDING):
                raise Undecodable("the sound goes on behind the length that it states")
            samples = memoryview(data)[chunk.start : end]
        if form and samples is not None:
            break
    if not form or samples is None:
        raise Undecodable(_DAMAGED)
    return build_wav(form, samples), len(samples)


def build_wav(form: bytes, samples: memoryview) -> bytes:
    """A WAV of a format and a data chunk."""
    body = (
        b"WAVEfmt ",
        struct.pack("<I", len(form)),
        form,
        bytes(len(form) % 2),
        b"data",
        struct.pack("<I", len(samples)),
    )
    size = sum(map(len, body)) + len(samples)
    return b"".join((b"RIFF", struct.pack("<I", size), *body, samples))


def _riff_chunks(data: bytes) -> Iterator[_Chunk]:
    file_size = int.from_bytes(data[4:8], "little")
    sizes_64 = 0
    at = 12
    while at + 8 <= len(data):
        name, n_bytes = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8
        is_unknown = False
        if name == b"ds64":
            sizes_64 = int.from_bytes(data[at + 8 : at + 16], "little")
        elif name == b"data":
            if n_bytes == 0xFFFFFFFF and 0 < sizes_64 < 1 << 62:
                n_bytes = sizes_64
            else:
                is_unknown = _is_placeholder(n_bytes) or (
                    n_bytes == 0
                    and (file_size == 0 or _is_placeholder(file_size) or not _is_followed_by_metadata(data, at, 2, 0))
                )
                is_unknown = is_unknown and at + n_bytes != len(data)
        yield _Chunk(name, at, n_bytes, is_unknown)
        at += n_bytes
        at += n_bytes % 2 and not _is_unpadded(data, at)


def _is_placeholder(size: int) -> bool:
    """Whether programs state a size in place of one that they do not know: 2^31 (arecord), 2^31 − 1, 7F000000 and 7FFFF000
    (SoX), 2^32 − 1 (FFmpeg), with or without the headers.
    """
    return 0x7F000000 <= size <= 0x80000100 or size >= 0xFFFF0000


def _is_unpadded(data: bytes, at: int) -> bool:
    """Whether a chunk begins here, where the padding of an odd one is expected: some programs write none."""
    return data[at : at + 4] in _NAMES


def _is_followed_by_metadata(data: bytes, end: int, alignment: int, max_padding: int) -> bool:
    """Whether chunks, tags or up to `max_padding` zeros follow, and nothing else, with the padding to `alignment` or without."""
    starts = {end, min(len(data), end + -end % alignment)}
    return any(_is_metadata(data, start, alignment, max_padding) for start in starts)


def _is_metadata(data: bytes, at: int, alignment: int, max_padding: int) -> bool:
    header = 24 if alignment == 8 else 8
    for _ in range(MAX_CHUNKS):
        if len(data) - at < header or data.startswith(_TAGS, at):
            return True
        if data[at] == 0:
            return len(data) - at <= max_padding and not data[at:].strip(b"\0")
        name = data[at : at + 4]
        if not (name.isascii() and name.decode().isprintable()):
            return False
        if alignment == 8:
            n_bytes = max(header, int.from_bytes(data[at + 16 : at + 24], "little"))
        else:
            n_bytes = header + int.from_bytes(data[at + 4 : at + 8], "little")
        at += n_bytes + -n_bytes % alignment
        if at >= len(data) + alignment:
            return name in _METADATA  # cut short
    return False


def _w64_chunks(data: bytes) -> Iterator[_Chunk]:
    """Identifiers of 16 bytes, sizes of 64 bits that include the 24 bytes of the header, chunks aligned to 8 bytes."""
    at = 40
    while at + 24 <= len(data):
        (n_bytes,) = struct.unpack_from("<Q", data, at + 16)
        name = data[at : at + 4]
        is_unknown = name == b"data" and (
            n_bytes >= 1 << 62
            or n_bytes == 0
            or (n_bytes == 24 and not _is_followed_by_metadata(data, at + 24, 8, 0))  # libsndfile's, into a pipe
        )
        if n_bytes < 24 and not is_unknown:
            return
        yield _Chunk(name, at + 24, n_bytes - 24, is_unknown)
        at += n_bytes + -n_bytes % 8
