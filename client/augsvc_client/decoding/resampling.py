"""Sound on another grid: resampling to a stream's rate, and fitting a clip to a length.

The resampler is soxr in its HQ setting (linear phase; up to 0.4 of the lower rate a sine keeps its height to 4e-4), one
clip a call, so that a clip never depends on its company.
"""

from math import ceil, gcd

import numpy as np
import numpy.typing as npt
import soxr

F32 = npt.NDArray[np.float32]


# What the filter reaches on either side, in samples of the source. Measured against resampling the whole, white noise at
# full scale: 43 source samples per output sample are off by 2e-5 at a ratio of 384, 128 by less than 1e-7.
_MARGIN, _MARGIN_PER_OUTPUT = 4096, 128


def resample(audio: F32, rate: int, wanted: int) -> F32:
    """A clip (T,) of `rate` samples a second at `wanted` ones: floor(T · wanted / rate + ½) samples; itself if equal.

    Nothing is clipped: what was within ±1 may swing beyond it a little.
    """
    if rate == wanted:
        return audio
    resampled: F32 = soxr.resample(audio, rate, wanted, quality="HQ")
    return _to_length(resampled, resampled_length(len(audio), rate, wanted))


def resampled_length(samples: int, rate: int, wanted: int) -> int:
    """floor(samples · wanted / rate + ½), in integers: how long `resample` makes a clip."""
    return (2 * samples * wanted + rate) // (2 * rate)


def fit_clip(audio: F32, rate: int, samples: int, wanted: int) -> F32:
    """A clip (T,) of `rate` samples a second as (samples,) at `wanted` ones: a longer one keeps its middle, a shorter one
    is followed by zeros.

    The middle is what cropping the resampled whole gives, to within 1e-5 of full scale, at a cost that does not depend on
    the clip's length: it is cut with a margin, from a sample of the source that falls on one of the output. (Only where the
    ratio of the rates has more than some hundred phases, as at 16,000 : 15,999, is the whole less exact: there the
    library's clock drifts by 2^-33 of a sample with every sample.)
    """
    length = resampled_length(len(audio), rate, wanted)
    start = max(0, (length - samples) // 2)
    if rate == wanted or length <= samples:
        return _to_length(resample(audio, rate, wanted)[start : start + samples], samples)
    step, phases = rate // gcd(rate, wanted), wanted // gcd(rate, wanted)
    margin = _MARGIN + _MARGIN_PER_OUTPUT * ceil(rate / wanted)
    first = max(0, start * rate // wanted - margin) // step
    last = (start + samples) * rate // wanted + margin
    middle = resample(audio[first * step : last], rate, wanted)[start - first * phases :]
    return _to_length(middle[:samples], samples)


def _to_length(audio: F32, samples: int) -> F32:
    """Cut, or followed by zeros."""
    if len(audio) >= samples:
        return audio[:samples]
    return np.concatenate((audio, np.zeros(samples - len(audio), dtype=np.float32)))
