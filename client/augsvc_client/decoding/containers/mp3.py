"""MP3 (ISO 11172-3 and 13818-3, layer III, and MPEG 2.5): the walk over its frames, and the tag of its encoder.

Without a stated length the library guesses it from the first frames, and loses the end of files with a variable bitrate. An
encoder delays the sound, and fills its last frame; how much of both is in the tag of Xing and LAME, which is a first frame.
"""

import struct
from typing import NamedTuple

from augsvc_client.decoding.containers.crc16 import crc16
from augsvc_client.decoding.errors import Undecodable

DECODER_DELAY = 529  # samples, which the library leaves out at the beginning of a file that states its length
MAX_GAPS = 10_000  # samples that a file has beside its sound: a frame with the tag, a delay and a padding of 12 bits
MAX_MP3_FRAMES = 1_000_000  # 7 hours at 44.1 kHz; the walk over them takes 0.4 s

_DAMAGED = "the audio is damaged or truncated"
_CONSTANT = 0xFFFE_0C00  # bits of a header: sync code, version, layer and rate, equal in all frames
_UNPROTECTED, _BITRATE = 0x0001_0000, 0x0000_F000
_MONO = 0xC0
_MPEG_1, _RESERVED = 3, 1  # versions
_KBITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)  # 0: free format, and reserved
_KBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)
_RATES = (44_100, 48_000, 32_000)  # Hz of MPEG 1; MPEG 2 has half of it, MPEG 2.5 a quarter
_HEADER = 4  # bytes
_TAGS = (b"Xing", b"Info")
_HAS_FRAMES, _HAS_BYTES, _HAS_PLACES, _HAS_QUALITY = 1, 2, 4, 8  # flags of the tag of Xing
_PLACES = 100  # bytes
_LAME = 36  # bytes of its tag, behind that of Xing
_WITH_CHECKSUMS = (b"LAME3.9", b"LAME3.1")  # its versions since 3.90


class Mp3Size(NamedTuple):
    """What the frames of a file hold."""

    samples: int
    channels: int
    n_frames: int


class PlainMp3(NamedTuple):
    """A file that states its length, and what of its decoded samples is the sound."""

    data: bytes
    n_decoded: int
    first: int
    n_samples: int


class _Tag(NamedTuple):
    n_frames: int  # 0 if it is not stated
    delay: int = 0
    padding: int = 0
    checksum: int | None = None  # of all that follows
    is_exact: bool = False


def is_mp3(data: bytes) -> bool:
    """Whether the file begins with the header of a frame of layer III, of a free bitrate too."""
    header = int.from_bytes(data[:_HEADER], "big")
    version, kbits, rate = header >> 19 & 3, header >> 12 & 15, header >> 10 & 3
    return header >> 21 == 0x7FF and version != _RESERVED and header >> 17 & 3 == 1 and kbits != 15 and rate != 3


def read_mp3_size(data: bytes) -> Mp3Size:
    """The size by the frames up to the first gap, of a file without tags before it that `is_mp3`."""
    n_frames, _ = _walk(data, 0)
    header = int.from_bytes(data[:_HEADER], "big")
    return Mp3Size(n_frames * _frame_samples(header), _channels(header), n_frames)


def plain_mp3(data: bytes) -> PlainMp3:
    """A file without tags around it that `is_mp3`, as frames without a gap behind one that states their number.

    Raises:
        Undecodable: a free bitrate; more than MAX_MP3_FRAMES frames; something other than frames, or frames of another version,
            rate or number of channels; a last frame cut short; fewer or more frames than the tag states, or others than those of
            its checksum; a tag that does not match its own.
    """
    header = int.from_bytes(data[:_HEADER], "big")
    if not header & _BITRATE:
        raise Undecodable("the sound's coding is not served: a free bitrate")
    length = _lengths(header)[header >> 9 & 0x7F]
    tag = _read_tag(data[:length])
    start = length if tag else 0
    n_frames, end = _walk(data, start)
    if n_frames == MAX_MP3_FRAMES:
        raise Undecodable("the sound has too many chunks")
    if end != len(data):
        raise Undecodable(_DAMAGED)
    if tag:
        _check_tag(tag, n_frames, data, start)
    samples = n_frames * _frame_samples(header)
    first, last = (tag.delay, samples - tag.padding) if tag else (0, samples)
    decoded = max(0, samples - DECODER_DELAY)
    plain = b"".join((_stating(header, n_frames), memoryview(data)[start:]))
    return PlainMp3(plain, decoded, first, min(last - first, decoded - first))


