"""Codecs against libsndfile, called as a user would."""

import io

import numpy as np
import pytest
import soundfile

from augsvc.errors import SpecInvalid
from augsvc.ops.audio.compression import codec
from augsvc.ops.kinds.audio import Clip
from augsvc.ops.pipeline import parse_pipeline
from augsvc.planning.audio_plan import SoundPlan
from augsvc.planning.cost import sample_seconds
from tests.ops.test_sound import RATE, through, tone

CLIP = tone(4000) + np.random.default_rng(1).normal(0, 0.02, 4000)
FORMATS = {"mp3": ("MP3", "MPEG_LAYER_III"), "opus": ("OGG", "OPUS"), "vorbis": ("OGG", "VORBIS")}


@pytest.mark.usefixtures("each_executor")
@pytest.mark.parametrize("name", FORMATS)
def test_a_clip_is_what_its_file_decodes_to(name):
    file, (container, subtype) = io.BytesIO(), FORMATS[name]
    mode = {"bitrate_mode": "CONSTANT"} if name == "mp3" else {}
    clip = CLIP.astype(np.float32)
    soundfile.write(file, clip, RATE, subtype, format=container, compression_level=0.75, **mode)
    file.seek(0)
    expected = soundfile.read(file, dtype="float32")[0]  # which seeks first: MP3 then differs by a bit
    result, _ = through([{"op": "codec", "codec": name, "quality": 0.25}], clip)
    np.testing.assert_allclose(result[0], expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("rate", [6000, 8000, 44_100, 96_000, 192_000])
def test_clips_of_any_rate_and_length_stay_where_they_are(name, rate):
    operation = parse_pipeline([{"op": "codec", "codec": name}])[0]
    samples = np.arange(rate // 4)
    clip = (0.3 * np.sin(samples * (2 * np.pi * 400 / rate)) * np.hanning(len(samples))).astype(np.float32)
    result = operation.change(clip, np.array([50_000]), rate, len(clip), lambda: None)
    shifted = [np.dot(result, np.roll(clip, shift)) for shift in range(-9, 10)]
    assert abs(np.argmax(shifted) - 9) <= rate // 96_000 and np.corrcoef(result, clip)[0, 1] > 0.99
    for length in (1, 2, 60):
        short = operation.change(clip[1 : 1 + length] * 1e9, np.array([0]), rate, length, lambda: None)
        assert short.shape == (length,) and np.isfinite(short).all()


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 48_000])
def test_mp3_delays_nothing_at_any_quality(rate):
    """A file at a low bitrate has no frame that says how far the encoder has delayed the clip: by 1,105 samples."""
    operation = parse_pipeline([{"op": "codec", "codec": "mp3"}])[0]
    clip = np.random.default_rng(0).normal(0, 0.1, 8192).astype(np.float32)
    for quality in (0.0, 0.1, 0.2, 0.3, 1.0):
        result = operation.change(
            clip, np.array([round(quality * (1 << codec._QUALITY_BITS))]), rate, len(clip), lambda: None
        )
        likeness = np.fft.irfft(np.fft.rfft(result, 1 << 14) * np.conj(np.fft.rfft(clip, 1 << 14)))
        assert np.argmax(likeness) == 0, quality


@pytest.mark.parametrize("name", FORMATS)
def test_blocks_change_no_sample(name, monkeypatch):
    clip = tone(30_000).astype(np.float32) * np.linspace(1, 0.1, 30_000, dtype=np.float32)
    results = []
    for block in (1 << 16, 1 << 13):
        monkeypatch.setattr(codec, "_BLOCK", block)
        checks = []
        operation = parse_pipeline([{"op": "codec", "codec": name}])[0]
        results.append(
            operation.change(clip, np.array([9000]), RATE, len(clip), lambda checks=checks: checks.append(1))
        )
    assert results[0].tobytes() == results[1].tobytes()
    assert len(checks) > 5


@pytest.mark.parametrize(
    ("name", "rate", "ratio"), [("opus", 1000, 8), ("mp3", 1000, 8), ("vorbis", 1000, 1), ("opus", 96_000, 1)]
)
def test_time_and_memory_are_estimated_at_the_rate_of_the_codec(name, rate, ratio):
    """A clip of 1.5 M samples at 1 kHz took 16 s as Opus, by an estimate of 2."""
    plan = SoundPlan.of(parse_pipeline([{"op": "codec", "codec": name}]), Clip(1_500_000, rate))
    assert sample_seconds(plan) == pytest.approx(2.25 * ratio, rel=0.05)
    assert plan.operations[0].working_bytes(plan.clip) == pytest.approx(1e6 + 48e6 * ratio)


@pytest.mark.usefixtures("each_executor")
def test_quality_goes_from_bad_to_good_and_loud_clips_are_not_clipped():
    clips = [CLIP, 4096 * CLIP, np.zeros(10)]
    for name in FORMATS:
        bad, good = (through([{"op": "codec", "codec": name, "quality": q}], *clips)[0] for q in (0, 1))
        assert np.std(bad[0] - CLIP) > 1.5 * np.std(good[0] - CLIP)
        assert np.corrcoef(good[1], clips[1])[0, 1] > 0.99 and not good[2].any()


def test_a_codec_that_libsndfile_does_not_have_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(codec.soundfile, "available_subtypes", lambda container: {"VORBIS": "Vorbis"})
    parse_pipeline([{"op": "codec", "codec": "vorbis"}])
    with pytest.raises(SpecInvalid, match="'opus' is not among the codecs") as refused:
        parse_pipeline([{"op": "codec", "codec": "opus"}])
    assert refused.value.field == "pipeline.0.codec"


def test_clips_without_a_rate_are_refused():
    with pytest.raises(SpecInvalid, match="codec needs the rate of the clips"):
        SoundPlan.of(parse_pipeline([{"op": "codec"}]), Clip(100, None))
