"""Resampling audio to the rate of a stream, and fitting clips to a length.

The resampler is soxr at its HQ setting (linear phase; up to 0.4 of the lower rate a sine keeps its amplitude to 4e-4), one
clip per call, so that a clip never depends on the other clips of a batch.
"""

from math import ceil, gcd

import numpy as np
import numpy.typing as npt
import soxr

from augsvc_client.decoding.channels import with_channels

F32 = npt.NDArray[np.float32]


# The support of the filter on either side, in samples of the source. Measured against resampling the whole clip, white noise at
# full scale: with 43 source samples per output sample the error is 2e-5 at a ratio of 384, with 128 below 1e-7.
_MARGIN, _MARGIN_PER_OUTPUT = 4096, 128


def resample(audio: F32, rate: int, wanted: int) -> F32:
    """A clip (T,) or (C, T) resampled from `rate` to `wanted` Hz: floor(T · wanted / rate + ½) samples, or as it is.

    Values are not clipped: the result may slightly exceed ±1 where the clip did not.
    """
    if rate == wanted:
        return audio
    if audio.ndim > 1:
        return np.stack([resample(channel, rate, wanted) for channel in audio])
    resampled: F32 = soxr.resample(audio, rate, wanted, quality="HQ")
    return _to_length(resampled, resampled_length(len(audio), rate, wanted))


def resampled_length(samples: int, rate: int, wanted: int) -> int:
    """floor(samples · wanted / rate + ½), in integers: the length of the result of `resample`."""
    return (2 * samples * wanted + rate) // (2 * rate)


def fit_clip(
    audio: F32, rate: int, samples: int, wanted: int, first: int | None = None, channels: int | None = None
) -> F32:
    """A clip (T,) or (C, T) resampled from `rate` to `wanted` Hz and fitted to `samples`: a longer clip is cropped, from its
    sample `first` or in the centre, a shorter one zero-padded at the end. With `channels`, as `with_channels`.

    The crop equals that of the resampled whole to within 1e-5 of full scale, at a cost that does not depend on the length of
    the clip: it is cut with a margin, starting at a source sample that coincides with an output sample. (Where the ratio of
    the rates has more than some hundred phases, as 16,000 : 15,999, the whole is less exact: the library's clock drifts by
    2^-33 of a sample per sample.)
    """
    length = resampled_length(audio.shape[-1], rate, wanted)
    start = max(0, (length - samples) // 2 if first is None else min(first, length - samples))
    if rate == wanted:
        return _to_length(_select(audio[..., start : start + samples], channels), samples)
    if length <= samples:
        return _to_length(resample(_select(audio, channels), rate, wanted), samples)
    step, phases = rate // gcd(rate, wanted), wanted // gcd(rate, wanted)
    margin = _MARGIN + _MARGIN_PER_OUTPUT * ceil(rate / wanted)
    first = max(0, start * rate // wanted - margin) // step
    last = (start + samples) * rate // wanted + margin
    part = _select(audio[..., first * step : last], channels)
    middle = resample(part, rate, wanted)[..., start - first * phases :]
    return _to_length(middle[..., :samples], samples)


def _select(audio: F32, channels: int | None) -> F32:
    return audio if channels is None else with_channels(audio, channels)


def _to_length(audio: F32, samples: int) -> F32:
    """Truncated, or zero-padded at the end."""
    missing = samples - audio.shape[-1]
    if missing <= 0:
        return audio[..., :samples]
    return np.concatenate((audio, np.zeros((*audio.shape[:-1], missing), dtype=np.float32)), axis=-1)
