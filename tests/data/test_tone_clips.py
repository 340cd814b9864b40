"""The synthetic clips: what their labels say, heard by Fourier transforms alone."""

import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from augsvc.data.builtin.tones import CLASSES, LENGTHS, RATE, SAMPLES, Tones
from augsvc.data.cache import DecodedCache

TRAIN, TEST = Tones("train"), Tones("test")
RECIPE_1 = "57d4c3f63f98e77eab11edbe2d482bc0"
STEADY = ("sawtooth", "sine", "square", "bell", "vibrato")


def clips(source, name, most=16):
    return [index for index in range(len(source)) if CLASSES[source.labels()[index]] == name][:most]


def strongest(audio, rate=RATE):
    """The frequency (Hz) of the highest peak of the spectrum, between bins by a parabola."""
    padded = 4 * len(audio)
    power = np.log(np.abs(np.fft.rfft(audio * np.hanning(len(audio)), padded)) + 1e-12)
    top = int(power.argmax())
    left, middle, right = power[top - 1 : top + 2]
    return (top + (left - right) / (left - 2 * middle + right) / 2) * rate / padded


@pytest.mark.parametrize("name", STEADY)
def test_the_strongest_frequency_is_the_drawn_pitch(name):
    for index in clips(TRAIN, name):
        tolerance = 0.1 if name == "vibrato" else 0.003  # a vibrato swings by up to 8 %
        assert strongest(TRAIN.read(index).audio) == pytest.approx(TRAIN.pitch(index), rel=tolerance)


@pytest.mark.parametrize(("name", "direction"), [("chirp_up", 1), ("chirp_down", -1)])
def test_a_chirp_passes_its_pitch_in_the_middle_and_moves_one_way(name, direction):
    for index in clips(TRAIN, name):
        audio, pitch = TRAIN.read(index).audio, TRAIN.pitch(index)
        heard = [strongest(audio[start : start + 1600]) for start in range(0, SAMPLES, 1600)]
        assert (np.diff(heard) * direction > 0).all()
        assert strongest(audio[7200:8800]) == pytest.approx(pitch, rel=0.05)
        assert 2 < max(heard) / min(heard) < 5


def shares(audio, frequencies, width=12.0):
    """Of the clip's power, what lies within `width` Hz of each frequency."""
    power = np.abs(np.fft.rfft(audio * np.hanning(len(audio)))) ** 2
    bins = np.fft.rfftfreq(len(audio), 1 / RATE)
    return [power[np.abs(bins - frequency) <= width].sum() / power.sum() for frequency in frequencies]


def test_harmonics_are_those_of_the_class():
    for name, odd, even in (("sine", 0.0, 0.0), ("square", 1 / 9, 0.0), ("sawtooth", 1 / 9, 1 / 4)):
        for index in clips(TRAIN, name):
            audio, pitch = TRAIN.read(index).audio, TRAIN.pitch(index)
            first, second, third = shares(audio, (pitch, 2 * pitch, 3 * pitch))
            softened = 0.45  # the last harmonics of a high pitch are softer than 1/k
            assert odd * softened - 1e-4 <= third / first <= odd * 1.01 + 1e-4
            assert even * softened - 1e-4 <= second / first <= even * 1.01 + 1e-4


def test_bursts_come_two_to_five_times_and_are_of_no_pitch():
    found = set()
    for index in clips(TRAIN, "noise_burst", most=64):
        audio = TRAIN.read(index).audio.astype(np.float64)
        loudness = np.sqrt(np.add.reduceat(audio * audio, np.arange(0, SAMPLES, 160)))
        spectrum = np.abs(np.fft.rfft(loudness - loudness.mean(), 1000))[:80]
        found.add(round(int(spectrum[15:].argmax() + 15) / 10))
        assert max(shares(audio, range(50, 8000, 50), 1.0)) < 0.1
    assert found == {2, 3, 4, 5}


def test_nothing_lies_near_the_nyquist_frequency():
    for index in range(0, len(TRAIN), 7):
        if CLASSES[TRAIN.labels()[index]] != "noise_burst":
            audio = TRAIN.read(index).audio.astype(np.float64) * np.hanning(SAMPLES)
            power = np.abs(np.fft.rfft(audio)) ** 2
            assert power[7300:].sum() < 1e-7 * power.sum()


