"""MP3 files: what is decoded of them, by the tag of their encoder and without it, and what is refused."""

import io
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from augsvc.errors import Undecodable
from augsvc_client.decoding.audio import decode_sound, seeks_exactly
from augsvc_client.decoding.containers import mp3
from augsvc_client.decoding.containers.crc16 import crc16
from augsvc_client.decoding.containers.mp3 import DECODER_DELAY, MAX_GAPS, plain_mp3, read_mp3_size
from augsvc_client.decoding.duration import sound_decoding_seconds
from augsvc_client.decoding.memory import sound_decoding_bytes
from tests.data.sounds import VALID, waves

MAX_FRAMES = 100_000
RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)


def encode(array, rate=16_000, mode="VARIABLE", level=0.5):
    file = io.BytesIO()
    options = {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": mode, "compression_level": level}
    soundfile.write(file, array, rate, **options)
    return file.getvalue()


def decode(data, max_frames=MAX_FRAMES, channels=1):
    return decode_sound(data, max_frames, channels)[0]


def frames_of(data):
    """The frames, by the formula of ISO 11172-3, section 2.4.3.1."""
    kbits = {3: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)}
    lower, frames = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160), []
    while data:
        version, index = data[1] >> 3 & 3, data[2] >> 4
        rate = (44_100, 48_000, 32_000)[data[2] >> 2 & 3] // {3: 1, 2: 2, 0: 4}[version]
        slots = (1152 if version == 3 else 576) // 8
        length = slots * 1000 * kbits.get(version, lower)[index - 1] // rate + (data[2] >> 1 & 1)
        frames.append(data[:length])
        data = data[length:]
    return frames


TONE = waves(20_000, 2)
TAGGED = encode(TONE)
FRAMES = frames_of(TAGGED)
UNTAGGED = b"".join(FRAMES[1:])


def tag_at(data):
    return max(data.find(b"Xing"), data.find(b"Info"))


def retagged(data, at, value):
    """With that value in the tag, and the sum of the tag made right; `at` counts from the name of the encoder's version."""
    lame = data.index(b"LAME")
    data = data[: lame + at] + value + data[lame + at + len(value) :]
    return data[: lame + 34] + crc16(data[: lame + 34]).to_bytes(2, "big") + data[lame + 36 :]


# --- values


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE", "AVERAGE"])
def test_a_clip_has_its_length_and_place(rate, mode):
    """Of the library's own reading, and of the sound before it was encoded."""
    for channels in (1, 2):
        sound = waves(7_001, channels)
        data = encode(sound, rate, mode, 0.3)
        audio, found = decode_sound(data, MAX_FRAMES, channels)
        wanted = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)[0].T
        assert found == rate and audio.shape == ((channels, 7_001) if channels > 1 else (7_001,))
        np.testing.assert_allclose(np.atleast_2d(audio), wanted, atol=1e-6)
        assert np.corrcoef(np.ravel(audio), np.ravel(sound.T))[0, 1] > 0.95


@pytest.mark.parametrize("level", [0.0, 0.999])
def test_channels_are_mixed_or_kept(level):
    data = encode(TONE, 44_100, level=level)
    both = decode(data, channels=2)
    np.testing.assert_array_equal(decode(data), (both[0] + both[1]) / 2)
    mono = encode(TONE[:, 0], 44_100)
    np.testing.assert_array_equal(decode(mono, channels=2), np.stack([decode(mono)] * 2))


def test_blocks_join_without_a_seam():
    """In one piece, of the library alone."""
    data = encode(waves(150_001, 2), 44_100)
    whole = soundfile.read(io.BytesIO(data), dtype="float32")[0]
    audio = decode(data, 150_001, 2)
    assert audio.shape == (2, 150_001)
    np.testing.assert_allclose(audio.T, whole, atol=1e-6)


@pytest.mark.parametrize("frames", [1, 2, 575, 576, 577, 1152])
def test_short_clips_keep_their_length(frames):
    for rate in (8_000, 44_100):
        assert len(decode(encode(waves(frames), rate))) == frames


def test_without_a_tag_only_the_decoders_delay_is_left_out():
    """What lies before the sound and behind it is the encoder's: 576 samples, and what fills the last frame."""
    audio, sound = decode(UNTAGGED), decode(TAGGED)
    assert len(audio) == 576 * (len(FRAMES) - 1) - DECODER_DELAY
    np.testing.assert_array_equal(audio[576 : 576 + len(sound)], sound)
    xing = tag_at(TAGGED) + 4 + 4 + 4 + 4 + 100 + 4
    without_lame = FRAMES[0][:xing] + bytes(len(FRAMES[0]) - xing) + UNTAGGED
    np.testing.assert_array_equal(decode(without_lame), audio)


