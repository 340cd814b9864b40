"""Sounds in unusual but valid containers: unknown lengths, 64-bit sizes, odd orders of chunks, tags of other formats."""

import struct
import time

import numpy as np
import pytest

from augsvc.errors import Undecodable
from augsvc_client.decoding.audio import decode_sound
from augsvc_client.decoding.containers.ogg import page_checksum
from tests.data.sounds import RATE, VALID, chunk, encode, fmt, riff, wav, waves

MAX_FRAMES = 100_000
SAMPLES = (waves(901)[:, 0] * 32767).astype("<i2").tobytes()


def decode(data):
    return decode_sound(data, MAX_FRAMES)[0]


def without_length(flac, changed=()):
    """A FLAC as a program writes it into a pipe: neither a length nor a digest."""
    data = bytearray(flac)
    data[21] &= 0xF0
    data[22:42] = bytes(20)
    for at, value in changed:
        data[at] = value
    return bytes(data)


def frames_at(flac):
    """Where the frames begin: behind the metadata blocks."""
    at, last = 4, False
    while not last:
        last = bool(flac[at] & 0x80)
        at += 4 + int.from_bytes(flac[at + 1 : at + 4], "big")
    return at


def unsized(claimed, size=0xFFFFFFFF, tail=b""):
    """A WAV whose sizes are placeholders."""
    head = b"WAVE" + fmt(1, 1, RATE, 16) + chunk(b"LIST", b"INFO") + b"data" + struct.pack("<I", claimed)
    return b"RIFF" + struct.pack("<I", size) + head + SAMPLES + tail


def rf64(data_size, name=b"RF64"):
    ds64 = chunk(b"ds64", struct.pack("<QQQI", 0, data_size, 0, 0))
    return name + b"\xff\xff\xff\xffWAVE" + ds64 + fmt(1, 1, RATE, 16) + b"data\xff\xff\xff\xff" + SAMPLES


def w64(data_size):
    def guid(name, size, content=b""):
        rest = "f3acd3118cd100c04f8edb8a" if name != b"riff" else "2e91cf11a5d628db04c10000"
        return name + bytes.fromhex(rest) + struct.pack("<Q", size) + content + bytes(-len(content) % 8)

    body = guid(b"junk", 29, b"12345") + guid(b"fmt ", 40, fmt(1, 1, RATE, 16)[8:])
    return (
        guid(b"riff", 0)
        + b"wave"
        + bytes.fromhex("f3acd3118cd100c04f8edb8a")
        + body
        + guid(b"data", data_size)
        + SAMPLES
    )


PLAIN = decode(wav(SAMPLES))
WAVS = {
    "ffmpeg into a pipe": unsized(0xFFFFFFFF),
    "sox into a pipe": unsized(0x7FFFF000, 0x7FFFF024),
    "2^31 - 1": unsized(0x7FFFFFFF, 0x7FFFFFFF),
    "arecord into a pipe": unsized(0x7FFFFF00, 0x7FFFFF24),
    "an older arecord": unsized(0x80000000, 0x80000024),
    "2^31 - 2^24": unsized(0x7F000000, 0x7F000024),
    "aligned down": unsized(0xFFFFFFFC),
    "less a header": unsized(0xFFFFFFFF - 36),
    "never filled in": unsized(0, 0),
    "the header alone in its size": unsized(0, 36),
    "the file's size, no data's": unsized(0, len(unsized(0)) - 8),
    "half a sample at the end": unsized(0xFFFFFFFF, tail=b"\1"),
    "rf64": rf64(len(SAMPLES)),
    "bw64": rf64(len(SAMPLES), b"BW64"),
    "rf64 of unknown length": rf64(2**64 - 1),
    "rf64 never filled in": rf64(0),
    "w64": w64(24 + len(SAMPLES)),
    "w64 of unknown length": w64(2**64 - 1),
    "w64 never filled in": w64(24),  # as libsndfile leaves it when its program is killed
    "data before the format": riff(chunk(b"data", SAMPLES), fmt(1, 1, RATE, 16)),
    "chunks all around": riff(
        chunk(b"JUNK", bytes(27)),
        chunk(b"bext", bytes(602)),
        fmt(1, 1, RATE, 16),
        chunk(b"id3 ", b"ID3"),
        chunk(b"data", SAMPLES),
    ),
    "odd chunks without padding": riff(
        chunk(b"JUNK", bytes(27))[:-1],
        fmt(1, 1, RATE, 16),
        chunk(b"LIST", b"INFOabc")[:-1],
        chunk(b"data", SAMPLES),
    ),
}


