"""The time that decoding a file takes, from its header: known before it is spent.

Measured at 9 to 89 million pixels, in ns of one core a pixel: JPEG 4.6, in ten scans 27; PNG 26, of noise 60; lossy WebP 27,
lossless 32; through a window 47 more; TIFF 1.7 a byte of the memory that it takes. Of sound, in ns a value of a channel: FLAC 12,
MP3 9 to 16, Vorbis 17, Opus 63; of a byte of WAV 3.
"""

from augsvc_client.decoding.containers.flac import MAX_FRAME_SAMPLES, count_flac_frames, read_flac_size
from augsvc_client.decoding.containers.jpeg import read_jpeg_size
from augsvc_client.decoding.containers.mp3 import MAX_GAPS, is_mp3, read_mp3_size
from augsvc_client.decoding.containers.ogg import read_ogg_size
from augsvc_client.decoding.containers.png import SIGNATURE, read_png_size
from augsvc_client.decoding.containers.sound_tags import without_tags
from augsvc_client.decoding.containers.webp import read_webp_size
from augsvc_client.decoding.limits import HIGHEST_RATE
from augsvc_client.decoding.tiff import is_tiff, tiff_decoding_bytes

# Seconds a pixel, of a JPEG and of each of its scans; of other files; through a window. A byte of a TIFF's memory.
_JPEG, _SCAN, _OTHER, _WINDOWED, _TIFF = 4e-9, 2.7e-9, 30e-9, 50e-9, 2e-9
_SMALL = 5_000_000  # pixels
_SOI, _SOS = b"\xff\xd8", b"\xff\xda"

# Seconds a value of a channel: of FLAC; of Ogg, since a floor of type 0 makes Vorbis as slow as Opus. A byte of WAV.
_FLAC, _OGG, _WAV, _MP3 = 15e-9, 65e-9, 10e-9, 20e-9
_COPY, _WAV_FRAME_BYTES = 1e-9, 4  # a byte of a WAV that is copied only; of two channels with 16 bits
_FLAC_FRAME, _OGG_PAGE, _MP3_FRAME = 5e-6, 5e-6, 1e-6  # as the walks over them take
_SMALL_FLAC = 100_000  # bytes, whose frames are not counted: a quarter of a second with any number
_OPUS_RATES = 6  # positions count samples at 48 kHz, the clip may have 8 kHz


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


def sound_decoding_seconds(data: bytes, max_frames: int) -> float:
    """Of a sound file, by what its header states and its bytes allow; 0 for one that is refused by its header."""
    data = without_tags(data)
    try:
        if data.startswith(b"fLaC"):
            return _flac_seconds(data, max_frames)
        if is_mp3(data):
            return _mp3_seconds(data, max_frames)
        return _ogg_seconds(data, max_frames) if data.startswith(b"OggS") else _WAV * len(data)
    except Exception:  # the decoder says how it is damaged
        return 0.0


def interval_decoding_seconds(data: bytes, seconds: float) -> float:
    """Of an interval of that many seconds in a WAV, AIFF or FLAC file: the walk over the file, and its samples at any rate."""
    data = without_tags(data)
    frames = seconds * HIGHEST_RATE
    try:
        if not data.startswith(b"fLaC"):
            return _COPY * len(data) + _WAV * min(len(data), frames * _WAV_FRAME_BYTES)
        stated, channels = read_flac_size(data)
        n_frames = count_flac_frames(data) if len(data) > _SMALL_FLAC or not stated else 0
        samples = min(stated or n_frames * MAX_FRAME_SAMPLES, frames)
        return _FLAC * samples * channels + _FLAC_FRAME * n_frames
    except Exception:  # the decoder says how it is damaged
        return 0.0


def _flac_seconds(data: bytes, max_frames: int) -> float:
    stated, channels = read_flac_size(data)
    if stated > max_frames:
        return 0.0
    n_frames = count_flac_frames(data) if len(data) > _SMALL_FLAC or not stated else 0
    samples = stated or min(max_frames, n_frames * MAX_FRAME_SAMPLES)
    return _FLAC * samples * channels + _FLAC_FRAME * n_frames


def _ogg_seconds(data: bytes, max_frames: int) -> float:
    samples, channels, n_pages = read_ogg_size(data)
    if samples > _OPUS_RATES * max_frames:
        return 0.0
    return _OGG * samples * channels + _OGG_PAGE * n_pages


def _mp3_seconds(data: bytes, max_frames: int) -> float:
    """An encoder's delay and padding are decoded too, of at most 4095 samples each."""
    samples, channels, n_frames = read_mp3_size(data)
    if samples > max_frames + MAX_GAPS:
        return 0.0
    return _MP3 * samples * channels + _MP3_FRAME * n_frames
