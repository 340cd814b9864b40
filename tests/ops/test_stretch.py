"""Time stretching and pitch shifting against librosa's definition, written out with angles, and tones."""

import numpy as np
import pytest

from augsvc.numerics import phase_vocoder
from tests.ops.test_sound import RATE, batch, open_clips, through, tone

pytestmark = pytest.mark.usefixtures("each_executor")
NOISE = np.random.default_rng(0).normal(0, 0.1, 9000).astype(np.float32)


def librosa_stretch(clip, rate):
    """librosa.effects.time_stretch with its defaults."""
    size, hop = 2048, 512
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    padded = np.pad(clip.astype(float), size // 2)
    frames = [np.fft.rfft(window * padded[k : k + size]) for k in range(0, len(padded) - size + 1, hop)]
    steps = np.arange(0, len(frames), rate)
    frames = np.pad(frames, [(0, 2), (0, 0)])
    phase, advance = np.angle(frames[0]), np.linspace(0, np.pi * hop, size // 2 + 1)
    samples = round(len(clip) / rate)
    result, weight = np.zeros((2, len(steps) * hop + size + samples))
    for k, step in enumerate(steps):
        before, after = frames[int(step)], frames[int(step) + 1]
        magnitude = (1 - step % 1) * abs(before) + step % 1 * abs(after)
        result[k * hop : k * hop + size] += window * np.fft.irfft(magnitude * np.exp(1j * phase))
        weight[k * hop : k * hop + size] += window**2
        turn = np.angle(after) - np.angle(before) - advance
        phase += advance + turn - 2 * np.pi * np.round(turn / (2 * np.pi))
    result[weight > 1e-30] /= weight[weight > 1e-30]
    return result[size // 2 : size // 2 + samples]


def cents(clip, hertz):
    """How far the highest peak of the spectrum is from a frequency."""
    spectrum = np.log(np.abs(np.fft.rfft(clip * np.hanning(len(clip)), 1 << 18)))
    k = spectrum.argmax()
    left, middle, right = spectrum[k - 1 : k + 2]
    peak = (k + 0.5 * (left - right) / (left - 2 * middle + right)) * RATE / (1 << 18)
    return 1200 * np.log2(peak / hertz)


@pytest.mark.parametrize("rate", [0.25, 0.8, 0.99, 1.25, 3.0])
@pytest.mark.parametrize("samples", [1, 300, 9000])
def test_stretching_is_librosas(rate, samples):
    fixed = round(rate * 2**32)
    expected = librosa_stretch(NOISE[:samples], fixed / 2**32)
    ours = phase_vocoder.stretch(NOISE[:samples], fixed, len(expected), lambda: None)
    np.testing.assert_allclose(ours, expected, atol=1e-9)


@pytest.mark.parametrize("rate", [0.5, 0.8, 1.25, 2.0])
def test_a_stretched_tone_keeps_its_pitch_and_gets_its_length(rate):
    stream = open_clips([{"op": "time_stretch", "rate": rate}], [tone(12_000), tone(1)], seconds=3.5)
    result = batch(stream)
    length = round(12_000 / rate)
    assert result["lengths"].tolist() == [length, int(1 / rate + 0.5)]
    assert not result["audio"][0, length:].any()
    assert abs(cents(result["audio"][0, 2000 : length - 2000], 440.0)) < 0.1
    assert batch(open_clips([{"op": "time_stretch", "rate": rate}], [tone(12_000)]))["lengths"] == [min(length, 12_000)]


@pytest.mark.parametrize("semitones", [-12, -3.5, 4, 12])
def test_a_shifted_tone_has_another_pitch_and_its_length(semitones):
    result, _ = through([{"op": "pitch_shift", "semitones": semitones}], tone(12_000), tone(700), np.zeros(500))
    assert abs(cents(result[0][2000:-2000], 440 * 2 ** (semitones / 12))) < 0.1
    assert not result[1][700:].any() and not result[2].any()
    assert result[0].std() == pytest.approx(tone().std(), rel=0.15)


@pytest.mark.parametrize("step", [{"op": "time_stretch", "rate": 1}, {"op": "pitch_shift", "semitones": 0}], ids=str)
def test_without_a_change_a_clip_is_itself(step):
    clips = [NOISE, np.array([np.inf, -1.0], np.float32), np.zeros(0)]
    result = batch(open_clips([step], clips))["audio"]
    assert result[0].tobytes() == NOISE.tobytes() and np.isfinite(result).all()


def test_later_steps_see_the_new_length_and_earlier_ones_come_first():
    steps = [{"op": "gain", "gain": -6}, {"op": "time_stretch", "rate": 2.0}, {"op": "reverse", "p": 1.0}]
    result, _ = through(steps, NOISE)
    expected = phase_vocoder.stretch(NOISE * np.float32(10**-0.3), 2 << 32, 4500, lambda: None)[::-1]
    np.testing.assert_allclose(result[0][:4500], expected, atol=1e-6)
    assert not result[0][4500:].any()
