"""Resampling against formulas and SciPy, and the short way to a clip's middle against the long one."""

import math
import tracemalloc

import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from augsvc_client.decoding.channels import with_channels
from augsvc_client.decoding.resampling import fit_clip, resample, resampled_length

RATES = (1_000, 8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000, 384_000)


def noise(samples, seed=0):
    found = np.random.default_rng(seed).uniform(-1, 1, samples).astype(np.float32)
    found.setflags(write=False)  # as a cached clip is
    return found


def sine(frequency, rate, samples):
    return np.sin(2 * np.pi * frequency * np.arange(samples) / rate).astype(np.float32)


def test_equal_rates_change_nothing():
    audio = noise(100)
    assert resample(audio, 16_000, 16_000) is audio


@pytest.mark.parametrize("wanted", [8_000, 11_025, 16_000, 44_100, 48_000])
@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 96_000])
def test_a_sine_stays_the_same_sine(rate, wanted):
    for frequency in (50.0, 440.0, 0.4 * min(rate, wanted)):
        found = resample(sine(frequency, rate, rate // 2), rate, wanted)
        away = slice(len(found) // 4, -len(found) // 4)  # from the ends, where the sine begins and stops
        np.testing.assert_allclose(found[away], sine(frequency, wanted, len(found))[away], atol=4e-4)


def test_what_the_new_rate_cannot_hold_is_gone():
    found = resample(sine(15_000.0, 44_100, 22_050), 44_100, 16_000)
    assert np.abs(found[2000:-2000]).max() < 1e-5


@pytest.mark.parametrize(("rate", "wanted"), [(44_100, 16_000), (16_000, 48_000), (48_000, 16_000), (22_050, 16_000)])
def test_it_agrees_with_scipy_in_the_pass_band(rate, wanted):
    shared = math.gcd(rate, wanted)
    audio = sum(sine(f, rate, rate // 2) for f in (110.0, 1234.0, 3500.0)) / np.float32(3)
    other = resample_poly(audio.astype(np.float64), wanted // shared, rate // shared, window=("kaiser", 12.0))
    found = resample(audio, rate, wanted)
    assert len(found) == resampled_length(len(audio), rate, wanted)
    np.testing.assert_allclose(found[1000:-1000], other[1000 : len(found) - 1000], atol=2e-3)


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 3000), st.integers(1_000, 384_000), st.integers(1_000, 384_000))
def test_the_length_is_the_formulas_and_values_are_finite(samples, rate, wanted):
    samples = min(samples, 300_000 * rate // wanted)
    found = resample(noise(samples), rate, wanted)
    assert found.dtype == np.float32 and found.shape == (resampled_length(samples, rate, wanted),)
    assert np.isfinite(found).all() and np.abs(found).max(initial=0.0) < 4
    assert resampled_length(samples, rate, wanted) == math.floor(samples * wanted / rate + 0.5)


def test_the_same_clip_gives_the_same_bits():
    audio = noise(20_000, 3)
    first = resample(audio, 44_100, 16_000)
    resample(noise(5_000, 4), 8_000, 16_000)
    assert resample(audio.copy(), 44_100, 16_000).tobytes() == first.tobytes()


@pytest.mark.parametrize("wanted", [1_000, 8_000, 16_000, 22_050, 48_000])
@pytest.mark.parametrize("rate", RATES)
def test_the_middle_is_that_of_the_resampled_whole(rate, wanted):
    samples = 500
    needed = (samples * rate) // wanted + 2 * (4096 + 128 * math.ceil(rate / wanted))
    for length in (needed * 2 + 1, needed * 5 + 777):
        audio = noise(length, rate + wanted)
        whole = resample(audio, rate, wanted)
        start = (len(whole) - samples) // 2
        found = fit_clip(audio, rate, samples, wanted)
        np.testing.assert_allclose(found, whole[start : start + samples], atol=1e-5)


def test_only_the_middle_is_resampled(monkeypatch):
    lengths, genuine = [], soxr.resample

    def counted(audio, *rest, **options):
        lengths.append(len(audio))
        return genuine(audio, *rest, **options)

    monkeypatch.setattr(soxr, "resample", counted)
    fit_clip(np.zeros(28_800_000, dtype=np.float32), 48_000, 16_000, 16_000)
    assert lengths[0] <= 3 * 16_000 + 2 * (4096 + 128 * 3) + 3


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 60_000), st.sampled_from(RATES), st.integers(1, 20_000), st.sampled_from((1_000, 16_000, 44_100)))
def test_a_fitted_clip_is_the_cropped_or_padded_whole(length, rate, samples, wanted):
    audio = noise(length, 1)
    whole = resample(audio, rate, wanted) if length * wanted < 3_000_000 * rate else None
    found = fit_clip(audio, rate, samples, wanted)
    assert found.shape == (samples,) and found.dtype == np.float32
    if whole is not None:
        start = max(0, (len(whole) - samples) // 2)
        kept = whole[start : start + samples]
        np.testing.assert_allclose(found[: len(kept)], kept, atol=1e-5)
        assert not found[len(kept) :].any()


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_only_the_window_of_a_long_clip_gets_other_channels(rate):
    """The memory of a copy of the whole would be counted nowhere."""
    long = np.zeros((2, 4_000_000), np.float32)
    long[1] = noise(long.shape[1])
    tracemalloc.start()
    try:
        mixed = fit_clip(long, rate, 1000, 16_000, channels=1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20
    np.testing.assert_array_equal(mixed, fit_clip(with_channels(long, 1), rate, 1000, 16_000))
    np.testing.assert_array_equal(fit_clip(long[0], rate, 10, 16_000, channels=3), np.zeros((3, 10)))


@pytest.mark.parametrize(("length", "start"), [(10, 3), (11, 3), (4, 0), (5, 0), (6, 1)])
def test_at_its_own_rate_the_middle_is_cut_exactly(length, start):
    audio = noise(length)
    np.testing.assert_array_equal(fit_clip(audio, 16_000, 4, 16_000), audio[start : start + 4])


def test_shorter_clips_are_followed_by_zeros():
    assert fit_clip(noise(0), 16_000, 3, 16_000).tolist() == [0, 0, 0]
    assert fit_clip(noise(0), 44_100, 3, 16_000).tolist() == [0, 0, 0]
    assert fit_clip(noise(1), 384_000, 3, 1_000).tolist() == [0, 0, 0]  # less than half a sample
    audio = noise(2)
    assert fit_clip(audio, 16_000, 4, 16_000).tolist() == [*audio.tolist(), 0, 0]
