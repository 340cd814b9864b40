"""Comments of Ogg and FLAC sounds, up to the bounds of their number and bytes, and beyond."""

import struct
import time

import numpy as np
import pytest

from augsvc.errors import Undecodable
from augsvc_client.decoding.audio import decode_sound
from augsvc_client.decoding.containers.ogg import page_checksum
from tests.data.sounds import VALID

HEADER = 27  # bytes of a page before its table of segments
OGG = ("vorbis", "opus")
PREFIX = {"vorbis": b"\x03vorbis", "opus": b"OpusTags"}


def decode(data):
    return decode_sound(data, 100_000)[0]


def pages_of(ogg):
    at = 0
    while at < len(ogg):
        end = at + HEADER + ogg[at + 26]
        end += sum(ogg[at + HEADER : end])
        yield ogg[at:end]
        at = end


def payload(page):
    return page[HEADER + page[26] :]


def segments_of(packet):
    """Its pieces of 255 bytes; the last one is shorter."""
    return [packet[at : at + 255] for at in range(0, len(packet) + 1, 255)]


def page_of(like, flags, segments):
    table = bytes(len(segment) for segment in segments)
    return like[:5] + bytes([flags]) + like[6:26] + bytes([len(table)]) + table + b"".join(segments)


def numbered(page, number):
    page = page[:18] + struct.pack("<I", number) + page[22:]
    return page[:22] + page_checksum(page) + page[26:]


def comments(number, text=b"", vendor=b"", stated=None):
    """A list of comments as it is in Vorbis, Opus and FLAC."""
    entry = struct.pack("<I", len(text)) + text
    stated = number if stated is None else stated
    return struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", stated) + entry * number


def commented(name, content, together=False):
    """The valid sound with those comments; `together`: on the same page as the identification before."""
    first, headers, *others = pages_of(VALID[name])
    packets = [PREFIX[name] + content + b"\x01" * (name == "vorbis")]
    if name == "vorbis":
        packets.append(payload(headers)[headers[HEADER] :])  # the setup, after comments of less than 255 bytes
    if together:
        packets.insert(0, payload(first))
    segments = [piece for packet in packets for piece in segments_of(packet)]
    pages = [] if together else [first]
    for at in range(0, len(segments), 255):
        flags = (at > 0 and len(segments[at - 1]) == 255) | (not pages) << 1
        pages.append(page_of(first, flags, segments[at : at + 255]))
    return b"".join(numbered(page, number) for number, page in enumerate([*pages, *others]))


@pytest.mark.parametrize("name", OGG)
@pytest.mark.parametrize(
    "content",
    [comments(0), comments(100_000), comments(1, b"COVER=" + bytes(16 << 20))],
    ids=["none", "many", "long"],
)
def test_comments_up_to_the_bounds_are_skipped(name, content):
    assert np.array_equal(decode(commented(name, content)), decode(VALID[name]))


@pytest.mark.parametrize("name", OGG)
@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (comments(100_001), "comments: 100001, at most 100000"),
        (comments(1, stated=2**32 - 1), "comments: 4294967295, at most 100000"),
        (comments(12_000_000), "comments of more than 33554432 bytes"),
        (comments(1, bytes(33 << 20)), "comments of more than 33554432 bytes"),
        (comments(1, vendor=bytes(33 << 20)), "comments of more than 33554432 bytes"),
    ],
    ids=["number", "stated number", "empty", "long", "vendor"],
)
def test_more_comments_are_undecodable_with_the_reason_and_soon(name, together, content, reason):
    data = commented(name, content, together)
    start = time.process_time()
    with pytest.raises(Undecodable, match=reason):
        decode(data)
    assert time.process_time() - start < 2


@pytest.mark.parametrize("name", OGG)
def test_comments_after_the_rest_of_a_packet_without_beginning_are_bounded(name):
    first, *others = pages_of(commented(name, comments(100_001)))
    harmless = PREFIX[name] + comments(0, vendor=b" " * 200)
    rest = [page_of(first, 1, [bytes(255)] * 3), page_of(first, 1, [harmless])]
    with pytest.raises(Undecodable, match="too many comments: 100001"):
        decode(b"".join(numbered(page, number) for number, page in enumerate([first, *rest, *others])))


@pytest.mark.parametrize("name", OGG)
def test_a_second_packet_that_holds_no_comments_is_undecodable(name):
    data = commented(name, comments(1)).replace(PREFIX[name], b"x" * len(PREFIX[name]))
    first, second, *others = pages_of(data)
    with pytest.raises(Undecodable, match="coding is not served"):
        decode(b"".join([first, numbered(second, 1), *others]))


def test_comments_of_a_flac_are_skipped_unread():
    content = comments(4_000_000)
    flac = VALID["flac-16"]
    block = b"\x04" + len(content).to_bytes(3, "big") + content
    start = time.process_time()
    assert np.array_equal(decode(flac[:42] + 4 * block + flac[42:]), decode(flac))
    assert time.process_time() - start < 1
