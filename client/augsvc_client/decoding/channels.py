"""Clips of several channels, and of one."""

import numpy as np
import numpy.typing as npt

F32 = npt.NDArray[np.float32]


def with_channels(audio: F32, channels: int) -> F32:
    """A clip (T,) or (C, T) with a number of channels, (T,) for one: their mean, copies of one, or as it is.

    Raises:
        ValueError: it has more than one channel, and another number than that.
    """
    if channels == 1:
        return audio if audio.ndim == 1 else mean_of_channels(audio)
    if audio.ndim == 1:
        return np.broadcast_to(audio, (channels, len(audio)))
    if len(audio) != channels:
        raise ValueError(f"a clip of {len(audio)} channels cannot have {channels}")
    return audio


def mean_of_channels(audio: F32) -> F32:
    """(T,) of (C, T), in float32, first channel first."""
    total: F32 = audio[0].copy()
    for channel in audio[1:]:
        total += channel
    total /= np.float32(len(audio))
    return total
