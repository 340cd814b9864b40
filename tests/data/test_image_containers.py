"""What is around an image's pixels: metadata of any size, lying headers, and too many segments or scans."""

import io
import re
import struct
import time
import tracemalloc
import zlib
from functools import cache

import numpy as np
import pytest
from PIL import Image

from augsvc.errors import Undecodable
from augsvc_client.decoding.containers.jpeg import MAX_SCANS, strip_color_space, strip_jpeg
from augsvc_client.decoding.image import decode_image
from tests.data.test_image_decoder import VALID, chunk, encode, scene

MAX_PIXELS = 1 << 24
XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
EXIF = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
TURNED = np.rot90(scene(), -1)


def segment(marker, content):
    return b"\xff%c%b%b" % (marker, struct.pack(">H", len(content) + 2), content)


def with_chunks(*chunks):
    """A PNG with chunks between its header and its pixels."""
    return VALID["png"][:33] + b"".join(chunks) + VALID["png"][33:]


def with_segments(*segments, name="jpeg"):
    return VALID[name][:2] + b"".join(segments) + VALID[name][2:]


def extended(*chunks):
    """The lossless WebP with chunks behind its image."""
    canvas = b"VP8X" + struct.pack("<IB3x", 10, 0x2C) + (27).to_bytes(3, "little") + (19).to_bytes(3, "little")
    body = b"WEBP" + canvas + VALID["webp-lossless"][12:] + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def riff_chunk(name, content):
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


MEGABYTES = bytes(3 << 20)


@cache
def bomb():
    """Not compressed while tests are collected: 0.6 s."""
    return zlib.compress(bytes(200 << 20), 9)


PNG_METADATA = {
    "text": lambda: chunk(b"tEXt", b"Comment\0" + MEGABYTES),
    "compressed text": lambda: chunk(b"zTXt", b"Comment\0\0" + zlib.compress(MEGABYTES)),
    "compressed bomb": lambda: chunk(b"zTXt", b"Comment\0\0" + bomb()),
    "international text": lambda: chunk(b"iTXt", b"Comment\0\1\0\0\0" + bomb()),
    "a bomb of XMP": lambda: chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + bomb()),
    "a bomb of raw EXIF": lambda: chunk(b"zTXt", b"Raw profile type exif\0\0" + bomb()),
    "a profile": lambda: chunk(b"iCCP", b"icc\0\0" + zlib.compress(MEGABYTES)),
    "a bomb of a profile": lambda: chunk(b"iCCP", b"icc\0\0" + bomb()),
    "a damaged checksum of a text": lambda: chunk(b"tEXt", b"Comment\0text")[:-1] + b"?",
    "unknown": lambda: chunk(b"prVt", MEGABYTES),
}


@pytest.mark.parametrize("name", PNG_METADATA)
def test_metadata_of_a_png_cost_neither_the_image_nor_memory(name):
    data = with_chunks(PNG_METADATA[name]())
    tracemalloc.start()
    np.testing.assert_array_equal(decode_image(data, 3, MAX_PIXELS), scene())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * len(data) + (4 << 20)


@pytest.mark.parametrize("keyword", [b"XML:com.adobe.xmp\0", b"Raw profile type exif\0"])
@pytest.mark.parametrize(("name", "method"), [(b"zTXt", b"\0"), (b"iTXt", b"\1\0\0\0")])
def test_only_the_last_text_of_a_keyword_is_decompressed(keyword, name, method, monkeypatch):
    started, inflater = [], zlib.decompressobj
    monkeypatch.setattr(zlib, "decompressobj", lambda: started.append(1) or inflater())
    last = XMP if keyword.startswith(b"XML") else b"\nexif\n26\n" + EXIF.hex().encode()
    texts = [zlib.compress(bytes(1 << 20))] * 1000 + [zlib.compress(last)]
    texts = [chunk(name, keyword + method + text) for text in texts]
    np.testing.assert_array_equal(decode_image(with_chunks(*texts), 3, MAX_PIXELS), TURNED)
    assert len(started) == 2, "one of a text, and one of the pixels"


def with_height(png, height):
    """A PNG whose header states another height."""
    header = png[16:20] + struct.pack(">I", height) + png[24:29]
    return png[:8] + chunk(b"IHDR", header) + png[33:]


