"""All decoders by name, and the digest of a probe file through each, which the self-test puts into arithmetic ids.

The audio files in `probes/` hold 2,400 frames at 8,000 Hz of two channels, by this recipe, written by libsndfile:

    n = numpy.arange(2400)
    left = (abs(n * 37 % 512 - 256) - 128) * 150      # a triangle of 578 Hz
    right = (n * n // 256 % 256 - 128) * 90           # a rising sawtooth
    left[1200:1206] += 9000                           # a click, for codecs that change their block length
    numpy.stack((left, right), axis=1).astype("int16")
"""

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

from augsvc.errors import Undecodable
from augsvc_client.decoding.audio import decode_sound
from augsvc_client.decoding.image import decode_image, decode_window

IMAGE_DECODERS = ("jpeg", "png", "webp")
NUMBER_DECODERS = (*IMAGE_DECODERS, "png16", "tiff")  # of datasets with a window
SOUND_DECODERS = ("flac", "opus", "vorbis", "wav")

# The probe of each decoder in the package data: a 24×16 colour image (of 16 bits for png16; a TIFF of floats, compressed by
# LZW with the floating-point predictor), or 2,400 frames of audio.
DECODERS: Mapping[str, str] = MappingProxyType(
    {
        "jpeg": "probe.jpg",
        "png": "probe.png",
        "webp": "probe.webp",
        "png16": "probe16.png",
        "tiff": "probe.tif",
        "flac": "probe.flac",
        "opus": "probe.opus",
        "vorbis": "probe.ogg",
        "wav": "probe.wav",
    }
)


def probe_digest(name: str) -> str:
    """The SHA-256 (hex) of a decoder's probe, decoded; `name` is one of `DECODERS`.

    Images are decoded in colour and in grey. If this machine's library cannot decode a probe (Opus is optional), the digest
    says so: such a replica produces different bytes.
    """
    data = files("augsvc.data.decoders").joinpath("probes", DECODERS[name]).read_bytes()
    digest = hashlib.sha256()
    if name in IMAGE_DECODERS:
        for channels in (3, 1):
            digest.update(decode_image(data, channels, max_pixels=24 * 16).tobytes())
    elif name in NUMBER_DECODERS:
        for channels in (3, 1):
            digest.update(decode_window(data, channels, 4 * 24 * 16, (0.0, 65535.0)).astype("<u2").tobytes())
    else:
        digest.update(_sound(data))
    return digest.hexdigest()


def _sound(data: bytes) -> bytes:
    try:
        audio, rate = decode_sound(data, max_frames=2400)
    except Undecodable:
        return b"undecodable"
    return rate.to_bytes(4, "little") + audio.astype("<f4").tobytes()
