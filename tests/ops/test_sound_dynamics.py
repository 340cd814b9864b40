"""Operations that depend on statistics of a clip against NumPy, pyloudnorm and the formulas of audiomentations."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augsvc.errors import SpecInvalid
from augsvc.numerics import sections
from tests.ops.test_sound import RATE, through

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pyloudnorm

pytestmark = pytest.mark.usefixtures("each_executor")
CLIP = np.random.default_rng(5).normal(0, 0.1, 8000) * np.linspace(0.1, 1, 8000)
EDGES = [np.zeros(0), np.zeros(1), np.zeros(500), np.array([0.5]), np.array([0.5, -0.25]), np.full(300, 1e-40)]
DYNAMICS = ["normalize_peak", "loudness_normalization", "clipping", "tanh_distortion", "limiter", "room_reverb"]
BAND_LIMITS = [{"op": "aliasing", "rate": [500, 8000]}, {"op": "resample", "rate": [500, 8000]}]


def rms(clip):
    return np.sqrt(np.mean(np.square(clip)))


@pytest.mark.parametrize("step", [*({"op": name} for name in DYNAMICS), *BAND_LIMITS], ids=lambda step: step["op"])
def test_silence_and_the_shortest_clips_are_defined(step):
    for clip in EDGES[1:]:
        result, _ = through([{**step, "p": 1.0}], clip)
        assert np.isfinite(result).all()
        assert clip.any() or not result.any()
    longest = [*EDGES, CLIP]
    together, _ = through([{**step, "p": 1.0}], *longest)
    for clip, result in zip(longest, together, strict=True):
        assert np.isfinite(result).all() and not result[len(clip) :].any()


def test_the_peak_becomes_the_level():
    result, draws = through([{"op": "normalize_peak", "level": [-20, 0]}], CLIP, 3e-9 * CLIP, 4000 * CLIP)
    for clip, drawn in zip(result, draws, strict=True):
        assert abs(20 * np.log10(np.abs(clip).max()) - drawn["level"]) < 1e-5
        np.testing.assert_allclose(clip / np.abs(clip).max(), CLIP / np.abs(CLIP).max(), atol=2e-7)
    assert np.abs(through([{"op": "normalize_peak"}], CLIP)[0]).max() == 1.0
    steps = [{"op": "normalize_peak", "apply_to": "louder", "level": -6}]
    quiet, loud = through(steps, 0.1 * CLIP / np.abs(CLIP).max(), 0.9 * CLIP / np.abs(CLIP).max())[0]
    assert np.abs(quiet).max() == np.float32(0.1) and abs(np.abs(loud).max() - 10**-0.3) < 1e-6


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 48000])
def test_the_weighting_is_that_of_the_standard(rate):
    ours = sections.k_weighting(rate)
    for section, (kind, gain, q, hertz) in zip(
        ours,
        [
            ("high_shelf_DeMan", 3.99984385397, 0.7071752369554193, 1681.9744509555319),
            ("high_pass_DeMan", 0.0, 0.5003270373253953, 38.13547087613982),
        ],
        strict=True,
    ):
        theirs = pyloudnorm.iirfilter.IIRfilter(gain, q, hertz, rate, kind)
        np.testing.assert_allclose(section, [*theirs.b, *theirs.a[1:]], atol=1e-12)
    if rate == 48000:  # Tables 1 and 2 of ITU-R BS.1770-4
        table = [1.53512485958697, -2.69169618940638, 1.19839281085285, -1.69065929318241, 0.73248077421585]
        np.testing.assert_allclose(ours[0], table, atol=1e-10)
        np.testing.assert_allclose(ours[1], [1, -2, 1, -1.99004745483398, 0.99007225036621], atol=1e-10)


@pytest.mark.parametrize("seconds", [0.4, 0.7, 3.0])
def test_loudness_is_pyloudnorms(seconds):
    """A clip with silence, and with a passage that the relative gate leaves out."""
    samples = int(seconds * RATE)
    clip = np.random.default_rng(1).normal(0, 0.1, samples)
    clip[samples // 3 : samples // 2] *= 0.01
    clip[samples * 3 // 4 :] = 0
    meter = pyloudnorm.Meter(RATE, filter_class="DeMan")
    result, draws = through([{"op": "loudness_normalization"}], clip, 1e-2 * clip)
    for result_clip, drawn in zip(result, draws, strict=True):
        assert abs(meter.integrated_loudness(result_clip) - drawn["loudness"]) < 2e-3


def test_a_sine_of_the_standard_has_its_loudness():
    """ITU-R BS.1770-4: a sine at 997 Hz and full scale on one channel has −3.01 LUFS."""
    clip = np.sin(2 * np.pi * 997 * np.arange(2 * 8000) / RATE)
    result, _ = through([{"op": "loudness_normalization", "loudness": -23}], clip)
    assert abs(20 * np.log10(np.abs(result).max()) - (-23 + 3.01)) < 0.06


def test_a_clip_below_the_gate_stays_and_one_shorter_than_a_block_is_one_block():
    quiet, short = 1e-5 * CLIP, CLIP[:1000]
    result, _ = through([{"op": "loudness_normalization", "loudness": -20}], quiet, short)
    assert result[0].tobytes() == quiet.astype(np.float32).astype(np.float64).tobytes()
    weighted = pyloudnorm.Meter(RATE, filter_class="DeMan")._filters
    power = short
    for stage in weighted.values():
        power = stage.apply_filter(power)
    gain = np.sqrt(10 ** ((-20 + 0.691) / 10) / np.mean(power**2))
    np.testing.assert_allclose(result[1, :1000], gain * short, rtol=1e-4)


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=40), st.floats(0, 100))
def test_clipping_is_at_numpys_percentiles(values, percentile):
    clip = np.array(values, np.float32)
    result, _ = through([{"op": "clipping", "percentile": percentile}], clip)
    low, high = np.percentile(clip.astype(np.float64), [percentile / 2, 100 - percentile / 2])
    np.testing.assert_allclose(result[0], np.clip(clip, min(low, high), high), atol=1e-6)


def test_tanh_distortion_is_audiomentations():
    clips = [CLIP, 1e-3 * CLIP, 50 * CLIP]
    result, draws = through([{"op": "tanh_distortion", "amount": [0, 1]}], *clips)
    for clip, ours, drawn in zip(clips, result, draws, strict=True):
        threshold = np.percentile(np.abs(clip), 100 - 99 * drawn["amount"])
        expected = np.tanh(0.5 / (threshold + 1e-6) * clip)
        expected *= rms(clip) / rms(expected)
        np.testing.assert_allclose(ours, expected, atol=3e-5 * np.abs(expected).max())
        assert abs(rms(ours) / rms(clip) - 1) < 1e-5


def limited(clip, threshold, attack, release, delay):
    """audiomentations' limiter, from its description, in float64."""
    envelope, gain, result = 0.0, 1.0, []
    for size in [*np.abs(clip), *np.zeros(delay)]:
        envelope = max(size, envelope * release)
        target = min(1.0, threshold / envelope) if envelope else 1.0
        gain = gain * attack + target * (1 - attack)
        result.append(gain)
    return clip * np.array(result[delay:])


