"""Changed copies of each decoder's probe, one for each rule by which files are accepted or refused.

Which files count as undecodable decides about replacements, and so about pixels and labels, as much as the decoders' arithmetic
does. So the outcome of every variant is part of the decoder's digest: a build with other rules has other stream ids.
"""

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from augsvc_client.decoding.containers.crc16 import crc16
from augsvc_client.decoding.containers.ogg import page_checksum

Variants = Iterator[tuple[str, bytes]]  # rule, file

_TIFF_TURNED = struct.pack("<2sHLHHHLHHL", b"II", 42, 8, 1, 0x0112, 3, 1, 6, 0, 0)  # EXIF orientation 6
_ID3 = b"ID3\4\0\0\0\0\0\4" + bytes(4)


def build_variants(decoder: str, probe: bytes) -> Mapping[str, bytes]:
    """The variants of a decoder's probe by their rules; `decoder` is a name in `registry.DECODERS`."""
    return MappingProxyType(dict((*_framed(probe), *_OWN[decoder](probe))))


def _framed(data: bytes) -> Variants:
    """Rules of all formats: what is missing or left over."""
    yield "a byte is missing", data[:-1]
    yield "half is missing", data[: len(data) // 2]
    yield "a byte before", b"\0" + data
    yield "zeros behind", data + bytes(64)
    yield "text behind", data + b"text" * 16
    yield "twice", data + data


def _damaged(data: bytes) -> Variants:
    """Rules of formats whose library reports damage silently; that for TIFF prints to standard error."""
    middle = len(data) // 2
    yield "16 zeros inside", data[:middle] + bytes(16) + data[middle + 16 :]
    yield "16 ones inside", data[:middle] + b"\xff" * 16 + data[middle + 16 :]
    yield "second half zero", data[:middle] + bytes(len(data) - middle)
    for eighth in range(1, 8):
        at = len(data) * eighth // 8
        yield f"a bit at {eighth}/8", data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _jpeg(data: bytes) -> Variants:
    yield from _damaged(data)
    end, scan = b"\xff\xd9", data.rindex(b"\xff\xda")
    body, frame = data[:-2], data.index(b"\xff\xc0")
    yield "no end", body
    for count in (4, 64):  # the library may have read four with the last code
        yield f"{count} zeros before the end", body + bytes(count) + end
        yield f"{count} other bytes before the end", body + b"\x5a" * count + end
    yield "a restart before the end", body + b"\xff\xd0" + end
    yield "fill bytes", data[:scan] + b"\xff" * 16 + data[scan:]
    yield "many fill bytes", data[:scan] + b"\xff" * 4096 + data[scan:]
    yield "two frames", data[:scan] + data[frame : frame + 19] + data[scan:]
    yield "two scans", body + data[scan:]
    yield "33 scans", body + data[scan:-2] * 32 + end
    yield "another coding", data[: frame + 1] + b"\xc3" + data[frame + 2 :]
    yield "a comment", data[:2] + b"\xff\xfe\0\6text" + data[2:]
    yield "turned", data[:2] + _jpeg_segment(0xE1, b"Exif\0\0" + _TIFF_TURNED) + data[2:]
    yield "RGB", data[:2] + _jpeg_segment(0xEE, b"Adobe\0\x64\0\0\0\0\0") + data[2:]


def _jpeg_segment(marker: int, content: bytes) -> bytes:
    return b"\xff%c%b%b" % (marker, (len(content) + 2).to_bytes(2, "big"), content)


def _png(data: bytes) -> Variants:
    yield from _damaged(data)
    pixels = data.index(b"IDAT") - 4
    yield "no end", data[:-12]
    yield "a wrong checksum of the pixels", data[:-13] + bytes([data[-13] ^ 1]) + data[-12:]
    yield "a wrong checksum of the header", data[:29] + bytes([data[29] ^ 1]) + data[30:]
    for name, content in (
        (b"tEXt", b"a\0b"),
        (b"eXIf", _TIFF_TURNED),
        (b"gAMA", bytes(4)),
        (b"ABCD", b""),
        (b"tRNS", bytes(6)),
    ):
        yield f"a chunk {name.decode()}", data[:pixels] + _png_chunk(name, content) + data[pixels:]
    yield "a wrong checksum of a text", data[:pixels] + _png_chunk(b"tEXt", b"a\0b")[:-1] + b"\0" + data[pixels:]
    yield "an empty chunk of pixels", data[:pixels] + _png_chunk(b"IDAT", b"") + data[pixels:]
    for rule, height in (("a larger height", 17), ("a smaller height", 15)):
        header = struct.pack(">LL", 24, height) + data[24:29]
        yield rule, data[:8] + _png_chunk(b"IHDR", header) + data[33:]
    yield "a wrong size of the pixels", data[:pixels] + b"\0\1" + data[pixels + 2 :]


def _png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">L", len(content)) + name + content + struct.pack(">L", zlib.crc32(name + content))


