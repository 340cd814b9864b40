"""JPEGs whose data are damaged: the decoder repairs them with a warning, so they are undecodable unless `strict` is off."""

import io

import numpy as np
import pytest
from PIL import Image

from augsvc.errors import Undecodable
from augsvc_client.decoding.image import decode_image

MAX_PIXELS = 1 << 20


def photograph():
    """Smooth structure with noise, as a camera's."""
    random = np.random.default_rng(3)
    y, x = np.mgrid[:240, :320] / 40
    base = np.stack([np.sin(x + y), np.cos(2 * x - y), np.sin(x * y / 4)], axis=-1) * 80 + 128
    return (base + random.normal(0, 12, base.shape)).clip(0, 255).astype(np.uint8)


def jpeg(mode="RGB", **options):
    out = io.BytesIO()
    Image.fromarray(photograph()).convert(mode).save(out, "JPEG", quality=85, **options)
    return out.getvalue()


FILES = {
    "baseline": jpeg(),
    "progressive": jpeg(progressive=True),
    "optimized": jpeg(optimize=True),
    "without subsampling": jpeg(subsampling=0),
    "restarts": jpeg(restart_marker_rows=1),
    "grey": jpeg("L"),
    "cmyk": jpeg("CMYK"),
}


def scan(data):
    """Where the data of the first scan begin."""
    return data.index(b"\xff\xda") + 14


def undecodable(data):
    try:
        decode_image(data, 3, MAX_PIXELS)
    except Undecodable:
        return True
    return False


@pytest.mark.parametrize("name", FILES)
def test_what_is_whole_is_decodable_with_the_same_pixels(name):
    with Image.open(io.BytesIO(FILES[name])) as image:
        expected = np.asarray(image.convert("RGB"))
    for strict in (True, False):
        np.testing.assert_array_equal(decode_image(FILES[name], 3, MAX_PIXELS, strict), expected)


@pytest.mark.parametrize("name", FILES)
def test_a_half_that_is_zero_or_missing_is_undecodable(name):
    data = FILES[name]
    half = scan(data) + (len(data) - scan(data)) // 2
    assert undecodable(data[:half] + bytes(len(data) - half - 2) + data[-2:])
    assert undecodable(data[:half] + data[-2:])
    assert undecodable(data[:half] + data[half + 500 :])


@pytest.mark.parametrize("name", FILES)
def test_overwritten_bytes_are_undecodable_where_they_leave_a_trace(name):
    """In this noisy image from a third (optimized tables have no unused codes) to nine in ten."""
    data, random = FILES[name], np.random.default_rng(4)
    starts = random.integers(scan(data), len(data) - 20, 60)
    changed = [data[:at] + random.bytes(16) + data[at + 16 :] for at in starts]
    assert sum(map(undecodable, changed)) >= 15


def test_without_strict_the_damaged_image_is_served():
    data = FILES["baseline"]
    half = scan(data) + (len(data) - scan(data)) // 2
    damaged = data[:half] + bytes(len(data) - half - 2) + data[-2:]
    assert decode_image(damaged, 3, MAX_PIXELS, strict=False).shape == (240, 320, 3)


def test_metadata_bytes_before_and_behind_the_image_are_no_damage():
    data = FILES["baseline"]
    whole = decode_image(data, 3, MAX_PIXELS)
    for trailer in (bytes(100), b"SEFT" * 50, data):
        np.testing.assert_array_equal(decode_image(data + trailer, 3, MAX_PIXELS), whole)
    odd_version = data.replace(b"JFIF\0\x01", b"JFIF\0\x07")
    np.testing.assert_array_equal(decode_image(odd_version, 3, MAX_PIXELS), whole)
    assert undecodable(data[:-2])
