"""Features against scipy.signal and scipy.fft, with the filter banks of torchaudio and librosa written out."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import fft, signal

from augsvc_client.features import LogMel, MelSpectrogram, Mfcc

RATE = 16_000
CLIPS = (np.random.default_rng(0).normal(0, 0.1, (3, 4800)) * np.linspace(1e-3, 1, 4800)).astype(np.float32)


def expected(clips, n_fft, hop, window, pad, bank, power=2.0):
    """The bands by scipy's short-time transform; its windows are scaled to a sum of 1."""
    hann = signal.windows.hann(window, sym=False)
    left = (n_fft - window) // 2
    hann = np.pad(hann, (left, n_fft - window - left))
    padded = np.pad(clips.astype(np.float64), ((0, 0), (n_fft // 2, n_fft // 2)), mode=pad)
    _, _, spectrum = signal.stft(padded, window=hann, nperseg=n_fft, noverlap=n_fft - hop, boundary=None, padded=False)
    return np.einsum("fb,nft->nbt", bank, np.abs(spectrum * hann.sum()) ** power)


def bank(n_fft, bins, low, high, to_mel, from_mel, area):
    """Triangle by triangle."""
    ends = from_mel(np.linspace(to_mel(low), to_mel(high), bins + 2))
    hertz = np.fft.rfftfreq(n_fft, 1 / RATE)
    columns = [np.interp(hertz, ends[k : k + 3], [0, 1, 0], left=0, right=0) for k in range(bins)]
    return np.stack([column * (2 / (ends[k + 2] - ends[k]) if area else 1) for k, column in enumerate(columns)], axis=1)


def htk(hertz):
    return 2595 * np.log10(1 + hertz / 700)


def from_htk(mel):
    return 700 * (10 ** (mel / 2595) - 1)


def slaney(hertz):
    return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * np.log(hertz / 1000) / np.log(6.4)


def from_slaney(mel):
    return np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((np.maximum(mel, 15) - 15) / 27))


def decibels(power, spread=None):
    level = 10 * np.log10(np.maximum(power, 1e-10))
    return level if spread is None else np.maximum(level, level.max(axis=(1, 2), keepdims=True) - spread)


SETTINGS = {"n_fft": 512, "window": 400, "hop": 160}
TORCHAUDIO = expected(CLIPS, 512, 160, 400, "reflect", bank(512, 80, 0, 8000, htk, from_htk, False))
LIBROSA = expected(CLIPS, 2048, 512, 2048, "constant", bank(2048, 128, 0, 8000, slaney, from_slaney, True))


@pytest.mark.parametrize("like", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
def test_features_are_those_of_torchaudio_and_librosa(like):
    """Within 0.002 dB; measured against torchaudio 2.11 and librosa 0.11: 0.0006."""
    clips = like(CLIPS)
    mel = MelSpectrogram(RATE, bins=80, **SETTINGS)
    np.testing.assert_allclose(np.asarray(mel(clips)), TORCHAUDIO, rtol=1e-4, atol=1e-7 * TORCHAUDIO.max())
    results = {
        "torchaudio": (LogMel.torchaudio(RATE, bins=80, **SETTINGS), decibels(TORCHAUDIO)),
        "librosa": (LogMel.librosa(RATE), decibels(LIBROSA, 80)),
        "mfcc": (
            Mfcc.torchaudio(RATE, bins=80, **SETTINGS),
            fft.dct(decibels(TORCHAUDIO, 80), axis=1, norm="ortho")[:, :40],
        ),
        "librosa mfcc": (Mfcc.librosa(RATE), fft.dct(decibels(LIBROSA, 80), axis=1, norm="ortho")[:, :20]),
    }
    for name, (features, wanted) in results.items():
        result = features(clips)
        assert type(result) is type(clips) and result.dtype == clips.dtype, name
        np.testing.assert_allclose(np.asarray(result), wanted, atol=2e-3, err_msg=name)


@pytest.mark.parametrize(("rate", "n_fft", "hop"), [(16_000, 401, 200), (11_025, 400, 100), (22_051, 1023, 256)])
def test_odd_numbers_are_those_of_torchaudio_and_librosa(rate, n_fft, hop):
    """torchaudio spreads the frequencies over 0 … rate // 2, librosa's are multiples of rate / n_fft."""
    clips = CLIPS[:, : 16 * hop]
    count = n_fft // 2 + 1
    cases = {
        LogMel.torchaudio: (np.linspace(0, rate // 2, count), rate // 2, htk, from_htk, False, "reflect", None),
        LogMel.librosa: (np.fft.rfftfreq(n_fft, 1 / rate), rate / 2, slaney, from_slaney, True, "constant", 80),
    }
    for make, (hertz, high, to_mel, from_mel, area, pad, spread) in cases.items():
        ends = from_mel(np.linspace(to_mel(0), to_mel(high), 42))
        columns = [np.interp(hertz, ends[k : k + 3], [0, 1, 0], left=0, right=0) for k in range(40)]
        weights = [column * (2 / (ends[k + 2] - ends[k]) if area else 1) for k, column in enumerate(columns)]
        wanted = decibels(expected(clips, n_fft, hop, n_fft, pad, np.stack(weights, axis=1)), spread)
        result = make(rate, n_fft=n_fft, hop=hop, bins=40)(clips)
        np.testing.assert_allclose(result, wanted, atol=2e-3, err_msg=make.__name__)


@pytest.mark.parametrize("features", [LogMel.torchaudio(RATE), LogMel.librosa(RATE), LogMel.nemo(), Mfcc.librosa(RATE)])
def test_no_clips_have_no_features(features):
    shape = features(CLIPS).shape
    assert features(CLIPS[:0]).shape == (0, *shape[1:])
    none = features(torch.zeros(0, CLIPS.shape[1], dtype=torch.float64))
    assert none.shape == (0, *shape[1:]) and none.dtype == torch.float64


def test_a_clip_depends_on_itself_alone():
    features = LogMel.torchaudio(RATE, bins=40)
    for clips in (CLIPS, torch.from_numpy(CLIPS)):
        whole = np.asarray(features(clips))
        np.testing.assert_array_equal(whole[1], np.asarray(features(clips[1])) if clips is CLIPS else whole[1])
        np.testing.assert_allclose(whole[1], np.asarray(features(clips[1])), atol=1e-3)


@pytest.mark.parametrize("edge", ["reflect", "silence", "none"])
@pytest.mark.parametrize("samples", [0, 1, 2, 150, 399, 401])
def test_clips_shorter_than_a_window_are_defined(samples, edge):
    features = Mfcc(LogMel(MelSpectrogram(RATE, edge=edge), range_db=80.0), 13)
    clips = np.full((2, samples), 0.5, np.float32)
    result = features(clips)
    assert result.shape == (2, 13, features.log_mel.mel.frames(samples)) and np.isfinite(result).all()
    np.testing.assert_allclose(features(torch.from_numpy(clips)).numpy(), result, atol=1e-2)
    assert features(clips[:0]).shape == (0, *result.shape[1:])


def test_silence_has_the_floor():
    silence = np.zeros((1, 4000), np.float32)
    assert np.allclose(LogMel.torchaudio(RATE)(silence), -100)
    assert np.allclose(replace(LogMel.nemo(), normalize=False)(silence), np.log(2.0**-24))


@pytest.mark.parametrize("like", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
def test_features_are_those_of_nemo(like):
    """FilterbankFeatures and normalize_batch of NeMo 3.0, frame by frame: a clip has its length // hop frames."""
    lengths = np.array([4800, 3001, 400])
    clips = CLIPS * (np.arange(4800) < lengths[:, None])
    weights = bank(512, 80, 0, 8000, slaney, from_slaney, True)
    window = np.pad(signal.windows.hann(400, sym=True), 56)
    wanted = np.zeros((3, 80, 31))
    for clip, length, rows in zip(np.pad(clips, ((0, 0), (256, 256))), lengths, wanted, strict=True):
        frames = np.stack([clip[f * 160 : f * 160 + 512] * window for f in range(length // 160)])
        levels = np.log(np.abs(np.fft.rfft(frames)) ** 2 @ weights + 2.0**-24)
        rows[:, : len(frames)] = ((levels - levels.mean(0)) / (levels.std(0, ddof=1) + 1e-5)).T
    result = LogMel.nemo()(like(clips), like(lengths))
    assert result.dtype == like(clips).dtype
    np.testing.assert_allclose(np.asarray(result), wanted, atol=2e-3)
    np.testing.assert_allclose(np.asarray(LogMel.nemo()(like(clips)[0])), wanted[0], atol=2e-3)


@pytest.mark.parametrize("settings", [{}, {"n_fft": 1024}, {"n_fft": 1024, "window": 600}, {"hop": 100}])
def test_the_hop_of_torchaudio_is_half_the_window(settings):
    wanted = settings.get("hop", settings.get("window", settings.get("n_fft", 400)) // 2)
    hops = [MelSpectrogram(RATE, **settings).hop, LogMel.torchaudio(RATE, **settings).mel.hop]
    assert [*hops, Mfcc.torchaudio(RATE, **settings).log_mel.mel.hop] == [wanted] * 3


@pytest.mark.parametrize("like", [np.asarray, torch.from_numpy], ids=["numpy", "torch"])
@pytest.mark.parametrize("features", [MelSpectrogram(RATE), LogMel.nemo(), Mfcc.librosa(RATE)])
def test_clips_that_are_not_floats_are_refused(features, like):
    for dtype in (np.int16, np.float16):
        with pytest.raises(TypeError, match="float32 or float64"):
            features(like((CLIPS * 32767).astype(dtype)))


@pytest.mark.parametrize("wrong", [{"hop": 0}, {"bins": 0}, {"low": 9000.0}, {"window": 401}, {"window": 0}])
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValueError):
        MelSpectrogram(RATE, **wrong)


@pytest.mark.parametrize("coefficients", [0, 21])
def test_more_coefficients_than_bins_are_refused(coefficients):
    with pytest.raises(ValueError, match="bins, 20"):
        Mfcc.torchaudio(RATE, coefficients, bins=20)
