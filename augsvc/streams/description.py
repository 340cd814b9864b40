"""What the documentation and the gallery state about an operation, from its class."""

from dataclasses import dataclass
from inspect import getdoc

from augsvc.ops.container import Container
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


@dataclass(frozen=True, slots=True)
class Description:
    """`family` is the folder of a package's operation, None for a private one; `notes` is the docstring after its first line."""

    family: str | None
    notes: str
    labels: str
    continuous: bool
    elsewhere: dict[str, str]


def describe(step: type[Operation] | type[Container]) -> Description:
    """The description of an operation or a container."""
    module = step.__module__.split(".")
    family = module[3] if module[:2] == ["augsvc", "ops"] and len(module) > 4 else None
    notes = (getdoc(step) or "").partition("\n")[2].strip()
    if issubclass(step, Container):
        return Description("containers", notes, "As its operations do.", True, {})
    return Description(family, notes, _label_effect(step), step.continuous, dict(step.elsewhere))


def moves_content(operation: type[Operation]) -> bool:
    """Whether content moves or is replaced by that of other samples, so that labels change."""
    return operation.media == "image" and operation.kind not in _STILL


def _label_effect(operation: type[Operation]) -> str:
    if issubclass(operation, SoundMix):
        return _PAIRED
    if operation.media == "audio":
        return "The label stays as it is."
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
