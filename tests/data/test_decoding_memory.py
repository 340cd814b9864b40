"""What decoding takes at its peak is known before: compared with what processes took."""

import io
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from PIL import Image

from augsvc_client.decoding.memory import image_decoding_bytes, sound_decoding_bytes
from tests.data.test_image_decoder import VALID
from tests.data.test_window import png, tiff

SIDE = 2000
USUAL = ("rotated JPEG", "lossless WebP with alpha")  # the others are slow
# The header does not tell which JPEGs Pillow decodes, in more memory; an unknown version of JFIF is one of its cases.
WITHOUT_PILLOW = ("JPEG", "rotated JPEG")
DECODE = """
import sys
from augsvc_client.decoding.image import decode_image, decode_window
data = sys.stdin.buffer.read()
small, windowed = data[: int(sys.argv[2])], sys.argv[1] == "windowed"
decode = (lambda data: decode_window(data, 3, 1 << 27, (0, 65535))) if windowed else (lambda data: decode_image(data, 3, 1 << 27))
peak = lambda: next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
decode(small)
before = peak()
decode(data[int(sys.argv[2]) :])
print((peak() - before) << 10)
"""


def saved(array, fmt, mode=None, **options):
    out = io.BytesIO()
    Image.fromarray(array, mode).save(out, fmt, **options)
    return out.getvalue()


def noise(side, dtype=np.uint8, channels=3):
    return np.random.default_rng(0).integers(0, 60, (side, side, channels), dtype=dtype)


def cmyk(side, **options):
    return saved(noise(side, channels=4), "JPEG", "CMYK", quality=80, subsampling=0, progressive=True, **options)


def rotated():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def by_pillow(data):
    return data.replace(b"JFIF\0\1", b"JFIF\0\7")


FILES = {
    "JPEG": ("", lambda side: saved(noise(side), "JPEG", quality=90, subsampling=0)),
    "progressive JPEG": ("", lambda side: saved(noise(side), "JPEG", quality=90, subsampling=0, progressive=True)),
    "JPEG by Pillow": ("", lambda side: by_pillow(saved(noise(side), "JPEG", quality=90, subsampling=0))),
    "rotated JPEG by Pillow": (
        "",
        lambda side: by_pillow(saved(noise(side), "JPEG", quality=90, exif=rotated())),
    ),
    "PNG": ("", lambda side: saved(noise(side), "PNG", compress_level=1)),
    "WebP": ("", lambda side: saved(noise(side), "WEBP", quality=50, method=0)),
    "lossless WebP": ("", lambda side: saved(noise(side), "WEBP", lossless=True, quality=0, method=0)),
    "CMYK JPEG": ("", cmyk),
    "rotated JPEG": ("", lambda side: saved(noise(side), "JPEG", quality=90, exif=rotated())),
    "rotated CMYK JPEG": ("", lambda side: cmyk(side, exif=rotated())),
    "grey PNG": ("", lambda side: saved(noise(side)[..., 0], "PNG", compress_level=1)),
    "PNG with a palette": ("", lambda side: saved(noise(side)[..., 0], "PNG", "P", compress_level=1)),
    "PNG with alpha": ("", lambda side: saved(noise(side, channels=4), "PNG", compress_level=1)),
    "grey PNG with alpha": ("", lambda side: saved(noise(side, channels=2), "PNG", "LA", compress_level=1)),
    "WebP with alpha": ("", lambda side: saved(noise(side, channels=4), "WEBP", quality=50, method=0)),
    "lossless WebP with alpha": (
        "",
        lambda side: saved(noise(side, channels=4), "WEBP", lossless=True, quality=0, method=0),
    ),
    "windowed JPEG": ("windowed", lambda side: saved(noise(side), "JPEG", quality=90, subsampling=0)),
    "windowed PNG with alpha": ("windowed", lambda side: saved(noise(side, channels=4), "PNG", compress_level=1)),
    "PNG of 16 bits": ("windowed", lambda side: png(noise(side, np.uint16), 2)),
    "TIFF of 16 bits": ("windowed", lambda side: tiff(noise(side, np.uint16), photometric="rgb", compression="zlib")),
    "TIFF of floats": ("windowed", lambda side: tiff(noise(side, np.uint16).astype(np.float32), photometric="rgb")),
}


@pytest.mark.parametrize(
    "name", [name if name in USUAL else pytest.param(name, marks=pytest.mark.slow) for name in FILES]
)
def test_no_decode_takes_more_than_its_estimate(name):
    kind, make = FILES[name]
    small, large = make(16), make(SIDE)
    command = [sys.executable, "-c", DECODE, kind, str(len(small))]
    peak = int(subprocess.run(command, input=small + large, capture_output=True, check=True).stdout)
    estimate = image_decoding_bytes(large, 1 << 27, kind == "windowed")
    assert peak <= estimate + (4 << 20)
    assert estimate <= (6 if name in WITHOUT_PILLOW else 3) * peak


def test_a_file_that_is_refused_by_its_size_costs_its_copies():
    large = saved(np.zeros((300, 300, 3), np.uint8), "PNG")
    assert image_decoding_bytes(large, 300 * 300, windowed=False) > 300 * 300 * 10
    assert image_decoding_bytes(large, 300 * 300 - 1, windowed=False) == 3 * len(large)
    for data in (b"", b"\xff\xd8\xff", b"RIFF", VALID["png"][:20], b"II*\0", b"no image"):
        assert image_decoding_bytes(data, 1 << 20, windowed=False) == 3 * len(data)


@pytest.mark.parametrize(
    ("fmt", "subtype"),
    [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")],
)
def test_a_sound_costs_its_frames(fmt, subtype):
    out = io.BytesIO()
    soundfile.write(out, np.zeros((48_000, 1), np.float32), 48_000, format=fmt, subtype=subtype)
    data = out.getvalue()
    assert 4 * 48_000 <= sound_decoding_bytes(data, 1 << 24) - 3 * len(data) <= 4 * 100_000
    assert sound_decoding_bytes(data, 100) == 3 * len(data) + 400
    assert sound_decoding_bytes(b"ID3" + data, 1000) == 3 * len(data) + 9 + 4000