ROWS = {
    "colour": encode(scene(), "PNG"),
    "noise": encode(np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8), "PNG"),
    "grey": encode(scene()[..., 0], "PNG"),
    "stored": encode(scene(), "PNG", compress_level=0),
    "blank": encode(np.full((300, 200, 3), 255, np.uint8), "PNG"),
    "16 bits": encode(np.arange(1200, dtype=np.uint16).reshape(40, 30), "PNG"),
    "bits": encode(np.random.default_rng(1).random((37, 29)) < 0.5, "PNG"),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_png_that_states_other_rows_than_it_holds_is_undecodable(name):
    """Missing rows were black, and further ones were left out."""
    height = len(decode_image(ROWS[name], 3, MAX_PIXELS))
    assert len(decode_image(with_height(ROWS[name], height), 3, MAX_PIXELS)) == height
    for other in (1, height // 2, height - 1, height + 1, height + 7, 10 * height):
        for strict in (True, False):
            with pytest.raises(Undecodable, match=r"more rows than its header states|damaged"):
                decode_image(with_height(ROWS[name], other), 3, MAX_PIXELS, strict)


ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


@pytest.mark.parametrize("bits", [1, 8, 16])
@pytest.mark.parametrize("side", [1, 2, 3, 5, 9, 40])
def test_interlaced_pngs_have_the_rows_of_seven_passes(bits, side):
    """Written here, as Pillow writes none."""
    for fill in (0, None):
        rows = []
        for x, y, across, down in ADAM7:
            columns, lines = -(-(side - x) // across), -(-(side - y) // down)
            if columns > 0 and lines > 0:
                n_bytes = -(-columns * bits // 8)
                rows += [b"\0" + (bytes(n_bytes) if fill == 0 else np.random.default_rng(y).bytes(n_bytes))] * lines
        header = struct.pack(">IIBBBBB", side, side, bits, 0, 0, 0, 1)
        for count, is_whole in ((len(rows), True), (len(rows) - 1, False)):
            pixels = chunk(b"IDAT", zlib.compress(b"".join(rows[:count])))
            data = VALID["png"][:8] + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")
            if is_whole:
                assert decode_image(data, 1, MAX_PIXELS).shape == (side, side, 1)
            else:
                with pytest.raises(Undecodable):
                    decode_image(data, 1, MAX_PIXELS)


@pytest.mark.parametrize("name", ["colour", "noise", "stored"])
def test_a_changed_bit_of_a_pngs_pixels_is_undecodable(name):
    """The library does not read the checksum that comes after the last row: 2 % of such images had other pixels."""
    data, random = ROWS[name], np.random.default_rng(2)
    for at in random.integers(data.index(b"IDAT") + 4, len(data) - 16, 60):
        with pytest.raises(Undecodable):
            decode_image(data[:at] + bytes([data[at] ^ 1 << int(random.integers(8))]) + data[at + 1 :], 3, MAX_PIXELS)


def test_metadata_of_a_jpeg_and_a_webp_cost_nothing():
    whole = decode_image(VALID["jpeg"], 3, MAX_PIXELS)
    segments = [segment(0xE1, b"Exif\0\0" + bytes(60_000))] * 200 + [
        segment(0xED, b"Photoshop 3.0\0" + bytes(60_000))
    ] * 20
    started = time.process_time()
    np.testing.assert_array_equal(decode_image(with_segments(*segments), 3, MAX_PIXELS), whole)
    chunks = [riff_chunk(name, MEGABYTES) for name in (b"ICCP", b"EXIF", b"XMP ")]
    np.testing.assert_array_equal(decode_image(extended(*chunks), 3, MAX_PIXELS), scene())
    assert time.process_time() - started < 2


def test_a_jpeg_without_metadata_is_not_copied():
    """A copy of 215 kB took as long as a fifteenth of its decoding."""
    plain = strip_jpeg(VALID["jpeg"] + b"behind", MAX_PIXELS).data
    for data in (plain, strip_color_space(plain)):
        assert strip_jpeg(data, MAX_PIXELS).data is data
    for data in (plain + b"behind", with_segments(segment(0xE1, b"Exif\0\0" + EXIF)), plain[:2] + b"\xff" + plain[2:]):
        assert strip_jpeg(data, MAX_PIXELS).data == plain


TURNED_FILES = {
    "jpeg, EXIF": with_segments(segment(0xE1, b"Exif\0\0" + EXIF)),
    "jpeg, EXIF of the other byte order": with_segments(
        segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0")
    ),
    "jpeg, XMP": with_segments(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP)),
    "png, EXIF": with_chunks(chunk(b"eXIf", EXIF)),
    "png, XMP": with_chunks(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)),
    "png, compressed XMP": with_chunks(chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(XMP))),
    "png, raw EXIF": with_chunks(
        chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(b"\nexif\n26\n" + EXIF.hex().encode()))
    ),
    "webp, EXIF": extended(riff_chunk(b"EXIF", EXIF)),
    "webp, XMP": extended(riff_chunk(b"XMP ", XMP)),
}