def _webp(data: bytes) -> Variants:
    yield from _damaged(data)
    yield "a stated size above the file's", _resized(data, len(data))
    yield "a stated size below the file's", _resized(data, len(data) - 10)
    yield "a chunk behind", _resized(data + b"ABCD\2\0\0\0ab", len(data) + 2)
    yield "two images", _resized(data + data[12:], 2 * len(data) - 20)


def _resized(data: bytes, size: int) -> bytes:
    return data[:4] + size.to_bytes(4, "little") + data[8:]


def _tiff(data: bytes) -> Variants:
    (directory,) = struct.unpack_from("<L", data, 4)
    (n_tags,) = struct.unpack_from("<H", data, directory)
    for at in range(directory + 2, directory + 2 + 12 * n_tags, 12):
        (tag,) = struct.unpack_from("<H", data, at)
        if tag not in (256, 273):  # another width, other data: the library would print
            yield f"a value of tag {tag}", data[: at + 8] + bytes([data[at + 8] ^ 4]) + data[at + 9 :]
        yield f"no tag {tag}", data[:at] + b"\xf0\xff" + data[at + 2 :]
    yield "an alpha", _grey_and(2)
    yield "another channel", _grey_and(0)


def _grey_and(extra: int) -> bytes:
    """A TIFF of two pixels with a second channel of that kind: tag 338."""
    tags = (
        (256, 2),
        (257, 1),
        (258, 8 << 16 | 8),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 2),
        (278, 1),
        (279, 4),
        (338, extra),
    )
    entries = b"".join(struct.pack("<HHLL", tag, 3, 2 if tag == 258 else 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<L", 12) + b"\1\2\3\4" + struct.pack("<H", len(tags)) + entries + bytes(4)


def _sound(data: bytes) -> Variants:
    yield from _damaged(data)
    yield "a tag before", _ID3 + data
    yield "a tag behind", data + b"TAG" + bytes(125)


def _flac(data: bytes) -> Variants:
    yield from _sound(data)
    yield "no stated length", data[:21] + bytes([data[21] & 0xF0]) + bytes(4) + data[26:]
    yield "another stated length", data[:25] + bytes([data[25] ^ 1]) + data[26:]
    yield "a smaller stated length", data[:24] + bytes([data[24] ^ 1]) + data[25:]
    yield "another digest", data[:26] + bytes([data[26] ^ 1]) + data[27:]
    yield "no digest", data[:26] + bytes(16) + data[42:]


def _ogg(data: bytes) -> Variants:
    yield from _sound(data)
    last = data.rindex(b"OggS")
    yield "no last page", data[:last]
    yield "a wrong checksum", data[: last + 22] + bytes([data[last + 22] ^ 1]) + data[last + 23 :]
    yield "the last page twice", data + data[last:]
    yield "positions that decrease", _with_granule(data, data.index(b"OggS", 1), 1 << 40)
    yield "another stream", data[: last + 14] + bytes([data[last + 14] ^ 1]) + data[last + 15 :]


def _with_granule(data: bytes, start: int, granule: int) -> bytes:
    """With that granule position, of samples, for the page that begins at `start`."""
    end = start + 27 + data[start + 26]
    end += sum(data[start + 27 : end])
    page = data[start : start + 6] + struct.pack("<q", granule) + data[start + 14 : end]
    return data[:start] + page[:22] + page_checksum(page) + page[26:] + data[end:]


def _mp3(data: bytes) -> Variants:
    yield from _sound(data)
    tag = data.index(b"Xing")
    second = data.index(data[:2], 4)
    lame = data.index(b"LAME")
    for frames in (0, 1, 1000):
        yield f"{frames} stated frames", _retagged(data, tag + 8, frames.to_bytes(4, "big"))
    yield "another delay", _retagged(data, lame + 21, b"\x30")
    yield "a larger padding", _retagged(data, lame + 22, b"\x0f")
    yield "another tag", data[: lame + 21] + b"\x30" + data[lame + 22 :]
    yield "a free bitrate", data[:2] + bytes([data[2] & 0x0F]) + data[3:]
    yield "another rate", data[: second + 2] + bytes([data[second + 2] ^ 4]) + data[second + 3 :]
    yield "a channel less", data[: second + 3] + bytes([data[second + 3] | 0xC0]) + data[second + 4 :]
    yield "layer II", data[:1] + bytes([data[1] ^ 6]) + data[2:]


def _retagged(data: bytes, at: int, value: bytes) -> bytes:
    """With that value in the tag of an MP3, which ends with its checksum."""
    end = data.index(b"LAME") + 34
    tag = data[:at] + value + data[at + len(value) : end]
    return tag + crc16(tag).to_bytes(2, "big") + data[end + 2 :]


def _wav(data: bytes) -> Variants:
    yield from _sound(data)
    start = data.index(b"data") + 4
    (n_bytes,) = struct.unpack_from("<L", data, start)
    for stated in (0, 0x7F000000, 0x7FFFFFFF, 1 << 31, 0xFFFFFFFF, n_bytes - 4, n_bytes + 4, n_bytes - 1):
        yield f"{stated} stated bytes", data[:start] + struct.pack("<L", stated) + data[start + 4 :]
    yield "a chunk behind", data + b"LIST\4\0\0\0INFO"
    yield "a chunk cut short behind", data + b"LIST\x40\0\0\0INFO"
    yield "an odd chunk without padding", data[:12] + b"JUNK\1\0\0\0a" + data[12:]
    for name, at, values in (("coding", 20, (2, 3, 6, 7)), ("channels", 22, (0, 33)), ("rate", 24, (0, 999))):
        for value in values:
            yield f"{name} {value}", data[:at] + struct.pack("<H", value) + data[at + 2 :]


def _aiff(data: bytes) -> Variants:
    yield from _sound(data)
    for part, shift in ((b"FORM", 4), (b"COMM", 10), (b"SSND", 4)):  # where lengths are stated
        at = data.index(part) + shift
        (stated,) = struct.unpack_from(">L", data, at)
        for more in (-2, 2):
            yield f"{stated + more} in {part.decode()}", data[:at] + struct.pack(">L", stated + more) + data[at + 4 :]
    common = data.index(b"COMM") + 8
    for unknown in (0, 0x7F000000, 0xFFFFFFFF):
        size, at = struct.pack(">L", unknown), data.index(b"SSND") + 4
        frames = common + 2
        stated = data[:4] + size + data[8:frames] + size + data[frames + 4 : at] + size + data[at + 4 :]
        yield f"{unknown} for unknown lengths", stated
    fields = (("channels", 0, (0, 33)), ("bits", 6, (0, 8, 40)), ("exponent", 8, (0, 16_500)))
    for name, shift, values in fields:
        at = common + shift
        for value in values:
            yield f"{name} {value}", data[:at] + struct.pack(">H", value) + data[at + 2 :]


_OWN: Mapping[str, Callable[[bytes], Variants]] = MappingProxyType(
    {
        "jpeg": _jpeg,
        "png": _png,
        "webp": _webp,
        "png16": _png,
        "tiff": _tiff,
        "aiff": _aiff,
        "flac": _flac,
        "mp3": _mp3,
        "opus": _ogg,
        "vorbis": _ogg,
        "wav": _wav,
    }
)
