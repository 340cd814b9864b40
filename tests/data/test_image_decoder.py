"""decode_image against arrays built by hand, and against bytes that are not an image."""

import io
import struct
import threading
import time
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from augsvc.data.decoders.registry import IMAGE_DECODERS, probe_digest
from augsvc.errors import Undecodable
from augsvc_client.decoding.image import decode_image

MAX_PIXELS = 1 << 20


def scene(height=20, width=28):
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // (width - 1), y * 255 // (height - 1), 200 - 2 * x - 2 * y], axis=-1).astype(np.uint8)


def encode(array, fmt, mode=None, **options):
    image = Image.fromarray(array)
    out = io.BytesIO()
    (image if mode is None else image.convert(mode)).save(out, fmt, **options)
    return out.getvalue()


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width, height, depth, colour, rows):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


VALID = {
    "jpeg": encode(scene(), "JPEG", quality=85),
    "jpeg-progressive": encode(scene(), "JPEG", progressive=True, exif=Image.Exif()),
    "png": encode(scene(), "PNG"),
    "png-palette": encode(scene(), "PNG", mode="P"),
    "webp": encode(scene(), "WEBP", quality=80),
    "webp-lossless": encode(scene(), "WEBP", lossless=True),
}


@pytest.mark.parametrize("options", [{"fmt": "PNG"}, {"fmt": "WEBP", "lossless": True}])
def test_lossless_colour_comes_back_exactly_shared_and_read_only(options):
    decoded = decode_image(encode(scene(), **options), 3, MAX_PIXELS)
    np.testing.assert_array_equal(decoded, scene())
    assert decoded.dtype == np.uint8
    assert decoded.flags.c_contiguous and not decoded.flags.writeable


def test_jpeg_is_close():
    decoded = decode_image(encode(scene(), "JPEG", quality=95, subsampling=0), 3, MAX_PIXELS)
    assert np.abs(decoded.astype(int) - scene()).max() <= 8


def test_grey_is_rec_601_luma_and_colour_repeats_grey():
    grey = decode_image(VALID["png"], 1, MAX_PIXELS)
    assert grey.shape == (20, 28, 1)
    luma = scene().astype(float) @ [0.299, 0.587, 0.114]
    assert np.abs(grey[:, :, 0] - luma).max() <= 0.51
    again = decode_image(encode(grey[:, :, 0], "PNG"), 3, MAX_PIXELS)
    np.testing.assert_array_equal(again, np.repeat(grey, 3, axis=2))


def stored(display, orientation):
    """The array as a camera of that EXIF orientation stores it: what its first row and column are as seen."""
    height, width = display.shape[:2]
    source = {
        1: lambda i, j: (i, j),  # first row: top, first column: left
        2: lambda i, j: (i, width - 1 - j),  # top, right
        3: lambda i, j: (height - 1 - i, width - 1 - j),  # bottom, right
        4: lambda i, j: (height - 1 - i, j),  # bottom, left
        5: lambda i, j: (j, i),  # left, top
        6: lambda i, j: (j, width - 1 - i),  # right, top
        7: lambda i, j: (height - 1 - j, width - 1 - i),  # right, bottom
        8: lambda i, j: (height - 1 - j, i),  # left, bottom
    }[orientation]
    shape = (height, width) if orientation < 5 else (width, height)
    return np.array([[display[source(i, j)] for j in range(shape[1])] for i in range(shape[0])], dtype=np.uint8)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_honoured(fmt, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"JPEG": {"quality": 95, "subsampling": 0}, "PNG": {}, "WEBP": {"lossless": True}}[fmt]
    decoded = decode_image(encode(stored(scene(), orientation), fmt, exif=exif, **options), 3, MAX_PIXELS)
    assert decoded.shape == scene().shape and decoded.flags.c_contiguous
    assert np.abs(decoded.astype(int) - scene()).max() <= (8 if fmt == "JPEG" else 0)


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\0\x08\0\x63\1\x12"]
)
@pytest.mark.filterwarnings("ignore")  # as in production, where the library's word on metadata is no error
def test_damaged_exif_does_not_cost_the_image(exif):
    decoded = decode_image(encode(scene(), "JPEG", quality=95, subsampling=0, exif=exif), 3, MAX_PIXELS)
    assert np.abs(decoded.astype(int) - scene()).max() <= 8


