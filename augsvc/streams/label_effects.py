"""What the documentation states about the labels of samples that an operation changes, from its kind."""

from augsvc.ops.kinds.composition import Branches
from augsvc.ops.kinds.mix import Mix
from augsvc.ops.kinds.sound_partners import SoundMix
from augsvc.ops.operation import Kind, Operation

_FOLLOW = (
    "Masks, boxes and keypoints move with the pixels: masks by the nearest pixel, boxes as the hull of their corners, clipped to "
    "the canvas."
)
_WARPED = (
    "Masks, boxes and keypoints move with the pixels: masks by the nearest pixel, boxes as the hull of 32 points on their "
    "outlines, clipped to the canvas."
)
_UNCHANGED = "Masks, boxes and keypoints stay as they are: no content moves."
_PAIRED = "A batch has the partner's label, `label2`, and the weight of the sample's, `mix_weight`."
_HIDDEN = "Masks, boxes and keypoints stay as they are, also where their content is hidden."
_STILL = {
    Kind.TONE: _UNCHANGED,
    Kind.FILTER: _UNCHANGED,
    Kind.NOISE: _UNCHANGED,
    Kind.OPAQUE: _UNCHANGED,
    Kind.ERASE: _HIDDEN,
}


def moves_content(operation: type[Operation]) -> bool:
    """Whether an operation on images moves content or replaces it by that of other samples, so that labels change."""
    return operation.kind not in _STILL


def effect_on_image_labels(operation: type[Operation]) -> str:
    """What an operation does to the labels of images."""
    if issubclass(operation, Mix):
        masks = "" if operation.carries_masks else " It is refused for datasets with masks."
        return f"{_PAIRED} Boxes and keypoints of both samples are joined.{masks}"
    if issubclass(operation, Branches):
        return "The label stays as it is; datasets with masks, boxes or keypoints are refused."
    if operation.partners:
        return "Masks, boxes and keypoints move with the pixels; those of all samples are joined."
    if operation.kind is Kind.WARP:
        return _WARPED
    return _STILL.get(operation.kind, _FOLLOW)


def effect_on_clip_labels(operation: type[Operation]) -> str:
    """What an operation does to the labels of clips."""
    return _PAIRED if issubclass(operation, SoundMix) else "The label stays as it is."
