"""Which variants of each decoder's probe are refused: a change gives other samples, and so other stream ids."""

import functools
import time

import pytest
import simplejpeg

from augsvc.data.decoders import registry
from augsvc.data.decoders.registry import DECODERS, probe_digest, probe_outcomes
from augsvc.errors import Undecodable
from augsvc_client.decoding import whole_jpeg

# Golden: an entry that comes or goes changes the ids of streams over decoded files, which CHANGELOG then states.
REFUSED = {
    "jpeg": [
        "a byte is missing, not strict",
        "a byte is missing",
        "half is missing, not strict",
        "half is missing",
        "a byte before, not strict",
        "a byte before",
        "16 zeros inside",
        "16 ones inside",
        "second half zero, not strict",
        "second half zero",
        "a bit at 2/8",
        "no end, not strict",
        "no end",
        "64 other bytes before the end",
        "two frames, not strict",
        "two frames",
        "two scans, not strict",
        "two scans",
        "33 scans, not strict",
        "33 scans",
        "another coding, not strict",
        "another coding",
    ],
    "png": [
        "half is missing",
        "a byte before",
        "16 zeros inside",
        "16 ones inside",
        "second half zero",
        "a bit at 1/8",
        "a bit at 2/8",
        "a bit at 3/8",
        "a bit at 4/8",
        "a bit at 5/8",
        "a bit at 6/8",
        "a bit at 7/8",
        "a wrong checksum of the header",
        "a larger height",
        "a smaller height",
    ],
    "webp": [
        "a byte is missing",
        "half is missing",
        "a byte before",
        "16 zeros inside",
        "16 ones inside",
        "second half zero",
        "a bit at 2/8",
        "a bit at 3/8",
        "a bit at 4/8",
        "a bit at 5/8",
        "a bit at 6/8",
        "a bit at 7/8",
        "a stated size above the file's",
        "a stated size below the file's",
    ],
    "png16": [
        "half is missing",
        "a byte before",
        "16 zeros inside",
        "16 ones inside",
        "second half zero",
        "a bit at 1/8",
        "a bit at 2/8",
        "a bit at 3/8",
        "a bit at 4/8",
        "a bit at 5/8",
        "a bit at 6/8",
        "a bit at 7/8",
        "a wrong checksum of the header",
        "a larger height",
        "a smaller height",
    ],
    "tiff": [
        "half is missing",
        "a byte before",
        "no tag 256",
        "a value of tag 257",
        "no tag 257",
        "a value of tag 258",
        "no tag 258",
        "a value of tag 259",
        "no tag 259",
        "a value of tag 262",
        "no tag 273",
        "no tag 279",
        "a value of tag 317",
        "a value of tag 339",
        "another channel",
    ],
    "aiff": [
        "a byte is missing",
        "half is missing",
        "a byte before",
        "text behind",
        "twice",
        "9644 in FORM",
        "9648 in FORM",
        "2398 in COMM",
        "2402 in COMM",
        "9606 in SSND",
        "9610 in SSND",
        "channels 0",
        "channels 33",
        "bits 0",
        "bits 8",
        "bits 40",
        "exponent 0",
        "exponent 16500",
    ],
    "flac": [
        "a byte is missing",
        "half is missing",
        "a byte before",
        "twice",
        "16 zeros inside",
        "16 ones inside",
        "second half zero",
        "a bit at 1/8",
        "a bit at 2/8",
        "a bit at 3/8",
        "a bit at 4/8",
        "a bit at 5/8",
        "a bit at 6/8",
        "a bit at 7/8",
        "another stated length",
        "a smaller stated length",
    ],
    "mp3": [
        "a byte is missing",
        "half is missing",
        "a byte before",
        "zeros behind",
        "text behind",
        "twice",
        "16 zeros inside",
        "16 ones inside",
        "second half zero",
        "a bit at 1/8",
        "a bit at 2/8",
        "a bit at 3/8",
        "a bit at 4/8",
        "a bit at 5/8",
        "a bit at 6/8",
        "a bit at 7/8",
        "1 stated frames",
        "1000 stated frames",
        "a larger padding",
        "another tag",
        "a free bitrate",
        "another rate",
        "a channel less",
        "layer II",
    ],
    "opus": [
        "a byte is missing",
        "half is missing",
        "a byte before",
        "zeros behind",
        "text behind",
        "twice",
        "16 zeros inside",
        "16 ones inside",
        "second half zero",
        "a bit at 1/8",
        "a bit at 2/8",
        "a bit at 3/8",
        "a bit at 4/8",
        "a bit at 5/8",
        "a bit at 6/8",
        "a bit at 7/8",
        "no last page",
        "a wrong checksum",
        "the last page twice",
        "positions that decrease",
        "another stream",
    ],
    "vorbis": [
        "a byte is missing",
        "half is missing",
        "a byte before",
        "zeros behind",
        "text behind",
        "twice",
        "16 zeros inside",
        "16 ones inside",
        "second half zero",
        "a bit at 1/8",
        "a bit at 2/8",
        "a bit at 3/8",
        "a bit at 4/8",
        "a bit at 5/8",
        "a bit at 6/8",
        "a bit at 7/8",
        "no last page",
        "a wrong checksum",
        "the last page twice",
        "positions that decrease",
        "another stream",
    ],
    "wav": [
        "a byte is missing",
        "half is missing",
        "a byte before",
        "text behind",
        "9604 stated bytes",
        "coding 2",
        "coding 3",
        "coding 6",
        "coding 7",
        "channels 0",
        "channels 33",
        "rate 0",
        "rate 999",
    ],
}


