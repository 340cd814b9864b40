"""decode_sound against SciPy and arrays built by hand."""

import io
from importlib.resources import files

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import wavfile

from augsvc.data.decoders.registry import DECODERS, SOUND_DECODERS, probe_digest, probe_outcomes
from augsvc_client.decoding.audio import decode_sound, seeks_exactly
from augsvc_client.decoding.errors import Undecodable
from tests.data.sounds import VALID, chunk, encode, wav, waves

MAX_FRAMES = 100_000


def decode(data, max_frames=MAX_FRAMES):
    return decode_sound(data, max_frames)


# --- values


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32", "float64"])
def test_wav_is_what_scipy_reads_of_it(dtype, channels):
    wanted = waves(777, channels)
    scale = {"uint8": 127, "int16": 2**15 - 1, "int32": 2**31 - 1}.get(dtype, 1)
    array = np.round(wanted.astype(np.float64) * scale) if scale > 1 else wanted
    out = io.BytesIO()
    wavfile.write(out, 22_050, (array + (128 if dtype == "uint8" else 0)).astype(dtype))
    rate, read = wavfile.read(io.BytesIO(out.getvalue()))
    read = read.astype(np.float64).reshape(777, channels)
    if dtype.startswith(("u", "i")):
        read = (read - 128) / 128 if dtype == "uint8" else read / 2.0 ** (8 * np.dtype(dtype).itemsize - 1)
    audio, found = decode(out.getvalue())
    assert found == rate == 22_050 and audio.dtype == np.float32 and audio.shape == (777,)
    np.testing.assert_allclose(audio, read.mean(axis=1), atol=2e-7)
    np.testing.assert_allclose(audio, wanted.mean(axis=1), atol=2 / scale if scale < 2**31 and scale > 1 else 2e-7)


def test_24_bits_are_scaled_by_2_to_the_23():
    values = np.array([0, 1, -1, 2**23 - 1, -(2**23), 123_456])
    content = b"".join(int(value).to_bytes(3, "little", signed=True) for value in values)
    np.testing.assert_array_equal(decode(wav(content, bits=24))[0], (values / 2**23).astype(np.float32))


@pytest.mark.parametrize(("coding", "bits"), [("PCM_16", 16), ("PCM_24", 24), ("PCM_S8", 8)])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_flac_is_lossless(coding, bits, channels):
    array = np.round(waves(5000, channels).astype(np.float64) * 2 ** (bits - 1)) / 2 ** (bits - 1)
    audio, rate = decode(encode(array, "FLAC", coding, 48_000))
    assert rate == 48_000
    np.testing.assert_allclose(audio, array.mean(axis=1), atol=1e-7)


def chord(rate, frames=20_000):
    n = np.arange(frames)
    return sum(0.2 * np.sin(2 * np.pi * f * n / rate) for f in (220, 550, 1330)).astype(np.float32)


@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
@pytest.mark.parametrize(("coding", "likeness"), [("VORBIS", 0.999), ("OPUS", 0.99)])
def test_ogg_sounds_alike_at_the_same_place(coding, likeness, rate):
    original = chord(rate)
    audio, found = decode(encode(original, "OGG", coding, rate))
    assert found == rate and audio.shape == original.shape
    assert np.corrcoef(audio[2000:15_000], original[2000:15_000])[0, 1] > likeness
    assert np.abs(audio[2000:15_000]).max() == pytest.approx(np.abs(original).max(), rel=0.1)


def test_channels_are_mixed_in_their_order_in_float32():
    array = waves(300, 7) * np.float32(1.1)
    total = array[:, 0].copy()
    for channel in range(1, 7):
        total = total + array[:, channel]
    np.testing.assert_array_equal(decode(encode(array, "WAV", "FLOAT"))[0], total / np.float32(7))


@pytest.mark.parametrize("container", ["WAV", "FLAC"])
def test_blocks_join_without_a_seam(container):
    array = np.round(waves(150_001, 2).astype(np.float64) * 2**15) / 2**15
    audio, _ = decode(encode(array, container, "PCM_16"), 150_001)
    np.testing.assert_allclose(audio, array.mean(axis=1), atol=1e-7)


def test_ogg_blocks_are_what_one_read_gives():
    data = VALID["vorbis-pages"]
    whole, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    np.testing.assert_array_equal(decode(data)[0], whole)


def test_what_is_decoded_may_be_shared():
    audio, _ = decode(VALID["wav-16"])
    assert audio.flags.c_contiguous and not audio.flags.writeable


AIFFS = [
    *((coding, endian) for coding in ("PCM_16", "PCM_24", "PCM_32") for endian in ("FILE", "LITTLE")),
    *((coding, "FILE") for coding in ("PCM_S8", "PCM_U8", "FLOAT", "DOUBLE", "ULAW", "ALAW")),
]


@pytest.mark.parametrize(("coding", "endian"), AIFFS)
@pytest.mark.parametrize("channels", [1, 2])
def test_aiff_is_what_the_library_reads_of_it(coding, endian, channels):
    file = io.BytesIO()
    soundfile.write(file, waves(901, channels), 11_025, coding, endian, "AIFF")
    file.seek(0)
    expected = soundfile.read(file, dtype="float32", always_2d=True)[0]
    audio, rate = decode(file.getvalue())
    assert rate == 11_025
    np.testing.assert_array_equal(audio, expected[:, 0] if channels == 1 else (expected[:, 0] + expected[:, 1]) / 2)