@pytest.mark.parametrize("name", WAVS)
def test_unusual_wavs_hold_the_same_sound(name):
    np.testing.assert_array_equal(decode(WAVS[name]), PLAIN)


@pytest.mark.parametrize(
    "data",
    [wav(SAMPLES, claimed=len(SAMPLES) + 2), rf64(len(SAMPLES) + 2), w64(26 + len(SAMPLES)), unsized(0x90000000)],
    ids=["wav", "rf64", "w64", "2.25 GiB"],
)
def test_a_wav_that_states_more_than_it_has_is_undecodable(data):
    with pytest.raises(Undecodable, match="damaged"):
        decode(data)


def stale(stated, content=SAMPLES):
    """A WAV whose header states its first write, as Python's `wave` leaves it in a pipe."""
    return riff(fmt(1, 1, RATE, 16), chunk(b"data", content[:stated])) + content[stated:]


@pytest.mark.parametrize(
    "data",
    [
        stale(400),
        stale(2),
        riff(fmt(1, 1, RATE, 16), chunk(b"data", SAMPLES[:400]) + SAMPLES[400:]),
        stale(400, SAMPLES[:400] + bytes(1 << 17)),
        rf64(400),
        w64(24 + 400),
    ],
    ids=["a pipe", "one sample", "in its size", "silence", "rf64", "w64"],
)
def test_a_wav_that_goes_on_behind_its_stated_length_is_undecodable(data):
    with pytest.raises(Undecodable, match="goes on"):
        decode(data)


@pytest.mark.parametrize(
    "tail",
    [
        chunk(b"LIST", b"INFO"),
        chunk(b"abcd", b"12345") + chunk(b"LIST", b"INFO"),
        chunk(b"LIST", b"INFO" * 99)[:-50],
        chunk(b"LIST", b"12345")[:-1],
        b"TAG" + bytes(125),
        b"ID3\4\0\0\0\0\0\5hello",
        bytes(512),
        b"\1\2\3",
    ],
    ids=["list", "chunks", "cut short", "no padding", "id3v1", "id3", "zeros", "bytes"],
)
def test_what_may_follow_the_samples_of_a_wav(tail):
    np.testing.assert_array_equal(decode(wav(SAMPLES) + tail), PLAIN)
    odd = wav((waves(901)[:, 0] * 100 + 128).astype(np.uint8).tobytes(), bits=8)
    np.testing.assert_array_equal(decode(odd + tail), decode(odd))
    if tail[0]:
        np.testing.assert_array_equal(decode(odd[:-1] + tail), decode(odd))
    with pytest.raises(Undecodable, match="no samples"):
        decode(wav(b"") + (tail if tail[0] else b""))


def aiff(form, frames, sound, samples=SAMPLES):
    """An AIFF that states these sizes."""
    common = struct.pack(">HIH", 1, frames, 16) + b"\x40\x0b\xfa" + bytes(7)
    big = np.frombuffer(samples, "<i2").astype(">i2").tobytes()
    head = b"FORM" + struct.pack(">I", form) + b"AIFFCOMM\0\0\0\x12" + common
    return head + b"SSND" + struct.pack(">I", sound) + bytes(8) + big


UNSIZED_AIFFS = {
    "ffmpeg": aiff(0, 0, 0),
    "an empty sound": aiff(0, 0, 8),
    "sox": aiff(0x7F00002E, 0x3F800000, 0x7F000008),
    "2^32 - 1": aiff(0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF),
}


