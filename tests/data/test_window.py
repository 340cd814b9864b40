"""Numbers of 16 and 32 bits and floats through a window, against arrays: nothing passes through 8 bits."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from augsvc.data.cache import DecodedCache
from augsvc.data.formats.image_folder import ImageFolderSettings, open_image_folder
from augsvc.errors import Undecodable
from augsvc_client.decoding.image import decode_image, decode_window
from augsvc_client.decoding.window import WHITE, apply_window

MAX_PIXELS = 1 << 20
HEIGHT, WIDTH = 21, 37
RAMP = (1000 + np.arange(200)).astype(np.uint16)


def numbers(channels, dtype=np.uint16, seed=0):
    """(H, W, C) over the whole range of an integer type, or floats from −2 to 3."""
    random = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return (random.random((HEIGHT, WIDTH, channels)) * 5 - 2).astype(dtype)
    limits = np.iinfo(dtype)
    return random.integers(limits.min, limits.max, (HEIGHT, WIDTH, channels), dtype, endpoint=True)


def expected(array, low, high):
    fractions = (array.astype(np.float64) - low) / (high - low)
    return np.rint(np.clip(fractions, 0, 1) * WHITE).astype(np.uint16)


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(array, color_type, interlaced=False, text=b""):
    """A PNG of 16 bits whose rows have the filters none and sub in turn."""
    height, width, channels = array.shape
    header = struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, int(interlaced))
    lines = []
    for row, left, down, right in [(0, 0, 1, 1)] if not interlaced else ADAM7:
        for index, line in enumerate(array[row::down, left::right]):
            content = np.frombuffer(line.astype(">u2").tobytes(), np.uint8)
            step = 2 * channels
            if index % 2:
                content = np.concatenate((content[:step], content[step:] - content[:-step]))
            if content.size:
                lines.append(bytes([index % 2]) + content.tobytes())
    body = zlib.compress(b"".join(lines))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + text + chunk(b"IDAT", body) + chunk(b"IEND", b"")


ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def saved(array, **options):
    out = io.BytesIO()
    Image.fromarray(array).save(out, "TIFF", **options)
    return out.getvalue()


def tiff(array, **options):
    out = io.BytesIO()
    tifffile.imwrite(out, array, **options)
    return out.getvalue()


def decoded(data, channels, low=0, high=65535):
    values = decode_window(data, channels, MAX_PIXELS, (low, high))
    assert values.dtype == np.uint16 and values.flags.c_contiguous and not values.flags.writeable
    return values


def test_a_narrow_range_keeps_its_levels():
    ramp = np.tile(RAMP, (4, 1))[..., None]
    for data in (png(ramp, 0), tiff(ramp[..., 0]), saved(ramp[..., 0])):
        values = decoded(data, 1, 1000, 1200)
        np.testing.assert_array_equal(values, expected(ramp, 1000, 1200))
        assert len(np.unique(values)) == 200
    assert len(np.unique(decode_image(png(ramp, 0), 1, MAX_PIXELS))) == 2


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(("color_type", "channels", "kept"), [(0, 1, 1), (2, 3, 3), (4, 2, 1), (6, 4, 3)])
def test_png_of_16_bits_is_read_whole(color_type, channels, kept, interlaced):
    array = numbers(channels)
    values = decoded(png(array, color_type, interlaced), kept, 300, 50_000)
    np.testing.assert_array_equal(values, expected(array[..., :kept], 300, 50_000))


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "f2", "f4", "f8"])
def test_tiff_of_every_number_and_byte_order(dtype, byteorder):
    low, high = (-1.5, 2.0) if dtype[0] == "f" else (np.iinfo(dtype).min + 3, np.iinfo(dtype).max // 2)
    for channels, kind in ((1, "minisblack"), (3, "rgb")):
        array = numbers(channels, dtype)
        shaped = array[..., 0] if channels == 1 else array
        data = tiff(shaped, byteorder=byteorder, photometric=kind)
        np.testing.assert_array_equal(decoded(data, channels, low, high), expected(array, low, high))


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {"rowsperstrip": 4},
        {"tile": (16, 16)},
        {"tile": (32, 16), "compression": "zlib"},
        {"compression": "zlib", "predictor": True, "rowsperstrip": 5},
        {"compression": "zlib", "predictor": True, "tile": (16, 32)},
        {"planarconfig": "separate"},
        {"planarconfig": "separate", "compression": "zlib", "tile": (16, 16), "predictor": True},
    ],
)
@pytest.mark.parametrize("dtype", ["u2", "f4"])
def test_tiff_in_strips_tiles_and_planes(dtype, options, bigtiff):
    array = numbers(3, dtype)
    if dtype == "f4":  # the writer has no floating-point predictor: see below
        options = {name: value for name, value in options.items() if name != "predictor"}
    if "planarconfig" in options:
        data = tiff(array.transpose(2, 0, 1), photometric="rgb", bigtiff=bigtiff, **options)
    else:
        data = tiff(array, photometric="rgb", bigtiff=bigtiff, **options)
    low, high = (-1.5, 2.0) if dtype == "f4" else (1, 60_000)
    np.testing.assert_array_equal(decoded(data, 3, low, high), expected(array, low, high))


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("dtype", ["u2", "i4", "f4"])
def test_tiff_as_the_library_writes_it(dtype, compression):
    array = numbers(1, dtype)
    data = saved(array[..., 0], compression=compression)
    low, high = (-1.5, 2.0) if dtype == "f4" else (5, 60_000)
    np.testing.assert_array_equal(decoded(data, 1, low, high), expected(array, low, high))


@pytest.mark.parametrize(("predictor", "dtype"), [(2, "u2"), (3, "f4")])
def test_tiff_compressed_by_lzw_with_a_predictor(predictor, dtype):
    array = numbers(1, dtype)
    data = saved(array[..., 0], compression="tiff_lzw", tiffinfo={317: predictor})
    np.testing.assert_array_equal(decoded(data, 1, 0, 3), expected(array, 0, 3))


def test_grey_is_repeated_and_colour_becomes_the_luma_of_its_values():
    array = numbers(3)
    values, luma = decoded(png(array, 2), 3), decoded(png(array, 2), 1)
    assert np.abs(luma[..., 0] - values.astype(float) @ [0.299, 0.587, 0.114]).max() <= 1.0
    grey = numbers(1)
    np.testing.assert_array_equal(decoded(png(grey, 0), 3), np.repeat(decoded(png(grey, 0), 1), 3, axis=2))


@pytest.mark.parametrize("mode", ["L", "RGB", "P", "1", "LA", "CMYK"])
def test_8_bits_are_numbers_too(mode):
    image = Image.fromarray(numbers(3, np.uint8)).convert(mode)
    out = io.BytesIO()
    image.save(out, "TIFF" if mode == "CMYK" else "PNG")
    if mode == "CMYK":
        with pytest.raises(Undecodable, match="neither grey"):
            decoded(out.getvalue(), 3)
        return
    bytes_ = decode_image(out.getvalue(), 3, MAX_PIXELS)
    np.testing.assert_array_equal(decoded(out.getvalue(), 3, 0, 255), bytes_.astype(np.uint16) << 8)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_applied_as_to_8_bits(orientation):
    array = numbers(3)
    exif = b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1" + struct.pack(">HH", orientation, 0) + bytes(4)
    data = png(array, 2, text=chunk(b"eXIf", exif))
    np.testing.assert_array_equal(decoded(data, 3, 0, 65280) >> 8, decode_image(data, 3, MAX_PIXELS))
    turned = tiff(array, photometric="rgb", extratags=[(274, 3, 1, orientation, True)])
    np.testing.assert_array_equal(decoded(turned, 3), decoded(data, 3))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_are_refused(bad):
    array = numbers(1, np.float32)
    array[3, 4] = bad
    with pytest.raises(Undecodable, match="NaN or infinite"):
        decoded(tiff(array[..., 0]), 1, 0, 1)


def test_a_window_is_exact_at_its_ends_and_clamps():
    array = np.array([-5, 0, 1, 2**31 - 1, 2**32 - 1], np.float64)
    assert apply_window(array, (0.0, 1.0)).tolist() == [0, 0, WHITE, WHITE, WHITE]
    assert apply_window(np.array([1e300, -1e300]), (0.0, 1e-30)).tolist() == [WHITE, 0]
    assert apply_window(np.array([7, 7 + 1e-9]), (7.0, 7 + 1e-9)).tolist() == [0, WHITE]


@pytest.mark.parametrize(
    "data",
    [
        tiff(numbers(5), photometric="minisblack", planarconfig="contig"),
        tiff(numbers(1)[..., 0], photometric="miniswhite"),
        tiff(numbers(1, np.uint64)[..., 0]),
        tiff(numbers(1, np.int64)[..., 0]),
        saved(numbers(3, np.uint8), compression="jpeg"),
    ],
)
def test_another_kind_of_tiff_is_refused_with_the_reason(data):
    with pytest.raises(Undecodable, match=r"neither grey|not served|pixels"):
        decoded(data, 3)


@pytest.mark.parametrize(("channels", "photometric"), [(2, "minisblack"), (4, "rgb")])
def test_a_last_channel_is_dropped_if_it_is_alpha_and_refused_if_it_is_not(channels, photometric):
    array, options = numbers(channels), {"photometric": photometric, "planarconfig": "contig"}
    for kind in ("assocalpha", "unassalpha"):
        assert decoded(tiff(array, extrasamples=[kind], **options), 3).shape == (*array.shape[:2], 3)
    with pytest.raises(Undecodable, match=f"{channels} channels, of which the last is not alpha"):
        decoded(tiff(array, extrasamples=["unspecified"], **options), 3)


def test_a_damaged_tiff_is_a_value():
    whole = tiff(numbers(3), photometric="rgb", compression="zlib", predictor=True, rowsperstrip=3)
    intact = decoded(whole, 3)
    random = np.random.default_rng(1)
    for _ in range(400):
        data = bytearray(whole)
        for at in random.integers(0, len(data), random.integers(1, 9)):
            data[at] = random.integers(256)
        data = bytes(data[: random.integers(8, len(data) + 1)]) if random.random() < 0.3 else bytes(data)
        try:
            values = decode_window(data, 3, MAX_PIXELS, (0, 65535))
        except Undecodable:
            continue
        assert values.dtype == intact.dtype and values.ndim == 3


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({256: 1 << 20, 257: 1 << 20}, "pixels"),
        ({256: 0}, "damaged"),
        ({322: 1 << 15, 323: 1 << 15}, "far larger"),
        ({273: 1 << 31}, "damaged"),
        ({279: 1 << 31}, "damaged"),
    ],
)
def test_a_tiff_is_bounded_by_its_directory_before_anything_is_decoded(tags, reason):
    tile = {"tile": (16, 16)} if 322 in tags else {}
    data = bytearray(tiff(numbers(1)[..., 0], compression="zlib", **tile))
    (at,) = struct.unpack_from("<L", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        (tag,) = struct.unpack_from("<H", data, entry)
        if tag in tags:
            struct.pack_into("<HLL", data, entry + 2, 4, 1, tags[tag])
    with pytest.raises(Undecodable, match=reason):
        decoded(bytes(data), 1)


def test_the_message_for_a_folder_of_tiffs_names_the_window(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "0.tif").write_bytes(tiff(numbers(1)[..., 0]))
    with pytest.raises(ValueError, match=r"files named \.jpeg.*`window: \[low, high\]` takes \.tif, \.tiff too"):
        open_image_folder("scans", ImageFolderSettings(format="image_folder", path=tmp_path), DecodedCache(0))
