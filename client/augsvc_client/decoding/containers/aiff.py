"""AIFF and AIFF-C (Apple, 1989 and 1991): the same samples as a WAV."""

import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from augsvc_client.decoding.containers.wav import MAX_CHUNKS, build_wav
from augsvc_client.decoding.errors import Undecodable

_DAMAGED = "the audio is damaged or truncated"
_TAGS = (b"ID3", b"3DI", b"TAG", b"APETAGEX", b"LYRICSBEGIN")
_PCM, _FLOAT, _ALAW, _ULAW = 1, 3, 6, 7  # codings of WAV
_UNKNOWN = (
    0x7EFF0000  # bytes, from which on a size stands for an unknown one, as 0 does: SoX states 7F000000 into a pipe
)
_EXPONENT_BIAS = 16_383 + 63  # of an 80-bit float with a whole mantissa


class _Coding(NamedTuple):
    tag: int  # of WAV
    order: str  # of bytes
    bits: int = 0  # 0: those of the header
    is_signed: bool = True  # of 8 bits


_CODINGS = {
    **dict.fromkeys((b"NONE", b"twos"), _Coding(_PCM, ">")),
    b"sowt": _Coding(_PCM, "<"),
    b"raw ": _Coding(_PCM, ">", 8, is_signed=False),
    b"in24": _Coding(_PCM, ">", 24),
    b"in32": _Coding(_PCM, ">", 32),
    **dict.fromkeys((b"42ni", b"42n1"), _Coding(_PCM, "<", 24)),
    b"23ni": _Coding(_PCM, "<", 32),
    **dict.fromkeys((b"fl32", b"FL32"), _Coding(_FLOAT, ">", 32)),
    **dict.fromkeys((b"fl64", b"FL64"), _Coding(_FLOAT, ">", 64)),
    **dict.fromkeys((b"alaw", b"ALAW"), _Coding(_ALAW, ">", 8, is_signed=False)),
    **dict.fromkeys((b"ulaw", b"ULAW"), _Coding(_ULAW, ">", 8, is_signed=False)),
}


def is_aiff(data: bytes) -> bool:
    """Whether a file begins as one of the two."""
    return data[:4] == b"FORM" and data[8:12] in (b"AIFF", b"AIFC")


def plain_aiff(data: bytes) -> tuple[bytes, int]:
    """The file as a WAV of a format and a data chunk, and how many bytes of data it has.

    Samples of unknown length, as programs write them into a pipe, extend to the end of the file: then neither the form, nor the
    sound chunk, nor the number of frames states a length.

    Raises:
        Undecodable: a coding that is not served, no common or sound chunk, or another length than the header states.
    """
    common = sound = b""
    is_open = False  # whether the sound goes on to the end of the file
    for count, (name, content, to_end) in enumerate(_chunks(data)):
        if count > MAX_CHUNKS:
            raise Undecodable("the sound has too many chunks")
        if name == b"COMM" and not common:
            common = content
        elif name == b"SSND" and not sound:
            sound, is_open = content, to_end
    if len(common) < 18 or len(sound) < 8:
        raise Undecodable(_DAMAGED)
    channels, frames, bits = struct.unpack_from(">HIH", common)
    coding = _CODINGS.get(common[18:22] if data[8:12] == b"AIFC" else b"NONE")
    width = ((coding.bits if coding else 0) or bits + 7) // 8
    if coding is None or not 1 <= width <= (8 if coding.tag == _FLOAT else 4):
        raise Undecodable("the sound's coding is not served")
    samples, n_bytes = sound[8 + int.from_bytes(sound[:4], "big") :], frames * channels * width
    if _is_unknown(n_bytes) and is_open:
        n_bytes = len(samples) // max(1, channels * width) * channels * width
        samples = samples[:n_bytes]
    if len(samples) not in (n_bytes, n_bytes + n_bytes % 2):  # libsndfile states the padding to an even length too
        raise Undecodable(_DAMAGED)
    samples = samples[:n_bytes]
    form = struct.pack("<HHIIHH", coding.tag, channels, _rate(common[8:18]), 0, channels * width & 0xFFFF, 8 * width)
    return build_wav(form, memoryview(_in_order_of_wav(samples, width, coding))), len(samples)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """The name and the content of each chunk of the form, and whether it is a sound of unknown length, which extends to the end
    of the file. The form's length must be that of the file but for zeros or tags, or unknown too.
    """
    stated = int.from_bytes(data[4:8], "big")
    is_open = _is_unknown(stated)
    end = len(data) if is_open else 8 + stated
    if end > len(data):
        raise Undecodable(_DAMAGED)
    behind = data[end:]
    if behind.strip(b"\0") and not behind.startswith(_TAGS):
        raise Undecodable("the sound goes on behind the length that it states")
    at = 12
    while at + 8 <= end:
        name, n_bytes = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "big")
        at += 8
        if is_open and name == b"SSND" and _is_unknown(max(0, n_bytes - 8)):
            yield name, data[at:], True
            return
        if at + n_bytes > end:
            raise Undecodable(_DAMAGED)
        yield name, data[at : at + n_bytes], False
        at += n_bytes + n_bytes % 2


def _is_unknown(size: int) -> bool:
    return size == 0 or size >= _UNKNOWN


def _in_order_of_wav(samples: bytes, width: int, coding: _Coding) -> bytes:
    """Little-endian; 8 bits unsigned."""
    if width == 1:
        return (np.frombuffer(samples, np.uint8) ^ 0x80).tobytes() if coding.is_signed else samples
    return np.frombuffer(samples, np.uint8).reshape(-1, width)[:, ::-1].tobytes() if coding.order == ">" else samples


def _rate(extended: bytes) -> int:
    """A rate in Hz, from a float of 80 bits; 0 for one that is not whole or too large, which is not served."""
    exponent, mantissa = struct.unpack(">HQ", extended)
    shift = _EXPONENT_BIAS - exponent
    rate = mantissa >> shift if 0 <= shift < 64 else 0
    return rate if rate << max(shift, 0) == mantissa and rate < 1 << 32 else 0