@pytest.mark.parametrize("name", UNSIZED_AIFFS)
def test_an_aiff_from_a_pipe_extends_to_the_end_of_the_file(name):
    np.testing.assert_array_equal(decode(UNSIZED_AIFFS[name]), PLAIN)
    np.testing.assert_array_equal(decode(UNSIZED_AIFFS[name] + b"\1"), PLAIN)  # half a sample


@pytest.mark.parametrize(
    "data",
    [aiff(0, len(PLAIN) + 2, 0), aiff(0, 0, 1 << 20), aiff(46, 0, 8), aiff(0x7E000000, 0, 0), aiff(0, 0, 0, b"")],
    ids=["frames", "sound", "a form of the header", "a form", "no samples"],
)
def test_an_aiff_that_states_one_length_is_held_to_it(data):
    with pytest.raises(Undecodable):
        decode(data)


FLACS = {
    "one frame": encode(waves(900, 2), "FLAC", "PCM_16"),
    "many frames": encode(waves(50_000, 2), "FLAC", "PCM_16"),
    "24 bits": encode(waves(30_000), "FLAC", "PCM_24"),
    "whole frames": encode(waves(8192), "FLAC", "PCM_16"),
    "an odd rate": encode(waves(20_000), "FLAC", "PCM_16", 12_347),
}


@pytest.mark.parametrize("name", FLACS)
def test_a_flac_without_a_length_is_decoded_to_its_end(name):
    np.testing.assert_array_equal(decode(without_length(FLACS[name])), decode(FLACS[name]))


def test_a_flac_without_a_length_is_undecodable_when_damaged():
    data = without_length(FLACS["many frames"])
    first = frames_at(data)
    second = data.index(b"\xff\xf8", first + 2)
    cut = [data[:-1], data[:-4000], data[:first] + data[second:], data[:second] + b"\0" + data[second + 1 :]]
    for damaged in cut:
        with pytest.raises(Undecodable):
            decode(damaged)


def test_a_flac_without_a_length_keeps_the_limit():
    with pytest.raises(Undecodable, match="more samples"):
        decode_sound(without_length(FLACS["many frames"]), 49_999)


def stating(flac, length):
    """A FLAC whose header states that many samples."""
    return flac[:21] + bytes([flac[21] & 0xF0 | length >> 32]) + struct.pack(">I", length & 0xFFFFFFFF) + flac[26:]


@pytest.mark.parametrize("name", FLACS)
@pytest.mark.parametrize("cut", [1, 100, 20_000, 1 << 20], ids=["a sample", "in a frame", "frames", "all but one"])
def test_a_flac_that_states_less_than_it_holds_is_undecodable(name, cut):
    whole = len(decode(FLACS[name]))
    with pytest.raises(Undecodable, match=f"goes on behind the length that it states: {whole} samples"):
        decode(stating(FLACS[name], max(1, whole - cut)))


@pytest.mark.parametrize("name", FLACS)
def test_a_flac_that_states_more_than_it_holds_is_undecodable(name):
    for more in (1, 100, 20_000, 1 << 35):
        with pytest.raises(Undecodable, match=r"damaged|more samples"):
            decode(stating(FLACS[name], len(decode(FLACS[name])) + more))


def test_two_joined_flacs_are_not_the_first_of_them():
    longer, shorter = FLACS["many frames"], encode(waves(20_000, 2), "FLAC", "PCM_16")
    for joined in (longer + shorter, shorter + longer, longer + longer):
        with pytest.raises(Undecodable, match="goes on behind the length that it states"):
            decode(joined)
    with pytest.raises(Undecodable, match="damaged"):
        decode(without_length(longer) + shorter)


def test_joined_frames_of_which_the_whole_length_is_stated_are_decoded():
    """As programs join files without encoding again: the numbers of the frames begin again."""
    first, second = encode(waves(8192, 2), "FLAC", "PCM_16"), FLACS["many frames"]
    joined = stating(first + second[frames_at(second) :], 8192 + 50_000)
    np.testing.assert_array_equal(decode(joined), np.concatenate([decode(first), decode(second)]))