@pytest.mark.parametrize("relative_to", ["peak", "full_scale"])
def test_a_limiter_follows_the_envelope(relative_to):
    step = {"op": "limiter", "threshold": [-24, -2], "relative_to": relative_to}
    clip = CLIP * np.where(np.arange(8000) % 3000 < 500, 8, 0.5)
    result, draws = through([step], clip)
    drawn = draws[0]
    threshold = 10 ** (drawn["threshold"] / 20) * (np.abs(clip).max() if relative_to == "peak" else 1.0)
    attack, release = (10 ** (-3 / (drawn[name] * RATE)) for name in ("attack", "release"))
    delay = max(round(0.6 * drawn["attack"] * RATE), 1)
    np.testing.assert_allclose(result[0], limited(clip, threshold, attack, release, delay), atol=1e-6)
    assert np.abs(result[0]).max() < np.abs(clip).max()


@pytest.mark.parametrize("op", ["aliasing", "resample"])
@pytest.mark.parametrize("rate", [999, [500, 8000]])
def test_a_rate_below_a_sixteenth_of_the_clips_is_refused(op, rate):
    step = {"op": "random_apply", "of": [{"op": op, "rate": rate}]}
    with pytest.raises(SpecInvalid, match="from 1000 Hz") as refused:
        through([{"op": "gain"}, step], CLIP, sample_rate=16_000)
    assert refused.value.field == "pipeline.1.of.0.rate"


def test_aliasing_folds_what_resampling_removes():
    """A sine of 3 kHz at a rate of 4 kHz: it lies above half of it, and folds to 1 kHz."""
    time = np.arange(8000) / RATE
    for name, folded in (("aliasing", True), ("resample", False)):
        result, _ = through([{"op": name, "rate": 4000}], np.sin(2 * np.pi * 3000 * time + 0.5))
        spectrum = np.abs(np.fft.rfft(result[0][1000:7000] * np.hanning(6000))) / 1500
        assert (spectrum[750] > 0.3) == folded and spectrum[750] < 1.1
        assert folded or spectrum.max() < 1e-2
        low, _ = through([{"op": name, "rate": 4000}], np.sin(2 * np.pi * 300 * time))
        error = np.abs(low[0] - np.sin(2 * np.pi * 300 * time))[200:-200].max()
        assert error < (0.08 if folded else 2e-3)
        same, _ = through([{"op": name, "rate": 8000}], CLIP)
        assert same[0].tobytes() == CLIP.astype(np.float32).astype(np.float64).tobytes()


def test_aliasing_interpolates_linearly_both_ways():
    result, _ = through([{"op": "aliasing", "rate": 2000}], CLIP)
    fewer = np.interp(np.arange(2000) * 4.0, np.arange(8000), CLIP)
    np.testing.assert_allclose(result[0], np.interp(np.arange(8000) / 4.0, np.arange(2000), fewer), atol=1e-6)
