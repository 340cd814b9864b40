"""All decoders by name, and the digest of a probe file and its variants through each, which is part of arithmetic ids.

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
from itertools import product
from types import MappingProxyType
from typing import Any

import numpy.typing as npt

from augsvc.data.decoders.variants import build_variants
from augsvc.errors import Undecodable
from augsvc_client.decoding.audio import decode_sound
from augsvc_client.decoding.image import FACTORS, decode_image, decode_window

IMAGE_DECODERS = ("jpeg", "png", "webp")
NUMBER_DECODERS = (*IMAGE_DECODERS, "png16", "tiff")  # of datasets with a window
SOUND_DECODERS = ("aiff", "flac", "mp3", "opus", "vorbis", "wav")

# The probe of each decoder in the package data: a 24×16 colour image (of 16 bits for png16; a TIFF of floats, compressed by
# LZW with the floating-point predictor), or 2,400 frames of audio.
DECODERS: Mapping[str, str] = MappingProxyType(
    {
        "jpeg": "probe.jpg",
        "png": "probe.png",
        "webp": "probe.webp",
        "png16": "probe16.png",
        "tiff": "probe.tif",
        "aiff": "probe.aiff",
        "flac": "probe.flac",
        "mp3": "probe.mp3",
        "opus": "probe.opus",
        "vorbis": "probe.ogg",
        "wav": "probe.wav",
    }
)

# Further probes, 83 × 50 pixels, so that chroma has half a pixel more than blocks: libraries differ in how they enlarge it.
_FURTHER: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"jpeg": ("probe_420.jpg", "probe_422.jpg", "probe_444.jpg", "probe_progressive.jpg")}
)
_PROBE_PIXELS, _FURTHER_PIXELS = 24 * 16, 83 * 50


def probe_digest(name: str) -> str:
    """The SHA-256 (hex) of what a decoder makes of its probes and of changed copies of one; `name` is one of `DECODERS`.

    Images are decoded in colour and in grey. If this machine's library cannot decode a probe (Opus and MP3 are optional), the
    digest says so: such a replica produces different bytes.
    """
    digest = hashlib.sha256()
    for rule, outcome in probe_outcomes(name).items():
        digest.update(f"{rule}\0{outcome}\0".encode())
    return digest.hexdigest()


def probe_outcomes(name: str) -> Mapping[str, str]:
    """The SHA-256 (hex) of a decoder's probes and of each variant, decoded, or "undecodable", by the rule that each is for."""
    folder = files("augsvc.data.decoders").joinpath("probes")
    probe = folder.joinpath(DECODERS[name]).read_bytes()
    outcomes = {
        file: _outcome(name, folder.joinpath(file).read_bytes(), pixels=_FURTHER_PIXELS)
        for file in _FURTHER.get(name, ())
    }
    if name == "jpeg":
        for file, factor in product(_FURTHER["jpeg"], FACTORS):
            data = folder.joinpath(file).read_bytes()
            pixels = decode_image(data, 3, _FURTHER_PIXELS, factor=factor)
            outcomes[f"{file}, 1/{factor}"] = hashlib.sha256(_shaped(pixels)).hexdigest()
    for rule, data in {"unchanged": probe, **build_variants(name, probe)}.items():
        if name == "jpeg":  # the only one that differs in it
            outcomes[f"{rule}, not strict"] = _outcome(name, data, strict=False)
        outcomes[rule] = _outcome(name, data)
    return outcomes


def _outcome(name: str, data: bytes, strict: bool = True, pixels: int = _PROBE_PIXELS) -> str:
    try:
        return hashlib.sha256(_decode(name, data, strict, pixels)).hexdigest()
    except Undecodable:
        return "undecodable"


def _decode(name: str, data: bytes, strict: bool, pixels: int) -> bytes:
    if name in IMAGE_DECODERS:
        return b"".join(_shaped(decode_image(data, channels, pixels, strict)) for channels in (3, 1))
    if name in NUMBER_DECODERS:
        window = (0.0, 65535.0)
        return b"".join(_shaped(decode_window(data, channels, 4 * pixels, window).astype("<u2")) for channels in (3, 1))
    audio, rate = decode_sound(data, max_frames=2400)
    return rate.to_bytes(4, "little") + audio.astype("<f4").tobytes()


def _shaped(pixels: npt.NDArray[Any]) -> bytes:
    return str(pixels.shape).encode() + pixels.tobytes()