@pytest.mark.parametrize("source", [TRAIN, TEST], ids=["train", "test"])
def test_every_clip_is_within_bounds_fades_and_is_heard_once(source):
    peaks, seen = [], set()
    for index in range(len(source)):
        sample = source.read(index)
        assert sample.image is None and sample.rate == RATE and sample.label == index % len(CLASSES)
        assert sample.audio.shape == (SAMPLES,) and sample.audio.dtype == np.float32
        assert np.abs(sample.audio[[0, -1]]).max() < 0.01
        peaks.append(np.abs(sample.audio).max())
        seen.add(sample.audio.tobytes())
    assert len(seen) == len(source) == LENGTHS[source.info.name.split("/")[1]]
    assert 0.25 <= min(peaks) < 0.35 and 0.8 < max(peaks) <= 0.9
    assert abs(np.mean(source.labels() == source.labels()[0]) - 1 / len(CLASSES)) < 1e-9


def test_train_and_test_share_no_clip_nor_pitch():
    train = {TRAIN.read(index).audio.tobytes() for index in range(len(TRAIN))}
    assert not train & {TEST.read(index).audio.tobytes() for index in range(len(TEST))}
    assert not {TRAIN.pitch(i) for i in range(len(TRAIN))} & {TEST.pitch(i) for i in range(len(TEST))}


def features(source):
    """A coarse spectrogram of each clip, by its own loudness, shifted so that its pitch's place does not matter much."""
    rows = []
    for index in range(len(source)):
        frames = source.read(index).audio.astype(np.float64)[:15872].reshape(31, 512) * np.hanning(512)
        power = np.log(np.abs(np.fft.rfft(frames, axis=1)) ** 2 + 1e-8)
        rows.append((power - power.mean()).reshape(31, 257)[::5, 1::4].ravel())
    return np.array(rows)


def test_a_simple_classifier_tells_the_classes_apart():
    train, test = features(TRAIN), features(TEST)
    distances = ((test[:, None, :] - train[None, :, :]) ** 2).sum(axis=2)
    guessed = TRAIN.labels()[distances.argmin(axis=1)]
    assert (guessed == TEST.labels()).mean() > 0.8  # chance is 1/8


def test_the_info_is_known_before_anything_is_computed(monkeypatch):
    monkeypatch.setattr("augsvc.data.builtin.tones._clip", None)
    info = Tones("test").info
    assert (info.media, info.seconds, info.sample_rate, info.channels) == ("audio", 1.0, 16_000, 1)
    assert info.size is None and info.classes == CLASSES and not info.decoders
    assert len(Tones("test").labels()) == 128 and info.version != TRAIN.info.version


def test_a_clip_depends_on_its_split_and_index_alone():
    expected = [TRAIN.read(index).audio.tobytes() for index in range(24)]
    cache, wrong = DecodedCache(10 * SAMPLES * 4), []

    def work(step):
        source = Tones("train", cache)
        for turn in range(48):
            index = turn * step % 24
            if source.read(index).audio.tobytes() != expected[index]:
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(step,)) for step in (1, 5, 23)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_cache_keeps_immutable_clips():
    cache = DecodedCache(SAMPLES * 4)
    source = Tones("train", cache)
    assert source.read(5) is source.read(5)
    assert cache.n_bytes == SAMPLES * 4
    with pytest.raises(ValueError, match="read-only"):
        source.read(5).audio[0] = 1


def digest_of_clips():
    digest = hashlib.sha256()
    for source in (TRAIN, TEST):
        for index in range(64):
            digest.update(source.read(index).audio.astype("<f4").tobytes())
    return digest.hexdigest()[:32]


def test_the_recipe_has_not_changed():
    """Another digest is another dataset: raise RECIPE with it."""
    assert digest_of_clips() == RECIPE_1


def test_equal_without_the_cpus_extensions():
    """In a separate process: NumPy picks its loops once, when it is imported."""
    extensions = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    done = subprocess.run(
        [sys.executable, "-m", "tests.data.test_tone_clips"],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"NPY_DISABLE_CPU_FEATURES": " ".join(extensions)},
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode().strip() == RECIPE_1


if __name__ == "__main__":
    print(digest_of_clips())
