"""Features of clips: mel spectrograms and cepstral coefficients, of NumPy arrays or torch tensors by the same formulas.

    log_mel = LogMel.torchaudio(16000, bins=80)
    features = apply_spec_masks(log_mel(batch["audio"]), batch, log_mel.mel.hop)

A clip's features depend on that clip alone. Padding gives the features of silence, or zeros with `normalize`;
`MelSpectrogram.frames` gives the number of frames of a clip.
"""

import sys
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Clips = Any  # (N, T) or (T,), floats: numpy.ndarray or torch.Tensor; features are of the same type

_SLANEY_CORNER, _SLANEY_STEP = 1000.0, 200.0 / 3.0  # Hz: linear below the corner, then 27 steps for a factor of 6.4
_SLANEY_LOG_STEP = np.log(6.4) / 27.0


@dataclass(frozen=True)
class MelSpectrogram:
    """Triangular bands over the power spectra of frames under a Hann window. Defaults: those of torchaudio.

    Args:
        rate: of the clips, in Hz.
        n_fft: samples of a frame.
        hop: samples from frame to frame (default: half the window).
        bins: bands, from `low` to `high` Hz (default: half the rate; see `spread`).
        window: samples of the Hann window, in the middle of a frame (default: n_fft).
        power: 2 for power, 1 for magnitude.
        scale: the mel scale, `htk` (O'Shaughnessy's) or `slaney` (Slaney's Auditory Toolbox).
        area: whether each band has the same area, as with `norm="slaney"`, or the same height.
        edge: a frame's middle lies on its sample, and what it has beyond the ends is reflected, or silence; or `none`: frames lie
            within the clip, and a clip shorter than one is followed by silence.
        symmetric: whether the window's two ends are both 0, as scipy's `hann(window, sym=True)`, or it is periodic.
        spread: whether frequencies are spread evenly over 0 … rate // 2, as torchaudio's, or are multiples of rate / n_fft, as
            librosa's; they differ where the rate or `n_fft` is odd. The default of `high` is rate // 2, or rate / 2.

    Raises:
        ValueError: a number is out of its range.
    """

    rate: int
    n_fft: int = 400
    hop: int = None  # type: ignore[assignment] # __post_init__ sets it
    bins: int = 128
    low: float = 0.0
    high: float = None  # type: ignore[assignment] # so this
    window: int | None = None
    power: float = 2.0
    scale: Literal["htk", "slaney"] = "htk"
    area: bool = False
    edge: Literal["reflect", "silence", "none"] = "reflect"
    symmetric: bool = False
    spread: bool = True

    def __post_init__(self) -> None:
        if self.hop is None:
            object.__setattr__(self, "hop", (self.n_fft if self.window is None else self.window) // 2)
        if self.high is None:
            object.__setattr__(self, "high", self.rate // 2 if self.spread else self.rate / 2)
        if min(self.rate, self.n_fft, self.hop, self.bins) < 1 or not 0 <= self.low < self.high:
            raise ValueError("rate, n_fft, hop and bins are 1 or more, and low is below high, 0 or more")
        if self.window is not None and not 1 <= self.window <= self.n_fft:
            raise ValueError(f"window is 1 to n_fft samples, {self.n_fft}")

    def frames(self, samples: Any) -> Any:
        """The frames of clips of that many samples, a number or an array."""
        around = 0 if self.edge == "none" else 2 * (self.n_fft // 2)
        return 1 + np.maximum(samples + around - self.n_fft, 0) // self.hop

    def __call__(self, clips: Clips) -> Any:
        """The spectrogram (N, bins, frames) of clips (N, T), (N, C, bins, frames) of (N, C, T), or (bins, frames) of one (T,).

        Raises:
            TypeError: the clips are neither float32 nor float64, which the features would be rounded to.
        """
        if str(clips.dtype).rpartition(".")[2] not in ("float32", "float64"):
            raise TypeError(f"clips must be float32 or float64 on [-1, 1], not {clips.dtype}: divide int16 by 32768.0")
        if clips.ndim == 1:
            return self(clips[None])[0]
        if clips.ndim == 3:
            return _by_channel(self(clips.reshape(-1, clips.shape[2])), clips)
        if isinstance(clips, np.ndarray):  # one by one: the frames of all would take n_fft / hop times their memory
            spectra = [self._bands(clip[None], np) for clip in clips]
            empty = np.zeros((0, self.bins, self.frames(clips.shape[1])), clips.dtype)
            return np.concatenate([empty, *spectra])
        if not len(clips):  # torch's transform refuses none
            return clips.new_zeros((0, self.bins, int(self.frames(clips.shape[1]))))
        return self._bands(clips, sys.modules["torch"])

    def _bands(self, clips: Clips, xp: Any) -> Any:
        index, inside = self._positions(int(clips.shape[1]))
        if not clips.shape[1]:
            clips = xp.zeros_like(_like(np.zeros((len(clips), 1)), clips))
        frames = clips[:, _like(index, clips, whole=True)] * _like(inside * self._hann, clips)
        spectra = xp.abs(xp.fft.rfft(frames)) ** self.power
        return xp.swapaxes(spectra @ _like(self.filters, clips), 1, 2)

    def _positions(self, samples: int) -> tuple[I64, F64]:
        """The sample (frames, n_fft) that each value of a frame is, and whether it is one: 1 or 0."""
        first = 0 if self.edge == "none" else -(self.n_fft // 2)
        position = first + np.arange(self.frames(samples))[:, None] * self.hop + np.arange(self.n_fft)
        if self.edge != "reflect":
            inside = (position >= 0) & (position < samples)
            return np.where(inside, position, 0), inside.astype(np.float64)
        period = max(2 * samples - 2, 1)
        folded = position % period if samples > 1 else np.zeros_like(position)
        return np.minimum(folded, period - folded) if samples > 1 else folded, np.full(
            position.shape, float(samples > 0)
        )

    @cached_property
    def _hann(self) -> F64:
        length = self.window or self.n_fft
        left = (self.n_fft - length) // 2
        period = length - self.symmetric
        hann = 0.5 - 0.5 * np.cos(np.arange(length) * (2 * np.pi / period)) if length > 1 else np.ones(1)
        return np.pad(hann, (left, self.n_fft - length - left))

    @cached_property
    def filters(self) -> F64:
        """The weights (n_fft // 2 + 1, bins) of frequencies in bands."""
        ends = _from_mel(
            np.linspace(_to_mel(self.low, self.scale), _to_mel(self.high, self.scale), self.bins + 2), self.scale
        )
        count = self.n_fft // 2
        top = self.rate // 2 if self.spread else count * self.rate / self.n_fft
        frequencies = np.linspace(0.0, top, count + 1)[:, None]
        width = np.maximum(np.diff(ends), 1e-12)
        rising, falling = (frequencies - ends[:-2]) / width[:-1], (ends[2:] - frequencies) / width[1:]
        weights = np.maximum(np.minimum(rising, falling), 0.0)
        return weights * (2.0 / (ends[2:] - ends[:-2])) if self.area else weights


@dataclass(frozen=True)
class LogMel:
    """The logarithm of a mel spectrogram.

    Args:
        mel: the spectrogram.
        unit: `db` (10 · log10 of power), `ln` or `log10`.
        floor: the least value; with `add` it is added instead.
        range_db: how far below a clip's largest value the others end, in dB; None: anywhere.
        normalize: whether each band has mean 0 and standard deviation 1 over a clip's first `length // hop` frames; those after
            them are 0, as in NeMo's `normalize_batch` with `per_feature`.
    """

    mel: MelSpectrogram
    unit: Literal["db", "ln", "log10"] = "db"
    floor: float = 1e-10
    add: bool = False
    range_db: float | None = None
    normalize: bool = False

    @classmethod
    def torchaudio(cls, rate: int, **settings: Any) -> "LogMel":
        """transforms.MelSpectrogram, then AmplitudeToDB."""
        return cls(MelSpectrogram(rate, **settings))

    @classmethod
    def librosa(cls, rate: int, **settings: Any) -> "LogMel":
        """feature.melspectrogram, then power_to_db."""
        own = {"n_fft": 2048, "hop": 512, "scale": "slaney", "area": True, "edge": "silence", "spread": False}
        return cls(MelSpectrogram(rate, **{**own, **settings}), range_db=80.0)

    @classmethod
    def nemo(cls, rate: int = 16000, **settings: Any) -> "LogMel":
        """NeMo's AudioToMelSpectrogramPreprocessor as its Conformers set it (features.py of version 3.0), without dither.

        `preemphasis` is an operation of the pipeline. Call the result with a batch's `lengths`, where it has them.
        """
        length = rate // 40
        n_fft = max(512, 1 << (length - 1).bit_length())
        window = {"n_fft": n_fft, "window": length, "hop": rate // 100, "symmetric": True, "edge": "silence"}
        own = {**window, "bins": 80, "scale": "slaney", "area": True, "spread": False}
        return cls(MelSpectrogram(rate, **{**own, **settings}), "ln", 2.0**-24, add=True, normalize=True)

    def __call__(self, clips: Clips, lengths: Any = None) -> Any:
        """Features (N, bins, frames) of clips (N, T), (N, C, bins, frames) of (N, C, T), or (bins, frames) of one.

        Args:
            clips: floats on [-1, 1].
            lengths: samples (N,) of each clip before its padding, for `normalize` (default: T).

        Raises:
            TypeError: the clips are not floats.
        """
        if clips.ndim == 1:
            return self(clips[None], None if lengths is None else [lengths])[0]
        if clips.ndim == 3:
            each = None if lengths is None else [length for length in lengths for _ in range(clips.shape[1])]
            return _by_channel(self(clips.reshape(-1, clips.shape[2]), each), clips)
        values = self._logarithms(clips)
        if not self.normalize:
            return values
        samples = np.full(len(clips), clips.shape[1]) if lengths is None else lengths
        return _normalize_bands(values, _like(samples, values, whole=True) // self.mel.hop)

    def _logarithms(self, clips: Clips) -> Any:
        power = self.mel(clips)
        xp = np if isinstance(power, np.ndarray) else sys.modules["torch"]
        raised = power + self.floor if self.add else xp.clip(power, self.floor, None)
        values = xp.log(raised) if self.unit == "ln" else xp.log10(raised)
        values = 10.0 * values if self.unit == "db" else values
        if self.range_db is None:
            return values
        spread = self.range_db * {"db": 1.0, "log10": 0.1, "ln": np.log(10.0) / 10.0}[self.unit]
        return xp.maximum(values, xp.amax(values, (-2, -1), keepdims=True) - spread)


def _by_channel(features: Any, clips: Clips) -> Any:
    """Features (N · C, …) of clips (N, C, T) as (N, C, …)."""
    return features.reshape(clips.shape[0], clips.shape[1], *features.shape[1:])


def _normalize_bands(values: Any, frames: Any) -> Any:
    """Subtracts the mean of a band's first `frames` values, and divides by their standard deviation (of frames − 1) + 1e-5."""
    inside = _like(np.arange(values.shape[-1]), values, whole=True) < frames[:, None, None]
    count = frames[:, None, None].clip(1, None)
    mean = (values * inside).sum(-1, keepdims=True) / _like(count, values)
    centred = (values - mean) * inside
    variance = (centred**2).sum(-1, keepdims=True) / _like((count - 1).clip(1, None), values)
    return centred / (variance**0.5 + 1e-5)


@dataclass(frozen=True)
class Mfcc:
    """Cepstral coefficients: the orthonormal DCT-II over the bands of a log-mel spectrogram, its first `coefficients`.

    Raises:
        ValueError: there are fewer bands than coefficients.
    """

    log_mel: LogMel
    coefficients: int = 40

    def __post_init__(self) -> None:
        if not 1 <= self.coefficients <= self.log_mel.mel.bins:
            raise ValueError(f"coefficients are 1 to the number of bins, {self.log_mel.mel.bins}")

    @classmethod
    def torchaudio(cls, rate: int, coefficients: int = 40, **settings: Any) -> "Mfcc":
        """transforms.MFCC, each clip's range of 80 dB by itself, where torchaudio takes that of the batch."""
        return cls(LogMel(MelSpectrogram(rate, **settings), range_db=80.0), coefficients)

    @classmethod
    def librosa(cls, rate: int, coefficients: int = 20, **settings: Any) -> "Mfcc":
        """feature.mfcc."""
        return cls(LogMel.librosa(rate, **settings), coefficients)

    def __call__(self, clips: Clips) -> Any:
        """Coefficients (N, coefficients, frames) of clips (N, T), or as LogMel."""
        features = self.log_mel(clips)
        return _like(self._cosines, features) @ features

    @cached_property
    def _cosines(self) -> F64:
        bins = self.log_mel.mel.bins
        angles = np.pi / bins * np.arange(self.coefficients)[:, None] * (np.arange(bins) + 0.5)
        scale: F64 = np.full(self.coefficients, np.sqrt(2.0 / bins))
        scale[:1] = np.sqrt(1.0 / bins)
        cosines: F64 = np.cos(angles) * scale[:, None]
        return cosines


def _like(constant: npt.ArrayLike, clips: Clips, whole: bool = False) -> Any:
    """A constant as an array or tensor of the clips' type, on their device; `whole` for indices."""
    if isinstance(clips, np.ndarray):
        return np.asarray(constant, np.int64 if whole else clips.dtype)
    torch = sys.modules["torch"]
    return torch.as_tensor(constant, dtype=torch.int64 if whole else clips.dtype, device=clips.device)


def _to_mel(hertz: float, scale: str) -> float:
    if scale == "htk":
        return float(2595.0 * np.log10(1.0 + hertz / 700.0))
    if hertz < _SLANEY_CORNER:
        return hertz / _SLANEY_STEP
    return float(_SLANEY_CORNER / _SLANEY_STEP + np.log(hertz / _SLANEY_CORNER) / _SLANEY_LOG_STEP)


def _from_mel(mel: F64, scale: str) -> F64:
    if scale == "htk":
        return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    beyond = np.maximum(mel - _SLANEY_CORNER / _SLANEY_STEP, 0.0)
    return np.where(beyond > 0, _SLANEY_CORNER * np.exp(beyond * _SLANEY_LOG_STEP), mel * _SLANEY_STEP)