@pytest.mark.parametrize("name", TURNED_FILES)
def test_the_orientation_is_read_wherever_the_library_reads_it(name):
    library = Image.open(io.BytesIO(TURNED_FILES[name]))
    assert library.getexif()[0x0112] == 6
    decoded = decode_image(TURNED_FILES[name], 3, MAX_PIXELS)
    assert np.abs(decoded.astype(int) - TURNED).max() <= (0 if name.startswith(("png", "webp")) else 60)


def test_exif_comes_before_xmp():
    upright = EXIF.replace(b"\0\x06", b"\0\x01")
    data = with_chunks(chunk(b"eXIf", upright), chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP))
    np.testing.assert_array_equal(decode_image(data, 3, MAX_PIXELS), scene())


def progressive_with_scans(n_scans, side=64):
    data = encode(scene(side, side), "JPEG", progressive=True)
    scans = [match.start() for match in re.finditer(rb"\xff\xda", data)]
    last = data[data.rfind(b"\xff\xc4", 0, scans[-1]) : -2]
    return data[:-2] + last * (n_scans - len(scans)) + b"\xff\xd9"


def test_scans_are_bounded():
    with pytest.raises(Undecodable, match="scans"):
        decode_image(progressive_with_scans(MAX_SCANS + 1), 3, MAX_PIXELS)
    assert decode_image(progressive_with_scans(MAX_SCANS), 3, MAX_PIXELS, strict=False).shape == (64, 64, 3)


@pytest.mark.parametrize(
    "data",
    [
        with_segments(*[segment(0xE5, b"")] * 100_001),
        with_segments(*[segment(0xFE, b"")] * 100_001, name="jpeg-progressive"),
        with_chunks(*[chunk(b"tEXt", b"")] * 100_001),
        with_chunks(*[chunk(b"IDAT", b"")] * 100_001),
        extended(*[riff_chunk(b"junk", b"")] * 100_001),
    ],
    ids=["jpeg", "jpeg-progressive", "png", "png pixels", "webp"],
)
def test_segments_are_bounded(data):
    started = time.process_time()
    with pytest.raises(Undecodable, match="segments"):
        decode_image(data, 3, MAX_PIXELS)
    assert time.process_time() - started < 2


@pytest.mark.parametrize("strict", [True, False])
def test_megabytes_of_fill_bytes_are_refused_soon(strict):
    started = time.process_time()
    with pytest.raises(Undecodable):
        decode_image(VALID["jpeg"][:-2] + b"\xff" * (8 << 20) + b"\xff\xd9", 3, MAX_PIXELS, strict)
    assert time.process_time() - started < 2


def test_a_second_frame_header_does_not_hide_the_size():
    frame = VALID["jpeg"].index(b"\xff\xc0")
    header = bytearray(VALID["jpeg"][frame : frame + 19])
    header[5:9] = struct.pack(">HH", 60_000, 60_000)
    for first, second in ((bytes(header), b""), (b"", bytes(header))):
        data = VALID["jpeg"][:frame] + first + VALID["jpeg"][frame : frame + 19] + second + VALID["jpeg"][frame + 19 :]
        with pytest.raises(Undecodable):
            decode_image(data, 3, MAX_PIXELS)


def test_the_size_and_the_limit_are_in_the_reason():
    with pytest.raises(Undecodable, match=r"28 × 20, max_pixels 559"):
        decode_image(VALID["png"], 3, 559)


def test_many_scans_of_a_large_image_are_refused_before_anything_is_decoded():
    data = VALID["jpeg-progressive"]
    frame = data.index(b"\xff\xc2") + 5
    last = data.rindex(b"\xff\xda")
    scans = data[:last] + data[last:-2] * 20 + b"\xff\xd9"
    for side, reason in ((4000, "damaged"), (8000, "too many scans for its size")):
        large = scans[:frame] + struct.pack(">HH", side, side) + scans[frame + 4 :]
        with pytest.raises(Undecodable, match=reason):
            decode_image(large, 3, 1 << 27)