OGGS = {
    "vorbis": encode(waves(90_000), "OGG", "VORBIS"),
    "opus": encode(waves(90_000), "OGG", "OPUS"),
}


def ending_at(ogg, granule):
    """An Ogg whose last page states that position, in samples."""
    start = ogg.rindex(b"OggS")
    page = ogg[start : start + 6] + struct.pack("<q", granule) + ogg[start + 14 :]
    return ogg[:start] + page[:22] + page_checksum(page) + page[26:]


@pytest.mark.parametrize("name", OGGS)
def test_an_ogg_that_states_less_than_the_pages_before_the_last_is_undecodable(name):
    """The last position may cut its own page, by which encoders end a sound between two blocks."""
    data = OGGS[name]
    *_, before, last = (data.index(b"OggS", at) for at in range(len(data) - 4) if data.startswith(b"OggS", at))
    granule = int.from_bytes(data[before + 6 : before + 14], "little")
    for stated in (granule - 1, granule // 2, 1, -2):
        with pytest.raises(Undecodable, match="goes on behind"):
            decode(ending_at(data, stated))
    end = int.from_bytes(data[last + 6 : last + 14], "little")
    kept = decode(ending_at(data, end - 300))
    np.testing.assert_array_equal(kept, decode(data)[: len(kept)])
    assert 0 < len(decode(data)) - len(kept) <= 300
    with pytest.raises(Undecodable, match=r"damaged|more samples"):
        decode(ending_at(data, end + 100_000))


ID3 = b"ID3\4\0\0\0\0\1\x10" + bytes(128 + 16)
ID3_WITH_FOOTER = b"ID3\4\0\x10\0\0\0\5hello3DI\4\0\x10\0\0\0\5"
APE = b"APETAGEX" + struct.pack("<IIII8x", 2000, 40, 1, 0xA0000000) + b"x" * 8
APE_END = APE + b"APETAGEX" + struct.pack("<IIII8x", 2000, 40, 1, 0x80000000)


@pytest.mark.parametrize("name", VALID)
@pytest.mark.parametrize(
    "tag", [ID3, ID3_WITH_FOOTER, ID3 + bytes(99), ID3 + ID3, APE_END], ids=["id3", "footer", "padded", "two", "ape"]
)
def test_tags_before_a_sound_are_skipped(name, tag):
    np.testing.assert_array_equal(decode(tag + VALID[name]), decode(VALID[name]))


@pytest.mark.parametrize(
    "tag", [b"TAG" + bytes(125), APE_END, APE_END + b"TAG" + bytes(125)], ids=["id3", "ape", "both"]
)
def test_tags_behind_a_sound_are_skipped(tag):
    for data in (*VALID.values(), without_length(FLACS["many frames"])):
        np.testing.assert_array_equal(decode(data + tag), decode(data))


def test_chunks_blocks_and_pages_are_bounded():
    junk = riff(*[chunk(b"junk", b"")] * 1_000_000)
    blocks = b"fLaC\0" + FLACS["one frame"][5:42] + b"\1\0\0\0" * 4_000_000
    started = time.process_time()
    for data in (junk, blocks):
        with pytest.raises(Undecodable, match="too many chunks"):
            decode(data)
    assert time.process_time() - started < 2


HOSTILE = {
    "a million tags": b"ID3\4\0\0\0\0\0\0" * 1_000_000 + VALID["wav-16"],
    "sync codes": without_length(FLACS["one frame"]) + b"\xff\xf8" * 4_000_000,
    "a frame of megabytes": without_length(FLACS["one frame"]) + bytes(8 << 20),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_structure_is_refused_soon(name):
    started = time.process_time()
    with pytest.raises(Undecodable):
        decode(HOSTILE[name])
    assert time.process_time() - started < 3


def test_metadata_of_a_flac_is_skipped():
    data = FLACS["one frame"]
    cover = b"\6" + (16_000_000).to_bytes(3, "big") + bytes(16_000_000)
    np.testing.assert_array_equal(decode(data[:4] + b"\0" + data[5:42] + cover + data[42:]), decode(data))
