"""The memory that decoding a file takes at its peak, from its header: known before it is spent.

Measured as the growth of a process that holds the file: bytes a pixel at 22 million pixels.
"""

from augsvc_client.decoding.containers.jpeg import read_jpeg_size
from augsvc_client.decoding.containers.mp3 import is_mp3, read_mp3_size
from augsvc_client.decoding.containers.ogg import read_ogg_size
from augsvc_client.decoding.containers.png import SIGNATURE, has_16_bits, read_png_size
from augsvc_client.decoding.containers.sound_tags import without_tags
from augsvc_client.decoding.containers.webp import read_webp_size
from augsvc_client.decoding.tiff import is_tiff, tiff_decoding_bytes

# JPEG and PNG: upright colour 10.6, of which the array has 3; a rotated photo, CMYK or RGBA 14.0.
# WebP: lossy 19.8, lossless RGBA 22.7.
_JPEG, _PNG, _WEBP = 15, 15, 24
_DEEP_PNG, _WINDOWED = 36, 39  # into three channels
_COPIES = 3  # of the file: its parts without metadata, joined, and buffered by the library
_FLAC_LENGTH = slice(21, 26)  # bytes: 4 bits, then the number of samples in 36

# Of any image: as WebP; through a window a TIFF has, for each of `max_pixels`, 3 bytes of numbers and 3 copies of 4 times as many
MAX_PIXEL_BYTES, MAX_WINDOWED_PIXEL_BYTES = _WEBP, 39


def image_decoding_bytes(data: bytes, max_pixels: int, windowed: bool) -> int:
    """Of an image file; one with a damaged header, or above `max_pixels` pixels, is refused before its pixels.

    `windowed` is true for `decode_window`, false for `decode_image`.
    """
    try:
        n_bytes = tiff_decoding_bytes(data, max_pixels) if is_tiff(data) else _bytes(data, max_pixels, windowed)
    except Exception:  # the decoder says how it is damaged
        n_bytes = 0
    return _COPIES * len(data) + n_bytes


def _bytes(data: bytes, max_pixels: int, windowed: bool) -> int:
    (width, height), pixel_bytes = _size(data)
    pixels = width * height
    return pixels * (_WINDOWED if windowed else pixel_bytes) if pixels <= max_pixels else 0


def _size(data: bytes) -> tuple[tuple[int, int], int]:
    """The declared width and height, and the bytes that a pixel takes."""
    if data.startswith(SIGNATURE):
        return read_png_size(data), _DEEP_PNG if has_16_bits(data) else _PNG
    if data.startswith(b"RIFF"):
        return read_webp_size(data), _WEBP
    return read_jpeg_size(data), _JPEG


def sound_decoding_bytes(data: bytes, max_frames: int, channels: int = 1) -> int:
    """Of a sound file: its copies, and at most `max_frames` frames of `channels` in float32."""
    return _COPIES * len(data) + 4 * channels * min(_most_frames(data), max_frames)


def _most_frames(data: bytes) -> int:
    """The declared number of frames, or a limit of it; any number of a file that no format begins."""
    data = without_tags(data)
    if data.startswith((b"RIFF", b"FORM")):
        return len(data)
    if data.startswith(b"fLaC"):
        return int.from_bytes(data[_FLAC_LENGTH], "big") & (1 << 36) - 1 or 1 << 36
    if data.startswith(b"OggS"):
        return read_ogg_size(data).samples
    if is_mp3(data):
        return read_mp3_size(data).samples
    return 1 << 36
