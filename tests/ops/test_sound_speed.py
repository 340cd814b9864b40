"""Speed, windows of longer clips and coarse levels against soxr, NumPy and the formulas of other libraries."""

import numpy as np
import pytest
import soxr

from augsvc.executors.fused.kernels import sound_steps
from augsvc.numerics import fir
from augsvc.numerics.fir import sinc_table
from tests.ops.test_sound import RATE, batch, open_clips, through

pytestmark = pytest.mark.usefixtures("each_executor")


def sine(hertz, samples=8000):
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(samples) / RATE)


@pytest.mark.parametrize("speed", [0.5, 0.9, 1.0, 1.1, 1.37, 2.0])
def test_a_sine_gets_another_frequency_and_length(speed):
    stream = open_clips([{"op": "speed", "speed": speed}], [sine(440)], seconds=2.0)
    result = batch(stream)
    samples = int(np.floor(8000 / speed + 0.5))
    assert result["lengths"].tolist() == [samples]
    inner = slice(100, samples - 100)
    np.testing.assert_allclose(result["audio"][0, inner], sine(440 * speed, samples)[inner], atol=1e-4)
    assert not result["audio"][0, samples:].any()
    if speed == 1.0:
        assert result["audio"][0, :8000].tobytes() == sine(440).astype(np.float32).tobytes()


def test_it_resamples_as_soxr_and_leaves_out_what_would_alias():
    """Noise below 0.3 of the rate as soxr has it; a sine above half the new rate is gone."""
    noise = np.random.default_rng(3).normal(0, 0.2, 8000)
    spectrum = np.fft.rfft(noise)
    spectrum[2400:] = 0
    noise = np.fft.irfft(spectrum)
    result, _ = through([{"op": "speed", "speed": 1.25}], noise)
    expected = soxr.resample(noise, 10_000, RATE, quality="VHQ")
    error = result[0][200:6200] - expected[200:6200]
    assert 20 * np.log10(np.std(error) / np.std(expected)) < -60
    high, _ = through([{"op": "speed", "speed": 2.0}], sine(2600))
    assert np.abs(high[0][200:3800]).max() < 5e-4


def test_speeds_are_drawn_or_chosen_and_what_leaves_the_window_is_lost():
    clips = [sine(300, 800)] * 60
    stream = open_clips([{"op": "speed", "speed": [0.9, 1.1], "choices": 3}], clips)
    lengths = batch(stream)["lengths"]
    assert set(lengths.tolist()) == {800, 727}  # 889 samples do not fit
    assert 8 < (lengths == 727).sum() < 35
    drawn = batch(open_clips([{"op": "speed", "speed": [1.0, 1.1]}], clips))["lengths"]
    assert len(set(drawn.tolist())) > 20


def test_steps_after_a_change_of_speed_see_the_new_length():
    steps = [{"op": "speed", "speed": 2.0}, {"op": "reverse", "p": 1.0}, {"op": "time_shift", "shift": 0.5}]
    result, _ = through(steps, np.ones(400))
    assert not result[0][:100].any() and result[0][120:180].all() and not result[0][200:].any()


@pytest.mark.parametrize("samples", [0, 1, 2, 3])
def test_the_shortest_clips_have_a_speed(samples):
    result = batch(open_clips([{"op": "speed", "speed": 1.5}], [np.ones(samples), np.ones(100)]))
    assert result["lengths"][0] == int(np.floor(samples / 1.5 + 0.5))
    assert np.isfinite(result["audio"]).all()


def test_the_kernel_of_a_resampling_is_a_sinc():
    table = sinc_table()
    assert table[0] == 1.0 and np.abs(table[512::512]).max() < 1e-15
    x = np.arange(0, 8193) / 512
    np.testing.assert_allclose(table[:-1], np.sinc(x) * np.kaiser(16385, 9.0)[8192:], atol=1e-12)


def test_a_random_segment_is_a_slice_of_the_clip():
    ramp = np.arange(1.0, 1001.0)
    stream = open_clips([{"op": "random_segment"}], [ramp] * 50, seconds=400 / RATE)
    result = batch(stream)["audio"]
    firsts = result[:, 0] - 1
    assert (result == firsts[:, None] + np.arange(1.0, 401.0)).all()
    assert firsts.min() < 100 and firsts.max() > 500 and len(set(firsts.tolist())) > 40
    for position, first in ((0.0, 0), (0.5, 300), (1.0, 600)):
        fixed = open_clips([{"op": "random_segment", "position": position}], [ramp], seconds=400 / RATE)
        assert batch(fixed)["audio"][0, 0] == first + 1
    short = open_clips([{"op": "random_segment"}], [ramp[:100], ramp[:400]], seconds=400 / RATE)
    assert batch(short)["lengths"].tolist() == [100, 400]
    assert batch(short)["audio"][0, 0] == 1


def test_bits_are_audiomentations_levels():
    noise = np.random.default_rng(2).uniform(-1, 1, 2000).astype(np.float32)
    for bits in (1, 5, 10):
        result, _ = through([{"op": "bit_crush", "bits": bits}], noise)
        q = 2**bits / 2 + 1
        different = np.abs(result[0] - np.round(noise * q) / q) > 1e-4
        assert different.mean() < 2e-3  # values halfway between two levels, of a step in fixed point


def test_mu_law_is_torchaudios_round_trip():
    clip = np.concatenate((np.random.default_rng(1).normal(0, 0.3, 4000), np.linspace(-1.5, 1.5, 1001)))
    result, _ = through([{"op": "mu_law"}], clip)
    x = np.clip(clip.astype(np.float32), -1, 1).astype(np.float64)
    codes = np.floor((np.sign(x) * np.log1p(255 * np.abs(x)) / np.log(256) + 1) / 2 * 255 + 0.5)
    f = codes / 255 * 2 - 1
    expected = np.sign(f) * (np.exp(np.abs(f) * np.log(256)) - 1) / 255
    expected[clip == 0] = 0
    different = np.abs(result[0] - expected) > 1e-6
    assert different.mean() < 1e-3  # values on a threshold
    assert len(np.unique(result[0])) > 200


def test_the_kernel_reads_the_table_by_its_own_steps():
    assert (sound_steps.SINC_ZEROS, sound_steps.SINC_PHASES) == (fir.SINC_ZEROS, fir.SINC_PHASES)
