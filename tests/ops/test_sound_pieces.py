"""Operations on clips that the host computes: repeated parts, offsets, overdrive, air and modulated delays, by formulas."""

import numpy as np
import pytest
from scipy import signal

from augsvc.ops.audio.filter.air_absorption import AirAbsorption, absorption
from tests.ops.test_sound import RATE, batch, open_clips, through

pytestmark = pytest.mark.usefixtures("each_executor")
CLIPS = [np.random.default_rng(k).normal(0, 0.2, 3000 - 700 * k).astype(np.float32) for k in range(4)]


def repeated(clip, drawn, mode):
    """Sample by sample: hop after hop, the newer repetition rises over the fade."""
    length = min(int(np.floor(drawn["length"] * RATE + 0.5)), len(clip))
    first = int(drawn["position"] * (len(clip) - length + 1))
    fade = min(int(np.floor(drawn["crossfade"] * RATE + 0.5)), length // 2)
    last, hop = first + length, length - fade
    end = last + int(drawn["repeats"]) * hop
    tail = clip[last:] if mode == "insert" else clip[min(end - fade, len(clip)) :]
    begins = [last - fade + k * hop for k in range(int(drawn["repeats"]))]
    layers = [(0, clip[:last])] + [(begin, clip[first:last]) for begin in begins]
    layers.append((end if mode == "insert" else end - fade, tail))
    result = np.zeros(max(begin + len(layer) for begin, layer in layers))
    for number, (begin, layer) in enumerate(layers):
        joined = number > 0 and not (mode == "insert" and number == len(layers) - 1)
        for k, value in enumerate(layer):
            weight = (k + 0.5) / fade if joined and k < fade else 1.0
            result[begin + k] = weight * value + (1 - weight) * result[begin + k]
    return result if mode == "insert" else result[: len(clip)]


@pytest.mark.parametrize("mode", ["insert", "replace"])
@pytest.mark.parametrize("crossfade", [0, [0, 0.02]])
def test_a_part_is_repeated(mode, crossfade):
    steps = [{"op": "repeat_part", "mode": mode, "length": [0.01, 0.2], "crossfade": crossfade}]
    window = {"seconds": 9000 / RATE}
    result, draws = through(steps, *CLIPS, **window)
    lengths = batch(open_clips(steps, CLIPS, **window))["lengths"]
    for clip, ours, length, drawn in zip(CLIPS, result, lengths, draws, strict=True):
        expected = repeated(clip.astype(np.float64), drawn, mode)
        assert length == len(expected) and not ours[length:].any()
        np.testing.assert_allclose(ours[:length], expected, atol=1e-6)
    assert all((lengths > [len(clip) for clip in CLIPS]) == (mode == "insert"))


@pytest.mark.parametrize("mode", ["insert", "replace"])
@pytest.mark.parametrize("samples", [0, 1, 2, 3])
def test_the_shortest_clips_can_be_repeated_and_the_window_cuts(mode, samples):
    steps = [{"op": "repeat_part", "mode": mode, "repeats": 16}]
    result = batch(open_clips(steps, [np.ones(samples), np.ones(5)]))
    assert (result["audio"].sum(axis=1) == result["lengths"]).all() and result["lengths"][1] == 5
    assert result["lengths"][0] == (5 if mode == "insert" and samples else samples)


def test_an_offset_is_added_but_not_to_silence():
    result, draws = through([{"op": "dc_shift", "shift": [-0.5, 0.5]}], *CLIPS, np.zeros(50))
    for clip, ours, drawn in zip(CLIPS, result, draws, strict=False):
        np.testing.assert_allclose(ours[: len(clip)], clip + drawn["shift"], atol=1e-7)
    assert not result[4].any()


def test_overdrive_is_that_of_sox():
    result, draws = through([{"op": "overdrive", "gain": [0, 40], "color": [0, 100]}], *CLIPS)
    for clip, ours, drawn in zip(CLIPS, result, draws, strict=True):
        driven = clip.astype(np.float64) * 10 ** (drawn["gain"] / 20) + drawn["color"] / 200
        driven = np.where(driven < -1, -2 / 3, np.where(driven > 1, 2 / 3, driven - driven**3 / 3))
        filtered = signal.lfilter([1, -1], [1, -0.995], driven)
        np.testing.assert_allclose(ours[: len(clip)], np.clip(0.5 * clip + 0.75 * filtered, -1, 1), atol=1e-6)


# ISO 9613-2:1996, table 2: dB a kilometre at octaves from 63 Hz to 8 kHz
TABLE = {
    (10, 70): (0.1, 0.4, 1.0, 1.9, 3.7, 9.7, 32.8, 117),
    (20, 70): (0.1, 0.3, 1.1, 2.8, 5.0, 9.0, 22.9, 76.6),
    (30, 70): (0.1, 0.3, 1.0, 3.1, 7.4, 12.7, 23.1, 59.3),
    (15, 20): (0.3, 0.6, 1.2, 2.7, 8.2, 28.2, 88.8, 202),
    (15, 50): (0.1, 0.5, 1.2, 2.2, 4.2, 10.8, 36.2, 129),
    (15, 80): (0.1, 0.3, 1.1, 2.4, 4.1, 8.3, 23.7, 82.8),
}


@pytest.mark.parametrize(("celsius", "humidity"), TABLE)
def test_air_absorbs_what_the_standard_tabulates(celsius, humidity):
    octaves = 1000.0 * 10.0 ** (0.3 * np.arange(-4, 4))  # the exact middles
    ours = 1000 * absorption(octaves, celsius, humidity)
    np.testing.assert_allclose(ours, TABLE[celsius, humidity], rtol=0.01, atol=0.06)


@pytest.mark.parametrize(
    ("samples", "rate", "points"), [(1, 8000, 1 << 14), (16_000, 16_000, 1 << 15), (60_000, 16_000, 1 << 16)]
)
def test_air_is_heard_through_no_more_points_than_a_clip_needs(samples, rate, points, monkeypatch):
    """Its sound is that of the same clip before a second of zeros, to the last bit or two."""
    clip, drawn = np.random.default_rng(0).normal(0, 0.2, samples).astype(np.float32), np.array([10, 30, 300]) << 32
    used, transform = [], np.fft.rfft
    monkeypatch.setattr(np.fft, "rfft", lambda part: used.append(len(part)) or transform(part))
    result = AirAbsorption().change(clip, drawn, rate, samples, lambda: None)
    assert set(used) == {points}
    longer = AirAbsorption().change(np.pad(clip, (0, 60_000)), drawn, rate, samples, lambda: None)
    np.testing.assert_allclose(result, longer[:samples], rtol=0, atol=2e-7)


def test_air_takes_high_tones_and_delays_nothing():
    clips = [0.5 * np.sin(2 * np.pi * hertz * np.arange(60000) / RATE) for hertz in (200, 1000, 3500)]
    step = {"op": "air_absorption", "temperature": 15, "humidity": 20, "distance": 100}
    result, _ = through([step], *clips)
    for clip, ours, hertz in zip(clips, result, (200.0, 1000.0, 3500.0), strict=True):
        gain = 10 ** (-100 * absorption(np.array([hertz]), 15, 20)[0] / 20)
        np.testing.assert_allclose(ours[3000:-3000], gain * clip[3000:-3000], atol=2e-5)
    same, _ = through([{"op": "air_absorption", "distance": 0}], CLIPS[0])
    assert (same[0] == CLIPS[0]).all()


def modulated(clip, drawn, mode):
    def delay(t, voice=0.0):
        angle = 2 * np.pi * (drawn["speed"] * t / RATE + drawn["phase"] + voice)
        return RATE * (drawn["delay"] + drawn["depth"] * (1 + np.sin(angle)) / 2)

    times, mix = np.arange(len(clip)), drawn["mix"]
    if mode == "phaser":
        result = clip.astype(np.float64)
        for t in times:
            source = t - max(int(np.floor(delay(t) + 0.5)), 1)
            result[t] += mix * result[source] if source >= 0 else 0.0
        return result / (1 + mix)
    voices = 3 if mode == "chorus" else 1
    with_zeros = np.concatenate((np.zeros(2), clip))
    copies = [np.interp(times - delay(times, k / voices), np.arange(-2, len(clip)), with_zeros) for k in range(voices)]
    return (clip + mix * np.mean(copies, axis=0)) / (1 + mix)


@pytest.mark.parametrize("mode", ["flanger", "chorus", "phaser"])
def test_delays_are_modulated(mode):
    result, draws = through([{"op": "modulation", "mode": mode, "delay": [0.0, 0.02]}], *CLIPS)
    for clip, ours, drawn in zip(CLIPS, result, draws, strict=True):
        np.testing.assert_allclose(ours[: len(clip)], modulated(clip, drawn, mode), atol=1e-6)