@pytest.mark.parametrize("name", DECODERS)
def test_the_rules_are_these(name):
    outcomes = probe_outcomes(name)
    assert outcomes["unchanged"] != "undecodable"
    assert {rule for rule, outcome in outcomes.items() if outcome == "undecodable"} == set(REFUSED[name])
    assert len(outcomes) > len(REFUSED[name]) + 2
    assert probe_outcomes(name) == outcomes


@pytest.mark.parametrize("name", DECODERS)
def test_variants_print_nothing_and_are_cheap(name, capfd):
    probe_digest(name)
    begun = time.thread_time()
    probe_digest(name)
    assert time.thread_time() - begun < 0.2  # 2 to 14 ms
    assert capfd.readouterr() == ("", "")


def test_a_rule_of_the_walk_is_in_the_digest(monkeypatch):
    """As before zeros ahead of the end marker were accepted."""
    before = probe_digest("jpeg")
    monkeypatch.setattr(whole_jpeg, "_EOI", b"none")  # zeros are not removed any more
    assert probe_digest("jpeg") != before


@pytest.mark.parametrize(
    ("faster", "changed"),
    [
        ("fastupsample", {"probe_420.jpg", "probe_422.jpg", "probe_progressive.jpg"}),
        ("fastdct", {"probe_420.jpg", "probe_422.jpg", "probe_444.jpg", "probe_progressive.jpg"}),
    ],
)
def test_other_arithmetic_of_the_library_is_in_the_digest(faster, changed, monkeypatch):
    decode, before = simplejpeg.decode_jpeg, probe_outcomes("jpeg")
    monkeypatch.setattr(simplejpeg, "decode_jpeg", functools.partial(decode, **{faster: True}))
    after = probe_outcomes("jpeg")
    assert {name for name in before if name.endswith(".jpg") and before[name] != after[name]} == changed
    assert not {before[name] for name in before if name.endswith(".jpg")} & {"undecodable"}


@pytest.mark.parametrize(
    ("name", "decode"),
    [
        ("jpeg", "decode_image"),
        ("webp", "decode_image"),
        ("png16", "decode_window"),
        ("tiff", "decode_window"),
        ("aiff", "decode_sound"),
        ("flac", "decode_sound"),
        ("mp3", "decode_sound"),
        ("vorbis", "decode_sound"),
        ("wav", "decode_sound"),
    ],
)
def test_each_outcome_is_in_the_digest(name, decode, monkeypatch):
    """Of files that are refused, and of their pixels."""
    original, outcomes = getattr(registry, decode), probe_outcomes(name)
    data = variants_of(name)
    rule = next(rule for rule in data if outcomes[rule] != "undecodable")

    def refusing(file, *args, **options):
        if file == data[rule]:
            raise Undecodable("a new rule")
        return original(file, *args, **options)

    before = probe_digest(name)
    monkeypatch.setattr(registry, decode, refusing)
    assert probe_digest(name) != before


def variants_of(name):
    probe = registry.files("augsvc.data.decoders").joinpath("probes", DECODERS[name]).read_bytes()
    return registry.build_variants(name, probe)
