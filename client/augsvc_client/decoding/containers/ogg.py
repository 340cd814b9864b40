"""Ogg (RFC 3533): the walk over its pages, and the bounds of the headers of Vorbis and Opus."""

import zlib
from typing import NamedTuple

from augsvc_client.decoding.containers.vorbis import MAX_SETUP_BYTES, check_codebooks
from augsvc_client.decoding.errors import Undecodable

MAX_PAGES = 200_000  # an hour of Opus with one packet of 20 ms per page; checking them takes 1 s
MAX_COMMENTS = 100_000  # libvorbis and libsndfile read 4 million in 1 s
MAX_COMMENT_BYTES = 32 << 20  # a cover of 16 MiB, the most that FLAC allows, takes 22 MiB in base64

_DAMAGED = "the audio is damaged or truncated"
_HEADER = 27  # bytes, before the table of segments
_NO_GRANULE = -1  # no packet ends on the page
_CONTINUED, _FIRST, _LAST = 1, 2, 4  # flags of a page
_COMMENT_NAMES = (b"\x03vorbis", b"OpusTags")
_CHANNELS_AT = ((b"\x01vorbis", 11), (b"OpusHead", 9))
_MAX_CHANNELS = 255
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class OggSize(NamedTuple):
    """What an Ogg file states of its size."""

    samples: int  # at most, at the rate that positions count
    channels: int
    n_pages: int


def read_ogg_size(data: bytes) -> OggSize:
    """The size by the headers of the pages, up to the first gap, which `check_ogg` refuses. A page takes half a microsecond."""
    at = samples = n_pages = 0
    while data.startswith(b"OggS", at) and len(data) >= at + _HEADER and n_pages < MAX_PAGES:
        table = data[at + _HEADER : at + _HEADER + data[at + 26]]
        samples = max(samples, int.from_bytes(data[at + 6 : at + 14], "little", signed=True))
        at, n_pages = at + _HEADER + len(table) + sum(table), n_pages + 1
    return OggSize(samples, _channels(data), n_pages)


def _channels(data: bytes) -> int:
    """Those in the first packet; the most that there may be where its coding is not served."""
    start = _HEADER + int.from_bytes(data[26:27], "big")
    packet = data[start : start + 16]
    at = next((at for name, at in _CHANNELS_AT if packet.startswith(name) and at < len(packet)), None)
    return _MAX_CHANNELS if at is None else packet[at]


def check_ogg(data: bytes) -> None:
    """Refuses an Ogg file unless it is one stream of pages without a gap, each with its right sum, the last one marked so.

    Without this the library takes the last page that it finds for the end. Granule positions, which count samples, may not
    decrease: that of the last page may cut its own samples (RFC 7845, section 4.4), and less would cut whole pages.

    Raises:
        Undecodable: also for more than MAX_PAGES pages, MAX_COMMENTS comments or MAX_COMMENT_BYTES bytes of them, and as
            `check_codebooks`.
    """
    at, number, last, serial, samples = 0, 0, False, data[14:18], 0
    while at < len(data):
        if number == MAX_PAGES:
            raise Undecodable("the sound has too many chunks")
        table = data[at + _HEADER : at + _HEADER + data[at + 26]]
        page = data[at : at + _HEADER + len(table) + sum(table)]
        whole = page.startswith(b"OggS\0") and len(table) == page[26] and len(page) == _HEADER + len(table) + sum(table)
        if not whole or last or page[14:18] != serial or int.from_bytes(page[18:22], "little") != number:
            raise Undecodable(_DAMAGED)
        if bool(page[5] & _FIRST) != (number == 0) or page_checksum(page) != page[22:26]:
            raise Undecodable(_DAMAGED)
        granule = int.from_bytes(page[6:14], "little", signed=True)
        if granule != _NO_GRANULE and granule < samples:
            raise Undecodable("the sound goes on behind the length that it states")
        samples = max(samples, granule)
        at, number, last = at + len(page), number + 1, bool(page[5] & _LAST)
    if not last:
        raise Undecodable(_DAMAGED)
    _check_comments(_packet(data, 1, MAX_COMMENT_BYTES + 1))
    check_codebooks(_packet(data, 2, MAX_SETUP_BYTES + 1))


def page_checksum(page: bytes) -> bytes:
    """A page's checksum: CRC-32 of polynomial 04c11db7 from 0, its own field as zeros; zlib's is the mirror image of that."""
    mirrored = (page[:22] + bytes(4) + page[26:]).translate(_MIRRORED)
    value = zlib.crc32(mirrored, 0xFFFFFFFF) ^ 0xFFFFFFFF
    return value.to_bytes(4, "big").translate(_MIRRORED)


def _check_comments(packet: bytes) -> None:
    """Refuses too many comments, by the stated number, before the library reads them and checks the rest."""
    if len(packet) > MAX_COMMENT_BYTES:
        raise Undecodable(f"the sound has comments of more than {MAX_COMMENT_BYTES} bytes")
    name = next((name for name in _COMMENT_NAMES if packet.startswith(name)), None)
    if name is None:  # FLAC in Ogg has comments too, which the library would read before it names the coding
        raise Undecodable("the sound's coding is not served")
    at = len(name) + 4 + int.from_bytes(packet[len(name) : len(name) + 4], "little")  # after the vendor
    number = int.from_bytes(packet[at : at + 4], "little")
    if number > MAX_COMMENTS:
        raise Undecodable(f"the sound has too many comments: {number}, at most {MAX_COMMENTS}")


def _packet(data: bytes, index: int, max_bytes: int) -> bytes:
    """The beginning of a packet, from pages that are whole: 1 has the comments, 2 the setup of Vorbis."""
    packet, at, packets_before, is_open = bytearray(), 0, 0, False
    while at < len(data) and len(packet) < max_bytes:
        table = data[at + _HEADER : at + _HEADER + data[at + 26]]
        # libogg skips the rest of a packet without a beginning, to the end of that page
        is_orphan = bool(data[at + 5] & _CONTINUED) and not is_open
        at += _HEADER + len(table)
        for length in table:
            if packets_before == index and not is_orphan:
                packet += data[at : at + length]
            at, is_open = at + length, length == 255 and not is_orphan
            if length < 255:
                if packets_before == index and not is_orphan:
                    return bytes(packet)
                packets_before, is_orphan = packets_before + (not is_orphan), False
    return bytes(packet)
