"""Sound files made by hand for the tests: containers byte by byte, so that they can lie."""

import io
import struct

import numpy as np
import soundfile

RATE = 16_000


def waves(frames, channels=1, seed=0):
    """Float32 (frames, channels) within ±0.9: sums of sines of a few hundred hertz, of other phases in every channel."""
    random = np.random.default_rng(seed)
    angles = 2 * np.pi * random.uniform(100, 2000, (3, channels)) / RATE
    phases = random.uniform(0, 2 * np.pi, (3, channels))
    n = np.arange(frames)[:, None, None]
    return (0.3 * np.sin(n * angles + phases)).sum(axis=1).astype(np.float32)


def encode(array, container, coding, rate=RATE):
    """A file by the library itself."""
    out = io.BytesIO()
    soundfile.write(out, array, rate, format=container, subtype=coding)
    return out.getvalue()


def chunk(name, content, claimed=None):
    return name + struct.pack("<I", len(content) if claimed is None else claimed) + content + bytes(len(content) % 2)


def fmt(tag, channels, rate, bits, align=None):
    align = channels * bits // 8 if align is None else align
    return chunk(b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, rate * align & 0xFFFFFFFF, align & 0xFFFF, bits))


def riff(*chunks):
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def wav(content, tag=1, channels=1, rate=RATE, bits=16, claimed=None, between=b""):
    """A plain WAV about those bytes; its data chunk may claim another length."""
    return riff(fmt(tag, channels, rate, bits), between, chunk(b"data", content, claimed))


def float_wav(*values):
    return wav(np.array(values, dtype="<f4").tobytes(), tag=3, bits=32)


# What libsndfile writes of each kind that is served.
VALID = {
    "wav-8": encode(waves(900), "WAV", "PCM_U8"),
    "wav-16": encode(waves(900, 2), "WAV", "PCM_16"),
    "wav-24": encode(waves(900), "WAV", "PCM_24"),
    "wav-float": encode(waves(900, 2), "WAV", "FLOAT"),
    "wav-double": encode(waves(900), "WAV", "DOUBLE"),
    "wav-ulaw": encode(waves(900), "WAV", "ULAW"),
    "rf64": encode(waves(900, 2), "RF64", "PCM_16"),
    "w64": encode(waves(900), "W64", "PCM_24"),
    "wavex": encode(waves(900, 3), "WAVEX", "PCM_16"),
    "aiff-8": encode(waves(900), "AIFF", "PCM_S8"),
    "aiff-16": encode(waves(900, 2), "AIFF", "PCM_16"),
    "aiff-24": encode(waves(900), "AIFF", "PCM_24"),
    "aiff-float": encode(waves(900, 2), "AIFF", "FLOAT"),
    "aiff-ulaw": encode(waves(900), "AIFF", "ULAW"),
    "flac-16": encode(waves(900, 2), "FLAC", "PCM_16"),
    "flac-24": encode(waves(900), "FLAC", "PCM_24"),
    "vorbis": encode(waves(3000, 2), "OGG", "VORBIS"),
    "vorbis-pages": encode(waves(90_000), "OGG", "VORBIS"),
    "opus": encode(waves(3000), "OGG", "OPUS"),
    "mp3": encode(waves(3000, 2), "MP3", "MPEG_LAYER_III"),
    "mp3-mpeg-1": encode(waves(3000), "MP3", "MPEG_LAYER_III", 44_100),
}
