"""The time that decoding an image takes, from its header: known before it is spent.

Measured at 9 to 89 million pixels, in ns of one core a pixel: JPEG 4.6, in ten scans 27; PNG 26, of noise 60; lossy WebP 27,
lossless 32; through a window 47 more; TIFF 1.7 a byte of the memory that it takes.
"""

from augsvc_client.decoding.containers.jpeg import read_jpeg_size
from augsvc_client.decoding.containers.png import SIGNATURE, read_png_size
from augsvc_client.decoding.containers.webp import read_webp_size
from augsvc_client.decoding.tiff import is_tiff, tiff_decoding_bytes

# Seconds a pixel, of a JPEG and of each of its scans; of other files; through a window. A byte of a TIFF's memory.
_JPEG, _SCAN, _OTHER, _WINDOWED, _TIFF = 4e-9, 2.7e-9, 30e-9, 50e-9, 2e-9
_SMALL = 5_000_000  # pixels
_SOI, _SOS = b"\xff\xd8", b"\xff\xda"


def image_decoding_seconds(data: bytes, max_pixels: int, windowed: bool) -> float:
    """Of an image file, with its scans; 0 for one that is refused by its header. `windowed` is true for `decode_window`."""
    try:
        if is_tiff(data):
            return _TIFF * tiff_decoding_bytes(data, max_pixels)
        pixels = _pixels(data)
        seconds = _JPEG + _SCAN * _scans(data, pixels) if data.startswith(_SOI) else _OTHER
    except Exception:  # the decoder says how it is damaged
        return 0.0
    return pixels * (seconds + (_WINDOWED if windowed else 0.0)) if pixels <= max_pixels else 0.0


def _scans(data: bytes, pixels: int) -> int:
    """Those of a JPEG; 1 of a small one, which takes no second with any number: counting took 60 µs of a decode of 1.1 ms."""
    return data.count(_SOS) if pixels > _SMALL else 1


def _pixels(data: bytes) -> int:
    """The declared number."""
    if data.startswith(SIGNATURE):
        width, height = read_png_size(data)
    else:
        width, height = read_webp_size(data) if data.startswith(b"RIFF") else read_jpeg_size(data)
    return width * height
