"""decode_sound against files that are cut short, changed, made to harm, or no sound at all: a value, or Undecodable."""

import struct
import threading
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from augsvc.errors import Undecodable
from augsvc_client.decoding import audio
from augsvc_client.decoding.audio import MAX_CHANNELS, decode_sound
from tests.data.sounds import RATE, VALID, chunk, encode, float_wav, fmt, riff, wav, waves

MAX_FRAMES = 100_000
MESSAGES = {
    "the audio is damaged or truncated",
    "the file is no WAV, AIFF, FLAC, OGG or MP3 sound",
    "the sound's coding is not served",
    "the sound has a rate or a number of channels that is not served",
    "the sound has no samples",
    "the sound has too many chunks",
    "the sound has more samples than the dataset allows",
    "the sound has too many channels for its length",
    "the sound goes on behind the length that it states",
    "the sound does not match the checksum in the tag of its encoder",
    "the sound has values that are no numbers, or far beyond full scale",
}


def decode(data, max_frames=MAX_FRAMES):
    return decode_sound(data, max_frames)


# --- what is no sound


HUGE = struct.pack("<I", 2**31)


HOSTILE = {
    "nothing": b"",
    "text": b"text, not a sound",
    "png": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "webp": b"RIFF\x40\0\0\0WEBPVP8 " + bytes(60),
    "aiff of another coding": encode(waves(100), "AIFF", "DWVW_16"),
    "half an aiff": b"FORM\0\0\1\0AIFFCOMM",
    "au": encode(waves(100), "AU", "PCM_16"),
    "caf": encode(waves(100), "CAF", "PCM_16"),
    "raw": np.arange(1000, dtype="<i2").tobytes(),
    "adpcm": encode(waves(2000), "WAV", "IMA_ADPCM"),
    "gsm": encode(waves(2000), "WAV", "GSM610", 8000),
    "no samples": wav(b""),
    "no samples in a flac": encode(waves(0), "FLAC", "PCM_16"),
    "no data chunk": riff(fmt(1, 1, RATE, 16)),
    "no format chunk": riff(chunk(b"data", bytes(100))),
    "claims 3 · 2^30 frames": wav(bytes(100), bits=8, claimed=3 << 30),
    "claims one byte more": wav(bytes(100), claimed=101),
    "a chunk of 2^31 bytes before the data": riff(fmt(1, 1, RATE, 16), b"junk" + HUGE, chunk(b"data", bytes(8))),
    "less than a frame": wav(bytes(3), channels=2),
    "no channels": wav(bytes(100), channels=0),
    "33 channels": wav(bytes(33 * 2 * 4), channels=33),
    "65,535 channels": wav(bytes(65_535 * 2), channels=65_535),
    "a rate of 0": wav(bytes(100), rate=0),
    "a rate of 999": wav(bytes(100), rate=999),
    "a rate of 384,001": wav(bytes(100), rate=384_001),
    "a rate of 2^31": wav(bytes(100), rate=2**31),
    "bits that are none": wav(bytes(100), bits=0),
    "NaN": float_wav(0.0, np.nan, 0.0),
    "infinite": float_wav(0.0, np.inf),
    "minus infinite": float_wav(-np.inf),
    "too loud": float_wav(65_537.0),
    "a double too large for a float": wav(np.array([1e300]).tobytes(), tag=3, bits=64),
    "NaN in one of two channels": wav(np.array([[0, np.nan]], dtype="<f4").tobytes(), tag=3, bits=32, channels=2),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_undecodable(name):
    with pytest.raises(Undecodable) as caught:
        decode(HOSTILE[name])
    assert str(caught.value).partition(":")[0] in MESSAGES


def flac_claiming(frames):
    """The 36 bits that say how many frames there are, changed."""
    data = bytearray(VALID["flac-16"])
    data[21] = data[21] & 0xF0 | frames >> 32
    data[22:26] = (frames & 0xFFFFFFFF).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize("frames", [901, 5000, MAX_FRAMES, 2**31, 2**36 - 1])
def test_a_flac_with_fewer_frames_than_its_header_says_is_undecodable(frames):
    assert len(decode(flac_claiming(900))[0]) == 900
    for most in (MAX_FRAMES, 2**30):
        with pytest.raises(Undecodable):
            decode(flac_claiming(frames), most)


@pytest.mark.parametrize("name", VALID)
def test_the_limit_of_frames_is_exact(name):
    frames = len(decode(VALID[name])[0])
    assert len(decode(VALID[name], frames)[0]) == frames
    with pytest.raises(Undecodable, match="more samples"):
        decode(VALID[name], frames - 1)


def test_the_limits_of_channels_and_rate_are_exact():
    assert len(decode(encode(waves(10, MAX_CHANNELS), "WAV", "PCM_16"))[0]) == 10
    for rate in (1_000, 384_000):
        assert decode(wav(bytes(8), rate=rate))[1] == rate


def test_channels_count_in_long_clips(monkeypatch):
    """A silent file of 20 kB may hold ten minutes of 32 channels, which would take 7 s as Vorbis and longer as Opus."""
    monkeypatch.setattr(audio, "MAX_FRAMES", 2_000)
    many = encode(np.zeros((2_000, 8), np.float32), "OGG", "VORBIS")
    with pytest.raises(Undecodable, match="too many channels for its length: 8 of 2000 samples, 8000 in all"):
        decode(many, 2_000)
    assert len(decode(many, 4_000)[0]) == 2_000, "the operator allows as much"
    for frames, channels in ((2_000, 4), (250, 32)):
        sound = encode(np.zeros((frames, channels), np.float32), "WAV", "PCM_16")
        assert len(decode(sound, frames)[0]) == frames, "a short clip may have all channels"


def test_a_header_that_claims_much_costs_no_memory():
    """Billions of frames in a few bytes, and a FLAC whose header allows 115 MB."""
    tracemalloc.start()
    for data in (HOSTILE["claims 3 · 2^30 frames"], flac_claiming(2**31)):
        with pytest.raises(Undecodable):
            decode(data, 28_800_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_many_channels_are_not_held_at_once():
    data = encode(np.zeros((200_000, 32), dtype=np.float32), "WAV", "PCM_U8")
    tracemalloc.start()
    decode(data, 200_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000 * 4 + 65_536 * 32 * 4 * 3  # all channels at once would be 25 MB


def test_memory_that_is_short_is_no_value(monkeypatch):
    class Short:
        def __init__(self, _):
            raise MemoryError

    class ShortInside:
        def __init__(self, _):
            raise soundfile.LibsndfileError(17)

    for kind in (Short, ShortInside):
        monkeypatch.setattr(soundfile, "SoundFile", kind)
        with pytest.raises(MemoryError):
            decode(VALID["wav-16"])


@pytest.mark.parametrize("failure", [RuntimeError("the library's words"), ValueError, OSError, AssertionError])
def test_any_other_failure_of_the_library_is_undecodable(monkeypatch, failure):
    def fail(_):
        raise failure

    monkeypatch.setattr(soundfile, "SoundFile", fail)
    with pytest.raises(Undecodable, match=r"^the audio is damaged or truncated$"):
        decode(VALID["wav-16"])


# --- damage


@pytest.mark.parametrize("name", sorted(set(VALID) - {"vorbis-pages"}))
def test_every_truncation_is_undecodable(name):
    data = VALID[name]
    for length in range(len(data)):
        with pytest.raises(Undecodable) as caught:
            decode(data[:length])
        assert str(caught.value).partition(":")[0] in MESSAGES


def pages(data):
    """The bytes where the pages of an Ogg begin."""
    return [at for at in range(len(data)) if data.startswith(b"OggS\0", at)]


def test_an_ogg_cut_between_its_pages_is_undecodable():
    data = VALID["vorbis-pages"]
    places = pages(data)
    assert len(places) > 3
    for place in places:
        with pytest.raises(Undecodable):
            decode(data[:place])


def test_an_ogg_that_lacks_a_page_or_has_one_more_is_undecodable():
    data = VALID["vorbis-pages"]
    places = [*pages(data), len(data)]
    for start, end in pairwise(places):
        for other in (data[:start] + data[end:], data[:end] + data[start:]):
            with pytest.raises(Undecodable):
                decode(other)
    for other in (data + b"\0", data + data, data + VALID["vorbis"], VALID["opus"] + data):
        with pytest.raises(Undecodable):
            decode(other)


@pytest.mark.parametrize("name", ["vorbis", "vorbis-pages", "opus"])
def test_any_changed_bit_of_an_ogg_is_undecodable(name):
    data = VALID[name]
    for place in range(0, len(data), max(1, len(data) // 500)):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        with pytest.raises(Undecodable):
            decode(bytes(changed))


@pytest.mark.parametrize("name", ["flac-16", "flac-24"])
def test_a_changed_bit_of_a_flacs_frames_is_undecodable_or_loses_nothing(name):
    data = VALID[name]
    whole, _ = decode(data)
    first = data.index(b"\xff\xf8", 42)
    for place in range(first, len(data)):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        try:
            audio, _ = decode(bytes(changed))
        except Undecodable:
            continue
        np.testing.assert_array_equal(audio, whole)


def decode_or_none(data):
    try:
        audio, rate = decode(data)
    except Undecodable as err:
        assert str(err).partition(":")[0] in MESSAGES
        return None
    assert audio.dtype == np.float32 and audio.ndim == 1 and 1 <= len(audio) <= MAX_FRAMES
    assert np.isfinite(audio).all() and np.abs(audio).max() <= 65_536 and 1_000 <= rate <= 384_000
    return audio.tobytes(), rate


@settings(deadline=None, max_examples=400)
@given(st.sampled_from(sorted(VALID)), st.data())
def test_corrupted_bytes_give_one_value_or_undecodable(name, data):
    content = bytearray(VALID[name])
    heads = st.integers(0, min(100, len(content) - 1))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(heads | st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.just(len(content)) | st.integers(0, len(content)))]
    assert decode_or_none(bytes(content)) == decode_or_none(bytes(content))


HEADS = [
    b"",
    b"RIFF\x40\0\0\0WAVE",
    b"RIFF\x40\0\0\0WAVEfmt \x10\0\0\0",
    b"FORM\0\0\1\0AIFFCOMM\0\0\0\x12",
    b"fLaC",
    b"fLaC\0\0\0\x22",
    b"OggS",
    b"OggS\0\2",
]


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(HEADS), st.binary(max_size=300))
def test_noise_is_a_value_or_undecodable(head, tail):
    decode_or_none(head + tail)


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from((1, 2, 3, 6, 7, 0x11, 0x31, 0x55, 0xFFFE)) | st.integers(0, 0xFFFF),
    st.integers(0, 40),
    st.integers(0, 2**32 - 1) | st.integers(900, 400_000),
    st.integers(0, 70),
    st.integers(0, 300),
    st.binary(max_size=300),
)
def test_any_format_chunk_is_a_value_or_undecodable(tag, channels, rate, bits, align, content):
    decode_or_none(
        riff(chunk(b"fmt ", struct.pack("<HHIIHH", tag, channels, rate, 0, align, bits)), chunk(b"data", content))
    )


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from((b"fact", b"PEAK", b"cue ", b"smpl", b"LIST", b"bext", b"cart", b"inst", b"data")),
    st.binary(max_size=80),
)
def test_any_chunk_of_a_wav_is_a_value_or_undecodable(name, content):
    decode_or_none(wav(np.arange(40, dtype="<i2").tobytes(), between=chunk(name, content)))


def test_threads_decode_the_same():
    expected = {name: decode_or_none(data) for name, data in VALID.items()}
    wrong = []

    def work():
        for _ in range(10):
            wrong.extend(name for name, data in VALID.items() if decode_or_none(data) != expected[name])
            wrong.extend(name for name, data in HOSTILE.items() if decode_or_none(data) is not None)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