@pytest.mark.parametrize("container", ["WAV", "FLAC", "AIFF"])
def test_silence_and_a_single_sample_are_sounds(container):
    np.testing.assert_array_equal(decode(encode(np.zeros(4000), container, "PCM_16"))[0], np.zeros(4000))
    np.testing.assert_array_equal(decode(encode(np.array([0.5]), container, "PCM_16"))[0], [0.5])


def test_float_values_beyond_full_scale_stay():
    values = np.array([1.5, -65_536, 65_536, 1e-40], dtype="<f4")
    np.testing.assert_array_equal(decode(wav(values.tobytes(), tag=3, bits=32))[0], values)


def test_other_chunks_and_an_odd_length_do_not_matter():
    between = chunk(b"LIST", b"INFOISFT\x03\0\0\0abc") + chunk(b"junk", b"12345")
    content = np.arange(5, dtype="<i2").tobytes()
    plain, _ = decode(wav(content))
    for data in (wav(content, between=between), wav(content) + chunk(b"LIST", b"INFO")[:-2], wav(content) + b"tail"):
        np.testing.assert_array_equal(decode(data)[0], plain)


# --- probes


def recipe():
    """The head of augsvc/data/decoders/registry.py."""
    n = np.arange(2400)
    left = (abs(n * 37 % 512 - 256) - 128) * 150
    right = (n * n // 256 % 256 - 128) * 90
    left[1200:1206] += 9000
    return np.stack((left, right), axis=1).astype("int16")


def probe(name):
    return files("augsvc.data.decoders").joinpath("probes", DECODERS[name]).read_bytes()


@pytest.mark.parametrize("name", SOUND_DECODERS)
def test_a_probe_is_small_and_holds_its_recipe(name):
    audio, rate = decode(probe(name))
    wanted = (recipe() / 2**15).mean(axis=1)
    assert rate == 8000 and audio.shape == (2400,) and len(probe(name)) <= 10_000
    if name in ("aiff", "wav", "flac"):
        np.testing.assert_array_equal(audio, wanted.astype(np.float32))
    else:
        assert np.corrcoef(audio[:2000], wanted[:2000])[0, 1] > 0.5


def test_probe_digests_are_stable_and_of_what_was_decoded():
    digests = {name: probe_digest(name) for name in SOUND_DECODERS}
    assert digests == {name: probe_digest(name) for name in SOUND_DECODERS}
    sounds = {name: probe_outcomes(name)["unchanged"] for name in SOUND_DECODERS}
    assert sounds["wav"] == sounds["flac"] == sounds["aiff"]  # the same sound, both lossless
    assert len(set(sounds.values())) == 4
    assert set(SOUND_DECODERS) < set(DECODERS)


def test_a_library_without_a_codec_has_another_digest(monkeypatch):
    digest = probe_digest("opus")

    def fail(_):
        raise RuntimeError

    monkeypatch.setattr(soundfile, "SoundFile", fail)
    assert probe_digest("opus") != digest


# --- intervals

SEEKABLE = VALID | {
    "flac, many blocks": encode(waves(40_000, 2), "FLAC", "PCM_16"),
    "flac, 24 bits": encode(waves(30_000), "FLAC", "PCM_24"),
}


@pytest.mark.parametrize("name", [name for name, data in SEEKABLE.items() if seeks_exactly(data)])
@settings(max_examples=25)
@given(span=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted).map(tuple), channels=st.sampled_from([1, 2]))
def test_an_interval_has_the_bits_of_the_whole(name, span, channels):
    channels = 1 if name == "wavex" else channels  # which has three
    whole, rate = decode_sound(SEEKABLE[name], MAX_FRAMES, channels)
    frames = whole.shape[-1]
    first, last = round(span[0] * frames), round(span[1] * frames)
    interval = first / rate, last / rate
    if first == last:
        with pytest.raises(Undecodable, match="ends before the interval"):
            decode_sound(SEEKABLE[name], MAX_FRAMES, 1, interval)
        return
    audio, _ = decode_sound(SEEKABLE[name], MAX_FRAMES, channels, interval)
    assert audio.tobytes() == whole[..., first:last].tobytes() and not audio.flags.writeable


def test_what_lies_elsewhere_is_neither_checked_nor_counted():
    data = wav(np.concatenate([waves(50_000)[:, 0], [np.nan]]).astype("<f4").tobytes(), tag=3, bits=32)
    assert len(decode_sound(data, 1000, 1, (1.0, 1.0 + 1000 / 16_000))[0]) == 1000
    for span in (None, (0.0, 4.0)):
        with pytest.raises(Undecodable):
            decode_sound(data, MAX_FRAMES, 1, span)
    with pytest.raises(Undecodable, match="1001, max_frames 1000"):
        decode_sound(data, 1000, 1, (1.0, 1.0 + 1001 / 16_000))
    with pytest.raises(Undecodable):  # cut short, though behind the interval
        decode_sound(data[:-4], MAX_FRAMES, 1, (0.0, 1.0))


@pytest.mark.parametrize("name", ["vorbis", "opus"])
def test_intervals_of_ogg_are_cut_from_the_whole(name):
    assert not seeks_exactly(VALID[name])