def _check_tag(tag: _Tag, n_frames: int, data: bytes, start: int) -> None:
    """Old encoders count the frame of the tag too."""
    if tag.n_frames and n_frames < tag.n_frames - (not tag.is_exact):
        raise Undecodable(_DAMAGED)
    if tag.n_frames and n_frames > tag.n_frames:
        raise Undecodable(
            f"the sound goes on behind the length that it states: {n_frames} frames, stated {tag.n_frames}"
        )
    if tag.checksum is not None and crc16(data[start:]) != tag.checksum:
        raise Undecodable("the sound does not match the checksum in the tag of its encoder")


def _walk(data: bytes, at: int) -> tuple[int, int]:
    """The whole frames that follow one another from there on, and the end of the last: 0.4 µs a frame."""
    first = int.from_bytes(data[at : at + _HEADER], "big")
    lengths, constants, is_mono = _lengths(first), first & _CONSTANT, first & _MONO == _MONO
    for n_frames in range(MAX_MP3_FRAMES):
        header = int.from_bytes(data[at : at + _HEADER], "big")
        end = at + lengths[header >> 9 & 0x7F]
        is_like = header & _CONSTANT == constants and (header & _MONO == _MONO) == is_mono
        if not is_like or end == at or end > len(data):
            return n_frames, at
        at = end
    return MAX_MP3_FRAMES, at


def _lengths(header: int) -> list[int]:
    """The bytes of a frame by the bits of a header for the bitrate, the rate and the padding; 0 for a free bitrate."""
    is_first = header >> 19 & 3 == _MPEG_1
    kbits, slots, rate = (_KBITS_1, 144_000, _rate(header)) if is_first else (_KBITS_2, 72_000, _rate(header))
    return [slots * kbits[bits >> 3] // rate + (bits & 1) if kbits[bits >> 3] else 0 for bits in range(128)]


def _rate(header: int) -> int:
    return _RATES[header >> 10 & 3] >> (2, 2, 1, 0)[header >> 19 & 3]


def _frame_samples(header: int) -> int:
    return 1152 if header >> 19 & 3 == _MPEG_1 else 576


def _channels(header: int) -> int:
    return 1 if header & _MONO == _MONO else 2


def _side_bytes(header: int) -> int:
    """Of what a frame has between its header and its coded samples."""
    return (32, 17)[_channels(header) == 1] if header >> 19 & 3 == _MPEG_1 else (17, 9)[_channels(header) == 1]


def _stating(header: int, n_frames: int) -> bytes:
    """A frame without sound, with the tag of Xing."""
    header = header & ~(_BITRATE | 0x200) | 9 << 12 | _UNPROTECTED  # 128 or 80 kbit/s, without padding
    frame = header.to_bytes(_HEADER, "big") + bytes(_side_bytes(header)) + _TAGS[1]
    return (frame + struct.pack(">LL", _HAS_FRAMES, n_frames)).ljust(_lengths(header)[header >> 9 & 0x7F], b"\0")


def _read_tag(frame: bytes) -> _Tag | None:
    """That of Xing, and that of LAME behind it; None of a frame with sound."""
    header = int.from_bytes(frame[:_HEADER], "big")
    at = _HEADER + _side_bytes(header)
    if not header & _UNPROTECTED and frame[at + 2 : at + 6] in _TAGS:
        at += 2  # behind the frame's checksum
    if frame[at : at + 4] not in _TAGS:
        return None
    flags, at = int.from_bytes(frame[at + 4 : at + 8], "big"), at + 8
    n_frames = int.from_bytes(frame[at : at + 4], "big") if flags & _HAS_FRAMES else 0
    parts = ((_HAS_FRAMES, 4), (_HAS_BYTES, 4), (_HAS_PLACES, _PLACES), (_HAS_QUALITY, 4))
    at += sum(n_bytes for flag, n_bytes in parts if flags & flag)
    lame = frame[at : at + _LAME]
    if len(lame) < _LAME or not lame[0]:
        return _Tag(n_frames)
    gaps, checksum = int.from_bytes(lame[21:24], "big"), int.from_bytes(lame[32:34], "big")
    is_lame, is_ffmpeg = lame.startswith(_WITH_CHECKSUMS), lame.startswith(b"Lav")
    if is_lame and crc16(frame[: at + _LAME - 2]) != int.from_bytes(lame[34:], "big"):
        raise Undecodable(_DAMAGED)
    # FFmpeg has another range for the sum of the tag, and wrote 0 for that of the sound once
    return _Tag(n_frames, gaps >> 12, gaps & 0xFFF, checksum if is_lame or (is_ffmpeg and checksum) else None, True)
