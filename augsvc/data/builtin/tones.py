"""The embedded tones: synthetic sound, one second a clip at 16,000 Hz, computed from its index.

Eight classes, from a plain sine to bursts of noise. Pitch, phase, attack, decay, loudness and class-specific parameters vary
from clip to clip. Waves are sums of partials below 7,200 Hz, so nothing aliases. Only + − × ÷ √ on float64 in a
fixed order, rounded to float32 at the end: every machine computes the same bytes, and nothing is stored.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from augsvc.arrays import F32, F64, I64, U32, Sample
from augsvc.data.cache import DecodedCache
from augsvc.data.source import Source, SourceInfo, Split
from augsvc.numerics import exact
from augsvc.numerics.rng import PAINT_KEY, PIXEL_BLOCK, philox4x32

CLASSES = ("bell", "chirp_down", "chirp_up", "noise_burst", "sawtooth", "sine", "square", "vibrato")
RATE = 16_000  # Hz
SAMPLES = 16_000
LENGTHS = {"train": 512, "test": 128}
LOWEST, OCTAVES = 150.0, 3.0  # pitches lie in 150…1,200 Hz, evenly by octave
RECIPE = 1  # part of the dataset version: increment when the waveforms change

_KEY = (0x546F6E65, 0x732F3031)
_WORDS = 16  # per clip: one random number each
_PITCH, _PHASE, _ATTACK, _DECAY, _PEAK, _OWN = 0, 1, 2, 3, 4, 5  # indices; from _OWN on, the parameters of the class
_BLOCK = (
    128  # samples; a wave is an outer product of two short ones (angle addition), 20 times faster than all its sines
)
_TOP = 7_200.0  # Hz, of the highest partial
_MOST_HARMONICS = 40
_FADE = 128  # samples at either end: 8 ms
_LN2 = 0.6931471805599453
_DEGREES = 57.29577951308232  # 180 / π
_BELL = ((0.56, 0.45), (1.0, 1.0), (1.19, 0.5), (1.71, 0.35), (2.0, 0.5), (2.74, 0.3), (3.76, 0.2))  # ratio, weight
_TIME: F64 = np.arange(SAMPLES, dtype=np.float64) / RATE  # seconds
_RAMP: F64 = (np.arange(_FADE, dtype=np.float64) + 0.5) / _FADE


class Tones(Source):
    """One split; a clip is a pure function of (split, index), and its class is index % 8."""

    def __init__(self, split: Split, cache: DecodedCache | None = None) -> None:
        self._split = split
        self._cache = DecodedCache(0) if cache is None else cache
        form = {"format": "tones", "split": split, "classes": CLASSES, "samples": LENGTHS[split], "recipe": RECIPE}
        self.info = SourceInfo(
            name=f"tones/{split}",
            version=hashlib.sha256(json.dumps(form).encode()).hexdigest(),
            classes=CLASSES,
            channels=1,
            size=None,
            media="audio",
            seconds=SAMPLES / RATE,
            sample_rate=RATE,
        )

    def __len__(self) -> int:
        return LENGTHS[self._split]

    def read(self, index: int) -> Sample:
        """The clip, its peak between 0.25 and 0.9 of full scale; never fails for an index of the dataset."""
        return self._cache.get_or_make((self.info.name, index), lambda: _clip(self._split, index))

    def labels(self) -> I64:
        """The class of every clip (len,)."""
        return np.arange(len(self), dtype=np.int64) % len(CLASSES)

    def pitch(self, index: int) -> float:
        """The clip's pitch in Hz: for a chirp at its middle, for a bell of its strongest partial; noise has none."""
        return float(_pitch(_numbers(self._split, index)))

    def describe(self, index: int) -> str:
        """The clip's number."""
        return f"clip {index}"


def _clip(split: Split, index: int) -> Sample:
    numbers = _numbers(split, index)
    label = index % len(CLASSES)
    wave = _noise_burst(numbers, split, index) if CLASSES[label] == "noise_burst" else _WAVES[CLASSES[label]](numbers)
    wave = wave * _envelope(numbers)
    audio: F32 = (wave * ((0.25 + 0.65 * numbers[_PEAK]) / np.abs(wave).max())).astype(np.float32)
    audio.setflags(write=False)  # the cache shares it
    return Sample(image=None, label=label, audio=audio, rate=RATE)


