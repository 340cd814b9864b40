"""SpecAugment's time warp on features: the operation `time_warp` draws it, the client applies it."""

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

F = TypeVar("F")  # torch.Tensor or numpy.ndarray


def apply_time_warps(features: F, batch: Mapping[str, Any], hop: int) -> F:
    """Warps features (N, bins, frames), or (N, C, bins, frames), by a batch's `time_warps`, in place; returns them.

    Masks are applied after it. A frame becomes the one of its place before the warp, linear between two frames. Frames after the
    end of a clip stay.

    Args:
        features: of the batch's clips, as torchaudio.transforms.MelSpectrogram returns them; frame f stands for the samples from
            f · hop on.
        batch: of a stream whose pipeline has `time_warp`.
        hop: samples from frame to frame.

    Raises:
        ValueError: the batch has no warps, or another number of clips.
    """
    if "time_warps" not in batch:
        raise ValueError("the batch has no warps: add time_warp to the pipeline")
    array: Any = features
    warps = batch["time_warps"].tolist()
    if array.ndim not in (3, 4) or len(array) != len(warps):
        raise ValueError(
            f"features are (N, bins, frames) or (N, C, bins, frames) of the batch's {len(warps)} clips, got {tuple(array.shape)}"
        )
    for clip, (origin, target, length) in zip(array, warps, strict=True):
        frames = min(-(-length // hop), clip.shape[-1])
        if origin == target or frames < 2:
            continue
        places = np.interp(np.arange(frames) * hop, [0, target, length], [0, origin, length]) / hop
        left = np.minimum(places.astype(np.int64), frames - 2)
        fraction = np.minimum(places - left, 1.0)
        weight = clip.new_tensor(fraction) if hasattr(clip, "new_tensor") else fraction.astype(clip.dtype)
        before, after = clip[..., left], clip[..., left + 1]
        clip[..., :frames] = before + weight * (after - before)
    return features
