"""SpecAugment's masks on features: the operation `spec_mask` draws them, the client applies them."""

from collections.abc import Mapping
from typing import Any, TypeVar

F = TypeVar("F")  # torch.Tensor or numpy.ndarray


def apply_spec_masks(features: F, batch: Mapping[str, Any], hop: int, value: float | None = None) -> F:
    """Masks features (N, bins, frames) or (N, C, bins, frames) with a batch's `time_masks` and `freq_masks`, in place.

    Returns them.

    Args:
        features: of the batch's clips, as torchaudio.transforms.MelSpectrogram returns them; frame f stands for the samples from
            f · hop on. Of bins other than the operation's `bins` the masks would be others.
        batch: of a stream whose pipeline has `spec_mask`.
        hop: samples from frame to frame.
        value: of what is masked, over all frames, padding too; None takes each clip's mean. In log features 0 would be loud.

    Raises:
        ValueError: the batch has no masks, or another number of clips, or its masks reach beyond the features' bins.
    """
    if "time_masks" not in batch or "freq_masks" not in batch:
        raise ValueError("the batch has no masks: add spec_mask to the pipeline")
    array: Any = features
    times, bins = batch["time_masks"], batch["freq_masks"]
    if array.ndim not in (3, 4) or len(array) != len(times):
        raise ValueError(
            f"features are (N, bins, frames) or (N, C, bins, frames) of the batch's {len(times)} clips, got {tuple(array.shape)}"
        )
    last_bin = max(bins.reshape(-1).tolist(), default=0)
    if array.shape[-2] < last_bin:
        raise ValueError(
            f"masks reach up to bin {last_bin}, and the features have {array.shape[-2]}: give spec_mask their number, `bins`"
        )
    for clip, time_masks, freq_masks in zip(array, times.tolist(), bins.tolist(), strict=True):
        fill = float(clip.mean()) if value is None else value
        for first, last in time_masks:
            clip[..., -(-first // hop) : -(-last // hop)] = fill
        for first, last in freq_masks:
            clip[..., first:last, :] = fill
    return features
