"""SpecAugment's masks on features: the operation `spec_mask` draws them, the client applies them."""

from collections.abc import Mapping
from typing import Any, TypeVar

F = TypeVar("F")  # torch.Tensor or numpy.ndarray


def apply_spec_masks(features: F, batch: Mapping[str, Any], hop: int, value: float | None = 0.0) -> F:
    """Masks features (N, bins, frames) with a batch's `time_masks` and `freq_masks`, in place; returns them.

    Args:
        features: of the batch's clips, as torchaudio.transforms.MelSpectrogram returns them; frame f stands for the samples from
            f · hop on. Of bins other than the operation's `bins` the masks would be others.
        batch: of a stream whose pipeline has `spec_mask`.
        hop: samples from frame to frame.
        value: of what is masked; None takes each clip's mean.

    Raises:
        ValueError: the batch has no masks, or another number of clips.
    """
    if "time_masks" not in batch or "freq_masks" not in batch:
        raise ValueError("the batch has no masks: add spec_mask to the pipeline")
    array: Any = features
    times, bins = batch["time_masks"], batch["freq_masks"]
    if array.ndim != 3 or len(array) != len(times):
        raise ValueError(f"features are (N, bins, frames) of the batch's {len(times)} clips, got {tuple(array.shape)}")
    for clip, time_masks, freq_masks in zip(array, times.tolist(), bins.tolist(), strict=True):
        fill = float(clip.mean()) if value is None else value
        for first, last in time_masks:
            clip[:, -(-first // hop) : -(-last // hop)] = fill
        for first, last in freq_masks:
            clip[first:last] = fill
    return features
