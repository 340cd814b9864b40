"""Bytes to waveforms: the only place where sound is decoded, between a source's file and the sample's array.

The result is a function of the bytes alone, so a clip that cannot be decoded is a value too (`Undecodable`). The library
(libsndfile, through soundfile) is lenient: it plays what is left of a truncated WAV or MP3, skips damaged or missing pages of
an Ogg, and detects two dozen formats. So the format is chosen here, from the first bytes; tags and metadata are skipped; and
the length of the clip is read from the container's own structure.
"""

import io
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import soundfile

from augsvc_client.decoding.channels import mean_of_channels
from augsvc_client.decoding.containers.aiff import is_aiff, plain_aiff
from augsvc_client.decoding.containers.flac import plain_flac
from augsvc_client.decoding.containers.foreign import name_foreign
from augsvc_client.decoding.containers.mp3 import PlainMp3, is_mp3, plain_mp3
from augsvc_client.decoding.containers.ogg import check_ogg
from augsvc_client.decoding.containers.sound_tags import without_tags
from augsvc_client.decoding.containers.wav import is_wav, plain_wav
from augsvc_client.decoding.errors import Undecodable
from augsvc_client.decoding.limits import HIGHEST_RATE, MAX_FRAMES

F32 = npt.NDArray[np.float32]

MAX_CHANNELS = 32
LOWEST_RATE = 1_000  # Hz
USUAL_CHANNELS = 4  # in a clip of MAX_FRAMES: more are decoded of shorter clips. Ten minutes of Opus take 5 s then.
LOUDEST = 65_536.0  # times full scale: a float file may swing beyond ±1, this is no sound