def test_palette_with_and_without_transparency():
    places = (np.arange(20 * 28).reshape(20, 28) % 4).astype(np.uint8)
    colours = np.array([[255, 0, 0], [0, 200, 0], [0, 0, 99], [7, 8, 9]], dtype=np.uint8)
    image = Image.frombytes("P", (28, 20), places.tobytes())
    image.putpalette(colours.tobytes())
    for options in ({}, {"transparency": 1}, {"transparency": b"\x00\x80\xff\x10"}):
        out = io.BytesIO()
        image.save(out, "PNG", **options)
        np.testing.assert_array_equal(decode_image(out.getvalue(), 3, MAX_PIXELS), colours[places])
        luma = colours[places].astype(float) @ [0.299, 0.587, 0.114]
        assert np.abs(decode_image(out.getvalue(), 1, MAX_PIXELS)[:, :, 0] - luma).max() <= 0.51


@pytest.mark.parametrize("channels", [1, 3])
def test_alpha_is_dropped(channels):
    alpha = np.arange(20 * 28, dtype=np.int64).reshape(20, 28, 1).astype(np.uint8)
    grey = scene()[:, :, :1]
    rgba = encode(np.concatenate([scene(), alpha], axis=2), "PNG")
    la = encode(np.concatenate([grey, alpha], axis=2), "PNG")
    np.testing.assert_array_equal(decode_image(rgba, 3, MAX_PIXELS), scene())
    np.testing.assert_array_equal(decode_image(la, channels, MAX_PIXELS), np.repeat(grey, channels, axis=2))


def test_one_transparent_colour_is_ignored():
    out = io.BytesIO()
    Image.fromarray(scene()).save(out, "PNG", transparency=(0, 0, 200))
    np.testing.assert_array_equal(decode_image(out.getvalue(), 3, MAX_PIXELS), scene())
    np.testing.assert_array_equal(
        decode_image(out.getvalue(), 1, MAX_PIXELS), decode_image(VALID["png"], 1, MAX_PIXELS)
    )