def _numbers(split: Split, index: int) -> F64:
    """A clip's random numbers (16,) on [0, 1)."""
    words: U32 = np.stack(philox4x32((np.arange(_WORDS // 4), PAINT_KEY, index, int(split == "test")), _KEY), axis=-1)
    return words.ravel().astype(np.float64) / 2.0**32


def _pitch(numbers: F64) -> F64:
    return np.asarray(LOWEST * exact.exp(np.asarray(OCTAVES * _LN2 * numbers[_PITCH])))


def _envelope(numbers: F64) -> F64:
    """A smooth attack of 5…60 ms, a decay by up to e^-2, and a fade at the very ends."""
    attack = np.minimum(1.0, _TIME / (0.005 + 0.055 * numbers[_ATTACK]))
    envelope = attack * attack * (3.0 - 2.0 * attack) * _decay(2.0 * numbers[_DECAY])
    envelope[:_FADE] *= _RAMP
    envelope[-_FADE:] *= _RAMP[::-1]
    return np.asarray(envelope)


def _decay(rate: float) -> F64:
    """e^(−rate · t), all samples (T,)."""
    rows, columns = _TIME[::_BLOCK, None], _TIME[None, :_BLOCK]
    return (exact.exp(-rate * rows) * exact.exp(-rate * columns)).ravel()


def _turning(frequency: float, phase: float) -> tuple[F64, F64]:
    """Sine and cosine (T,) of 360° · frequency (Hz) · t + phase (degrees)."""
    sin_row, cos_row = exact.sincos(360.0 * frequency * _TIME[::_BLOCK, None] + phase)
    sin_column, cos_column = exact.sincos(360.0 * frequency * _TIME[None, :_BLOCK])
    sine = sin_row * cos_column + cos_row * sin_column
    cosine = cos_row * cos_column - sin_row * sin_column
    return sine.ravel(), cosine.ravel()


def _partials(sine: F64, cosine: F64, weights: Sequence[float]) -> F64:
    """Σ weights[k − 1] · sin kθ, by sin (k+1)θ = 2 cos θ sin kθ − sin (k−1)θ."""
    twice, before, now = 2.0 * cosine, np.zeros_like(sine), sine
    total = weights[0] * sine
    for weight in weights[1:]:
        before, now = now, twice * now - before
        if weight:
            total += weight * now
    return total


def _harmonics(numbers: F64, every: int) -> F64:
    """Every `every`-th harmonic k with amplitude 1/k, tapered towards the last one: edges without ringing."""
    pitch = float(_pitch(numbers))
    count = min(_MOST_HARMONICS, int(_TOP / pitch))
    weights = [(1.0 - (k / (count + 1)) ** 2) / k if k % every == 1 % every else 0.0 for k in range(1, count + 1)]
    return _partials(*_turning(pitch, 360.0 * numbers[_PHASE]), weights)


def _chirp(numbers: F64, direction: float) -> F64:
    """From pitch · (1 − direction · width) to pitch · (1 + direction · width), evenly in Hz; with an octave above."""
    pitch, slope = float(_pitch(numbers)), direction * (0.4 + 0.3 * numbers[_OWN])
    turns = pitch * ((1.0 - slope) * _TIME + slope * (_TIME * _TIME))
    return _partials(*exact.sincos(360.0 * turns + 360.0 * numbers[_PHASE]), (1.0, 0.3))


def _vibrato(numbers: F64) -> F64:
    """A tone with a vibrato of 4…8 Hz and a depth of 4…8 %."""
    pitch, swings, depth = float(_pitch(numbers)), 4.0 + 4.0 * numbers[_OWN], 0.04 + 0.04 * numbers[_OWN + 1]
    swing, _ = _turning(swings, 360.0 * numbers[_OWN + 2])
    degrees = 360.0 * (pitch * _TIME + numbers[_PHASE]) + (_DEGREES * pitch * depth / swings) * swing
    return _partials(*exact.sincos(degrees), (1.0, 0.5, 0.25))


def _bell(numbers: F64) -> F64:
    """Inharmonic partials; the higher ones decay faster."""
    pitch, rate = float(_pitch(numbers)), 2.0 + 3.0 * numbers[_OWN]
    total = np.zeros(SAMPLES)
    for place, (ratio, weight) in enumerate(_BELL):
        phase = 360.0 * numbers[_OWN + 1 + place]
        total += weight * _turning(pitch * ratio, phase)[0] * _decay(rate * ratio)
    return total


def _noise_burst(numbers: F64, split: Split, index: int) -> F64:
    """Two to five decaying bursts of noise, smoothed twice by a moving average over 1…6 samples, in integers."""
    counter = (PIXEL_BLOCK + np.arange((SAMPLES + 16) // 8), PAINT_KEY, index, int(split == "test"))
    words: U32 = np.stack(philox4x32(counter, _KEY), axis=-1)
    noise = words.astype("<u4").view("<u2").ravel().astype(np.int64) - 32768
    width = 1 + int(6.0 * numbers[_OWN])
    for _ in range(2):
        sums = np.cumsum(noise)
        noise = sums[width:] - sums[:-width]
    bursts = 2.0 + np.floor(4.0 * numbers[_OWN + 1])
    since = _TIME * bursts
    since = (since - np.floor(since)) / bursts
    fall = exact.exp(-(15.0 + 25.0 * numbers[_OWN + 2]) * since) * np.minimum(1.0, since / 0.003)
    return np.asarray(noise[:SAMPLES].astype(np.float64) * fall)


_WAVES: Mapping[str, Callable[[F64], F64]] = MappingProxyType(
    {
        "bell": _bell,
        "chirp_down": lambda numbers: _chirp(numbers, -1.0),
        "chirp_up": lambda numbers: _chirp(numbers, 1.0),
        "sawtooth": lambda numbers: _harmonics(numbers, 1),
        "sine": lambda numbers: _turning(float(_pitch(numbers)), 360.0 * numbers[_PHASE])[0],
        "square": lambda numbers: _harmonics(numbers, 2),
        "vibrato": _vibrato,
    }
)