_DAMAGED = "the audio is damaged or truncated"
_BLOCK = 65_536  # frames read at once, so that many channels never lie in memory at once
# Bytes of one value in a WAV's data. Other codings of WAV (ADPCM, GSM, MP3) are not served.
_WAV_BYTES = {"PCM_U8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8, "ULAW": 1, "ALAW": 1}
_CODINGS = {"FLAC": {"PCM_S8", "PCM_16", "PCM_24"}, "OGG": {"VORBIS", "OPUS"}, "MP3": {"MPEG_LAYER_III"}}
_OGG = b"OggS"
_NO_MEMORY = 17  # libsndfile's SFE_MALLOC_FAILED


class _Onward(soundfile.SoundFile):  # type: ignore[misc] # it ships no types
    """A file that is read from its beginning on: soundfile seeks after each read, which changes what a decoder of MP3 gives."""

    def seekable(self) -> bool:
        """Asked by soundfile before it seeks."""
        return False


def seeks_exactly(data: bytes) -> bool:
    """Whether `decode_sound` reads an interval of a file without the samples before it; those of Ogg and MP3 depend on them."""
    data = without_tags(data)
    return not (data.startswith(_OGG) or is_mp3(data))


def decode_sound(
    data: bytes, max_frames: int, channels: int = 1, span: tuple[float, float] | None = None
) -> tuple[F32, int]:
    """A WAV, AIFF, FLAC, Ogg (Vorbis, Opus) or MP3 file as float32, read-only, full scale ±1, and its rate in Hz.

    One channel is (T,), the mean of those of the file; more are (C, T), of a file that has as many, or one, which is copied. T is
    at least 1. With a `span`, in seconds, it is those samples, from the nearest ones to its ends; what the file has elsewhere is
    neither decoded nor checked, if it `seeks_exactly`.

    Raises:
        Undecodable: another format or coding; more than `max_frames` frames, more than 32 channels, in all channels more than
            USUAL_CHANNELS times the greater of `max_frames` and MAX_FRAMES, or a rate outside 1,000…384,000 Hz by its header
            (checked before anything is decoded); more than one channel, and not `channels`; no frames; values that are no numbers
            or beyond ±2^16; damaged or cut short, if only by one frame.
    """
    try:
        return _decode(data, max_frames, channels, span)
    except (Undecodable, MemoryError):  # too little memory is no property of the bytes: it must not become a value
        raise
    except soundfile.LibsndfileError as err:
        if err.code == _NO_MEMORY:
            raise MemoryError from err
        raise Undecodable(_DAMAGED) from err
    except Exception as err:
        raise Undecodable(_DAMAGED) from err


class _Plain(NamedTuple):
    """A file for the library: without what is not its sound; `n_bytes` are those of a WAV's samples."""

    family: str
    data: bytes
    n_bytes: int = 0
    mp3: PlainMp3 | None = None


def _decode(data: bytes, max_frames: int, channels: int, span: tuple[float, float] | None) -> tuple[F32, int]:
    plain = _plain(data)
    with (_Onward if plain.mp3 else soundfile.SoundFile)(io.BytesIO(plain.data)) as sound:
        _check_header(sound, plain)
        begin, frames = (plain.mp3.first, plain.mp3.n_samples) if plain.mp3 else (0, int(sound.frames))
        if frames < 1:
            raise Undecodable("the sound has no samples")
        if span is not None:
            first, last = cut_at(span, sound.samplerate, frames)
            begin, frames = begin + first, last - first
        if frames > max_frames:
            raise Undecodable(f"the sound has more samples than the dataset allows: {frames}, max_frames {max_frames}")
        most = USUAL_CHANNELS * max(max_frames, MAX_FRAMES)
        if frames * sound.channels > most:
            raise Undecodable(
                f"the sound has too many channels for its length: {sound.channels} of {frames} samples, {most} in all"
            )
        if channels > 1 and sound.channels not in (1, channels):
            raise Undecodable(f"the sound has {sound.channels} channels, and its dataset's clips {channels}")
        _go_to(sound, begin)
        return _read(sound, frames, channels), int(sound.samplerate)


def _plain(data: bytes) -> _Plain:
    data = without_tags(data)
    family = _family_of(data)
    if family == "OGG":
        check_ogg(data)
        return _Plain(family, data)
    if family == "FLAC":
        return _Plain(family, plain_flac(data))
    if family == "MP3":
        mp3 = plain_mp3(data)
        return _Plain(family, mp3.data, mp3=mp3)
    return _Plain(family, *(plain_aiff(data) if is_aiff(data) else plain_wav(data)))


def _check_header(sound: soundfile.SoundFile, plain: _Plain) -> None:
    if not _is_served(plain.family, sound.format, sound.subtype):
        raise Undecodable(f"the sound's coding is not served: {sound.subtype}")
    if not (1 <= sound.channels <= MAX_CHANNELS and LOWEST_RATE <= sound.samplerate <= HIGHEST_RATE):
        raise Undecodable("the sound has a rate or a number of channels that is not served")
    if plain.family == "WAV" and sound.frames != plain.n_bytes // (_WAV_BYTES[sound.subtype] * sound.channels):
        raise Undecodable(_DAMAGED)
    if plain.mp3 and sound.frames != plain.mp3.n_decoded:
        raise Undecodable(_DAMAGED)


def cut_at(span: tuple[float, float], rate: int, frames: int) -> tuple[int, int]:
    """The first sample of an interval in seconds, and the one after its last, in a recording of `frames`; raises Undecodable."""
    first, last = (min(round(seconds * rate), frames) for seconds in span)
    if first >= last:
        raise Undecodable("the file ends before the interval that is named in it")
    return first, last


def _go_to(sound: soundfile.SoundFile, first: int) -> None:
    """To that frame; a file that does not seek is decoded up to there."""
    if sound.seekable():
        if first:
            sound.seek(first)
        return
    for start in range(0, first, _BLOCK):
        sound.read(min(_BLOCK, first - start), dtype="float32")


def _read(sound: soundfile.SoundFile, frames: int, channels: int) -> F32:
    """The next `frames` frames, or Undecodable."""
    shape = (channels, frames) if channels > 1 else (frames,)
    audio = np.empty(shape, dtype=np.float32)  # not touched before it is decoded, so not yet in memory
    block = np.empty((min(_BLOCK, frames), sound.channels), dtype=np.float32)
    for start in range(0, frames, _BLOCK):
        found = sound.read(min(_BLOCK, frames - start), out=block)
        if len(found) < min(_BLOCK, frames - start):
            raise Undecodable(_DAMAGED)
        if not np.abs(found).max() <= LOUDEST:  # nor is NaN
            raise Undecodable("the sound has values that are no numbers, or far beyond full scale")
        audio[..., start : start + len(found)] = found.T if channels > 1 else mean_of_channels(found.T)
    audio.setflags(write=False)
    return audio


def _family_of(data: bytes) -> str:
    if is_wav(data) or is_aiff(data):  # which is decoded as the WAV of its samples
        return "WAV"
    if data.startswith(b"fLaC"):
        return "FLAC"
    if data.startswith(_OGG):
        return "OGG"
    if is_mp3(data):
        return "MP3"
    raise Undecodable(f"the file is no WAV, AIFF, FLAC, OGG or MP3 sound{name_foreign(data)}")


def _is_served(family: str, container: str, coding: str) -> bool:
    if family == "WAV":
        return container in ("WAV", "WAVEX") and coding in _WAV_BYTES
    return container == family and coding in _CODINGS[family]