def test_cmyk_is_turned_into_colour():
    ink = Image.new("CMYK", (16, 16), (255, 0, 0, 0))  # all cyan
    out = io.BytesIO()
    ink.save(out, "JPEG", quality=95)
    assert np.abs(decode_image(out.getvalue(), 3, MAX_PIXELS).astype(int) - [0, 255, 255]).max() <= 4
    assert np.abs(decode_image(out.getvalue(), 1, MAX_PIXELS).astype(int) - round(0.701 * 255)).max() <= 4


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_scaled_not_clipped(channels):
    values = (np.arange(20 * 28) * 117).reshape(20, 28).astype(np.uint16)
    assert values.max() > 60_000
    expected = np.repeat((values // 256).astype(np.uint8)[:, :, None], channels, axis=2)
    np.testing.assert_array_equal(decode_image(encode(values, "PNG"), channels, MAX_PIXELS), expected)
    colour = np.repeat(values[:, :, None], 3, axis=2).astype(">u2")
    data = png(28, 20, 16, 2, [row.tobytes() for row in colour])
    np.testing.assert_array_equal(decode_image(data, channels, MAX_PIXELS), expected)


def test_one_bit():
    bits = np.indices((20, 28)).sum(axis=0) % 3 == 0
    decoded = decode_image(encode((bits * 255).astype(np.uint8), "PNG", mode="1"), 1, MAX_PIXELS)
    np.testing.assert_array_equal(decoded[:, :, 0], bits * 255)


@pytest.mark.parametrize("fmt", ["PNG", "WEBP"])
def test_only_the_first_frame_of_an_animation(fmt):
    frames = [Image.fromarray(scene()), Image.fromarray(255 - scene())]
    out = io.BytesIO()
    frames[0].save(out, fmt, save_all=True, append_images=frames[1:], **({"lossless": True} if fmt == "WEBP" else {}))
    np.testing.assert_array_equal(decode_image(out.getvalue(), 3, MAX_PIXELS), scene())


def test_only_the_first_image_of_several_in_a_jpeg():
    out = io.BytesIO()
    Image.fromarray(scene()).save(out, "MPO", save_all=True, append_images=[Image.fromarray(255 - scene())], quality=95)
    assert np.abs(decode_image(out.getvalue(), 3, MAX_PIXELS).astype(int) - scene()).mean() < 8


@pytest.mark.parametrize("fmt", ["GIF", "BMP", "TIFF", "PPM", "ICO", "TGA", "EPS"])
def test_other_formats_are_refused(fmt):
    with pytest.raises(Undecodable, match="not a JPEG, PNG or WebP"):
        decode_image(encode(scene(), fmt), 3, MAX_PIXELS)


def jpeg_bomb():
    data = bytearray(VALID["jpeg"])
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = struct.pack(">HH", 50_000, 50_000)
    return bytes(data)


def webp_bomb(side):
    frame = VALID["webp"][12:]
    canvas = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (side - 1).to_bytes(3, "little") * 2
    return b"RIFF" + struct.pack("<I", 4 + len(canvas) + len(frame)) + b"WEBP" + canvas + frame


BOMBS = {
    "png": png(50_000, 50_000, 8, 2, [bytes(64)]),
    "png-between-the-library's-limits": png(10_000, 10_000, 8, 2, [bytes(64)]),
    "jpeg": jpeg_bomb(),
    "webp": webp_bomb(50_000),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_by_its_header(name):
    started = time.process_time()
    with pytest.raises(Undecodable):
        decode_image(BOMBS[name], 3, 89_478_485)
    assert time.process_time() - started < 0.5


def test_the_limit_is_exact_and_our_own():
    np.testing.assert_array_equal(decode_image(VALID["png"], 3, 20 * 28), scene())
    with pytest.raises(Undecodable, match="more pixels"):
        decode_image(VALID["png"], 3, 20 * 28 - 1)


def test_the_librarys_limit_neither_warns_nor_decides(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)  # between one and two times: it would warn, here an error
    np.testing.assert_array_equal(decode_image(VALID["png"], 3, MAX_PIXELS), scene())


def test_other_numbers_of_channels_are_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="1 or 3"):
        decode_image(VALID["png"], 4, MAX_PIXELS)


@pytest.mark.parametrize("name", VALID)
def test_every_truncation_is_an_error_or_loses_no_pixel(name):
    data = VALID[name]
    whole = decode_image(data, 3, MAX_PIXELS)
    refused = 0
    for length in range(len(data)):
        try:
            decoded = decode_image(data[:length], 3, MAX_PIXELS)
        except Undecodable as err:
            refused += 1
            reason = str(err).partition(":")[0]
            assert reason in {"the image is damaged or truncated", "the file is not a JPEG, PNG or WebP image"}
        else:
            np.testing.assert_array_equal(decoded, whole)
    assert refused >= len(data) - 32  # a PNG's end marker and a JPEG's say nothing of pixels


def decode_or_none(data):
    try:
        decoded = decode_image(data, 3, MAX_PIXELS)
    except Undecodable:
        return None
    assert decoded.dtype == np.uint8 and decoded.ndim == 3 and decoded.shape[2] == 3
    assert decoded.shape[0] * decoded.shape[1] <= MAX_PIXELS
    return decoded.tobytes()


@pytest.mark.filterwarnings("ignore")
@settings(deadline=None, max_examples=300)
@given(st.sampled_from(sorted(VALID)), st.data())
def test_a_corrupted_byte_gives_one_value_or_undecodable(name, data):
    content = bytearray(VALID[name])
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    assert decode_or_none(bytes(content)) == decode_or_none(bytes(content))


HEADS = [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x40\0\0\0WEBPVP8X", b"RIFF\x40\0\0\0WEBPVP8 ", b"GIF89a"]


@pytest.mark.filterwarnings("ignore")
@settings(deadline=None, max_examples=200)
@given(st.sampled_from(HEADS), st.binary(max_size=200))
def test_noise_is_a_value_or_undecodable(head, tail):
    decode_or_none(head + tail)


@pytest.mark.filterwarnings("ignore")
@settings(deadline=None, max_examples=100)
@given(st.binary(min_size=4, max_size=4), st.binary(max_size=60))
def test_any_chunk_of_a_png_is_a_value_or_undecodable(name, content):
    whole = VALID["png"]
    decode_or_none(whole[:33] + chunk(name, content) + whole[33:])


def test_no_text_of_the_library_in_the_message():
    with pytest.raises(Undecodable, match=r"^the image is damaged or truncated$") as caught:
        decode_image(VALID["png"][:60], 3, MAX_PIXELS)
    assert caught.value.__cause__ is not None


def test_threads_decode_the_same():
    expected = {name: decode_or_none(data) for name, data in VALID.items()}
    wrong = []

    def work():
        for _ in range(20):
            wrong.extend(name for name, data in VALID.items() if decode_or_none(data) != expected[name])
            wrong.extend(name for name, data in BOMBS.items() if decode_or_none(data) is not None)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_probes_are_stable_and_different():
    digests = {name: probe_digest(name) for name in IMAGE_DECODERS}
    assert digests == {name: probe_digest(name) for name in IMAGE_DECODERS}
    assert len(set(digests.values())) == 3
    assert all(len(digest) == 64 for digest in digests.values())
