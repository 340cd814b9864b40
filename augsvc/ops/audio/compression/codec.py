"""Lossy codecs."""

from collections.abc import Callable
from io import BytesIO
from math import frexp
from typing import Annotated, ClassVar, Literal, NamedTuple

import numpy as np
import soundfile
from pydantic import AfterValidator

from augsvc.arrays import F32, I64, ranges, required
from augsvc.numerics import exact
from augsvc.ops.kinds.audio import Clip
from augsvc.ops.kinds.sound_opaque import SoundOpaque
from augsvc.ops.operation import Draw, Drawn, Interval, Settings
from augsvc_client.decoding.resampling import resample

_QUALITY_BITS = 16
_BLOCK = 1 << 16  # samples between checks: at most 0.1 s
_WORST = 0.999  # as a compression level: libsndfile refuses 1 for MP3


class _Encoder(NamedTuple):
    container: str
    subtype: str
    rates: tuple[int, ...]  # Hz, ascending; empty: any
    mode: str | None = None
    writes_blocks: bool = True  # else whole: the first samples of Vorbis depend on the length of the first write
    delay: int = 0  # samples before the clip, in a file without the frame that says so
    reads_blocks: bool = True  # else whole: soundfile seeks after each read, and a decoder of MP3 then differs

    def native_rate(self, rate: int) -> int:
        """The next higher rate that the codec has, or its highest."""
        return next((known for known in self.rates if known >= rate), self.rates[-1]) if self.rates else rate


_ENCODERS = {
    "mp3": _Encoder(
        "MP3",
        "MPEG_LAYER_III",
        (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
        "CONSTANT",
        delay=576 + 529,  # of LAME, which has no room for that frame at low rates, and of any decoder
        reads_blocks=False,
    ),
    "opus": _Encoder("OGG", "OPUS", (8000, 12000, 16000, 24000, 48000)),
    "vorbis": _Encoder("OGG", "VORBIS", (), writes_blocks=False),
}


def _is_available(codec: str) -> bool:
    encoder = _ENCODERS[codec]
    return encoder.subtype in soundfile.available_subtypes(encoder.container)


def _require_available(codec: str) -> str:
    if not _is_available(codec):
        raise ValueError(f"{codec!r} is not among the codecs of this server's libsndfile")
    return codec


class Codec(SoundOpaque):
    """Encodes the clip as MP3, Opus or Vorbis by libsndfile, and decodes it.

    `quality` 0 … 1 goes from the smallest file to the best: of MP3 constant bitrates of 8 … 64 kbit/s for clips at up to 12 kHz,
    8 … 160 up to 24 kHz, 32 … 320 above; of Opus 6 … 256 kbit/s; of Vorbis its own qualities. A clip at a rate that a codec does
    not have is resampled to the next higher one, or the highest, and back. One beyond full scale is scaled by a power of two.
    """

    examples: ClassVar[tuple[Settings, ...]] = tuple(
        {} if codec == "opus" else {"codec": codec} for codec in ("opus", "mp3", "vorbis") if _is_available(codec)
    )
    continuous: ClassVar[bool] = False
    needs_rate: ClassVar[bool] = True
    ns_per_sample: ClassVar[float] = 2_000_000.0
    ns_per_element: ClassVar[float] = 1500.0  # measured at the codec's rate: Opus 1200 at 16 kHz, MP3 500, Vorbis 300
    fixed_bytes: ClassVar[float] = 1_000_000.0
    elsewhere = {
        "audiomentations": "Mp3Compression",
        "SpeechBrain": "CodecAugment",
        "NeMo": "transcode_aug",
        "ESPnet": "codecs",
    }
    op: Literal["codec"] = "codec"
    codec: Annotated[Literal["opus", "mp3", "vorbis"], AfterValidator(_require_available)] = "opus"
    quality: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0)] = (0.0, 0.3)

    def work_samples(self, clip: Clip) -> float:
        """Those at the codec's rate where it is the higher one."""
        rate = required(clip.rate)
        return clip.samples * max(1.0, _ENCODERS[self.codec].native_rate(rate) / rate)

    def lower(self, draw: Draw, lengths: I64, rate: int) -> I64:
        """The quality, with _QUALITY_BITS fraction bits."""
        return exact.to_fixed(draw.value("quality"), _QUALITY_BITS)[:, None]

    def change(self, clip: F32, lowered: I64, rate: int, samples: int, check: Callable[[], None]) -> F32:
        """With the clip's length: what an encoder puts before a clip, its decoder removes."""
        encoder = _ENCODERS[self.codec]
        native = encoder.native_rate(rate)
        unit = np.float32(2.0 ** max(frexp(float(np.abs(clip).max()))[1], 0))
        check()
        sent = resample(clip / unit, rate, native)
        check()
        sent = sent if len(sent) else np.zeros(1, np.float32)
        decoded = _decode(_encode(sent, encoder, native, int(lowered[0]), check), encoder, check)
        begin = encoder.delay if len(decoded) > len(sent) else 0
        result = resample(decoded[begin:], native, rate)[:samples]
        return np.pad(result, (0, samples - len(result))) * unit


def _encode(clip: F32, encoder: _Encoder, rate: int, quality: int, check: Callable[[], None]) -> BytesIO:
    file = BytesIO()
    level = min(1.0 - quality / (1 << _QUALITY_BITS), _WORST)
    with soundfile.SoundFile(
        file,
        "w",
        samplerate=rate,
        channels=1,
        format=encoder.container,
        subtype=encoder.subtype,
        compression_level=level,
        bitrate_mode=encoder.mode,
    ) as writer:
        for rows in ranges(len(clip), _BLOCK if encoder.writes_blocks else len(clip)):
            writer.write(clip[rows])
            check()
    file.seek(0)
    return file


def _decode(file: BytesIO, encoder: _Encoder, check: Callable[[], None]) -> F32:
    blocks = []
    with soundfile.SoundFile(file) as reader:
        for block in reader.blocks(_BLOCK if encoder.reads_blocks else max(reader.frames, 1), dtype="float32"):
            blocks.append(block)
            check()
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