def test_an_old_encoder_counts_the_frame_of_its_tag():
    tag = tag_at(TAGGED)
    for counted, is_served in ((1, True), (2, False), (-1, False)):
        number = (len(FRAMES) - 1 + counted).to_bytes(4, "big")
        data = TAGGED[: tag + 8] + number + TAGGED[tag + 12 : tag + 120] + bytes(36) + TAGGED[tag + 156 :]
        if is_served:
            np.testing.assert_array_equal(decode(data), decode(UNTAGGED))
        else:
            with pytest.raises(Undecodable):
                decode(data)


def test_the_padding_may_end_within_the_decoders_delay():
    """As files cut by frames have it: the library decodes no samples behind the last frame."""
    data = retagged(
        TAGGED, 22, struct.pack(">H", int.from_bytes(TAGGED[TAGGED.index(b"LAME") + 22 :][:2], "big") & 0xF000)
    )
    assert len(decode(data)) == 576 * (len(FRAMES) - 1) - DECODER_DELAY - 576


def test_tags_of_any_size_around_it_do_not_matter():
    sound = decode(TAGGED)
    size = 3 << 20
    id3 = b"ID3\3\0\0" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + b"\xff\xfb\x90\x00" * (size // 4)
    ape = b"APETAGEX" + struct.pack("<LLLL", 2000, 40, 1, 0) + bytes(8)
    for before in (b"", id3, id3 + bytes(700), id3 + id3):
        for behind in (b"", b"TAG" + bytes(125), bytes(8) + ape, bytes(8) + ape + b"TAG" + bytes(125)):
            np.testing.assert_array_equal(decode(before + TAGGED + behind), sound)


def test_frames_may_have_checksums():
    """Those of the frames themselves, which the library skips."""
    protected = [bytes([*frame[:1], frame[1] & 0xFE, *frame[2:]]) for frame in FRAMES[1:]]
    assert len(decode(b"".join(protected))) == len(decode(UNTAGGED))


def test_intervals_are_cut_from_the_whole():
    assert not seeks_exactly(TAGGED) and not seeks_exactly(b"ID3\4\0\0\0\0\0\0" + TAGGED)
    whole = decode(TAGGED)
    audio, _ = decode_sound(TAGGED, 1_000, 1, (1.0, 1.05))
    np.testing.assert_array_equal(audio, whole[16_000:16_800])
    with pytest.raises(Undecodable, match="ends before the interval"):
        decode_sound(TAGGED, MAX_FRAMES, 1, (1.25, 2.0))


# --- bounds


def test_the_limit_of_samples_is_of_the_sound():
    assert len(decode(TAGGED, 20_000)) == 20_000
    with pytest.raises(Undecodable, match="20000, max_frames 19999"):
        decode(TAGGED, 19_999)


def test_the_estimates_are_of_its_frames():
    size = read_mp3_size(TAGGED)
    assert size == (576 * len(FRAMES), 2, len(FRAMES))
    tagged = b"ID3\4\0\0\0\0\0\0" + TAGGED
    for data in (TAGGED, tagged):
        assert sound_decoding_bytes(data, MAX_FRAMES) == 3 * len(data) + 4 * size.samples
        assert 20e-9 * 2 * size.samples < sound_decoding_seconds(data, MAX_FRAMES) < 30e-9 * 2 * size.samples
    assert sound_decoding_seconds(TAGGED, 19_999 - MAX_GAPS) == 0, "it is refused"
    assert sound_decoding_seconds(TAGGED, 20_000) > 0


def test_the_number_of_frames_is_bounded(monkeypatch):
    monkeypatch.setattr(mp3, "MAX_MP3_FRAMES", len(FRAMES))
    decode(TAGGED)
    monkeypatch.setattr(mp3, "MAX_MP3_FRAMES", len(FRAMES) - 1)
    with pytest.raises(Undecodable, match="too many chunks"):
        decode(TAGGED)


# --- damage


@pytest.mark.parametrize("data", [TAGGED, UNTAGGED], ids=["with a tag", "without"])
def test_a_file_cut_within_a_frame_is_undecodable(data):
    for length in range(0, len(data), max(1, len(data) // 200)):
        if length in np.cumsum([len(frame) for frame in frames_of(data)]):
            continue
        with pytest.raises(Undecodable):
            decode(data[:length])


def test_a_file_cut_between_its_frames_is_undecodable_if_it_states_their_number():
    for n_frames in range(1, len(FRAMES)):
        with pytest.raises(Undecodable):
            decode(b"".join(FRAMES[:n_frames]))
    with pytest.raises(Undecodable, match="goes on behind"):
        decode(TAGGED + UNTAGGED)
    assert len(decode(b"".join(FRAMES[1:10]))) == 9 * 576 - DECODER_DELAY, "nothing states it"


@settings(deadline=None, max_examples=200)
@given(st.integers(0, len(TAGGED) - 1), st.binary(min_size=1, max_size=40))
def test_overwritten_bytes_are_noticed_by_the_tag(at, value):
    data = TAGGED[:at] + value + TAGGED[at + len(value) :]
    names = {*range(tag_at(TAGGED), tag_at(TAGGED) + 8), *range(TAGGED.index(b"LAME"), TAGGED.index(b"LAME") + 9)}
    if data == TAGGED or names & set(range(at, at + len(value))):  # without them it is a frame of sound, or another tag
        return
    try:
        audio = decode(data[: len(TAGGED)])
    except Undecodable:
        return
    np.testing.assert_array_equal(audio, decode(TAGGED))  # the rest of the tag's frame, which is not used


@settings(deadline=None, max_examples=200)
@given(st.integers(0, len(UNTAGGED) - 1), st.binary(min_size=1, max_size=40))
def test_overwritten_bytes_without_a_tag_give_one_sound_of_the_same_length(at, value):
    """The format has nothing to notice them by, but where they hit the header of a frame."""
    data = UNTAGGED[:at] + value + UNTAGGED[at + len(value) :]
    try:
        audio = decode(data[: len(UNTAGGED)])
    except Undecodable:
        return
    assert len(audio) == len(decode(UNTAGGED)) and np.isfinite(audio).all()
    np.testing.assert_array_equal(decode(data[: len(UNTAGGED)]), audio)


REFUSED = {
    "a free bitrate": (bytes([*FRAMES[1][:2], FRAMES[1][2] & 0x0F, *FRAMES[1][3:]]) * 3, "free bitrate"),
    "layer II": (bytes([FRAMES[1][0], FRAMES[1][1] ^ 6, *FRAMES[1][2:]]) * 3, "no WAV, AIFF, FLAC, OGG or MP3"),
    "another rate later": (UNTAGGED + b"".join(frames_of(encode(TONE, 24_000))[1:]), "damaged"),
    "another version later": (UNTAGGED + b"".join(frames_of(encode(TONE, 32_000))[1:]), "damaged"),
    "fewer channels later": (UNTAGGED + b"".join(frames_of(encode(TONE[:, 0]))[1:]), "damaged"),
    "bytes between frames": (FRAMES[1] + b"\0" + FRAMES[2] + FRAMES[3], "damaged"),
    "no frames behind the tag": (FRAMES[0], "damaged"),
    "another sound behind the tag": (FRAMES[0] + FRAMES[2] + FRAMES[1] + b"".join(FRAMES[3:]), "checksum"),
    "no sound between delay and padding": (
        retagged(TAGGED, 21, b"\xff\xff\xff")[: sum(map(len, FRAMES[:2]))],
        "damaged",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused(name):
    data, message = REFUSED[name]
    with pytest.raises(Undecodable, match=message):
        decode(data)


def test_a_delay_beyond_the_sound_leaves_none():
    short = encode(waves(10))
    with pytest.raises(Undecodable, match="no samples"):
        decode(retagged(short, 21, b"\xff\xff\xff"))


@given(st.binary(max_size=700))
def test_the_checksum_is_that_of_its_definition(data):
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    assert crc16(data) == crc


def test_the_plain_file_is_read_alike_by_the_library():
    """Its length too, which the library guesses of files without one: here it would lose the last ones."""
    plain = plain_mp3(UNTAGGED)
    guessed = soundfile.SoundFile(io.BytesIO(UNTAGGED)).frames
    assert guessed < plain.n_decoded == soundfile.SoundFile(io.BytesIO(plain.data)).frames


def test_both_files_of_the_other_tests_are_mp3():
    for name in ("mp3", "mp3-mpeg-1"):
        assert len(decode(VALID[name])) == 3000
