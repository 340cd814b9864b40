"""What the documentation and the gallery state about an operation, from its class."""

from dataclasses import dataclass
from inspect import getdoc

from augsvc.errors import AugsvcError
from augsvc.ops.container import Container
from augsvc.ops.kinds.mix import Mix
from augsvc.ops.operation import Kind, Operation
from augsvc.streams.mixing import require_mixable

_LABELS = {"mask": "masks", "boxes": "boxes", "keypoints": "keypoints"}
_FOLLOW = (
    "Masks, boxes and keypoints move with the pixels: masks by the nearest pixel, boxes as the hull of their corners, clipped to "
    "the canvas."
)
_UNCHANGED = "Masks, boxes and keypoints stay as they are: no content moves."
_EFFECTS = {
    Kind.FRAME: _FOLLOW,
    Kind.MOVE: _FOLLOW,
    Kind.ERASE: "Masks, boxes and keypoints stay as they are, also where their content is hidden.",
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


def _label_effect(operation: type[Operation]) -> str:
    if operation.media == "audio":
        return "The label stays as it is."
    if issubclass(operation, Mix):
        carried = [text for label, text in _LABELS.items() if _carries(operation, label)]
        refused = [text for text in _LABELS.values() if text not in carried]
        texts = ["The batch has the partner's label, `label2`, and the weight of the sample's, `mix_weight`."]
        texts += [f"It carries {_listed(carried)} of both samples."] if carried else []
        texts += [f"It is refused for datasets with {_listed(refused)}."] if refused else []
        return " ".join(texts)
    return _EFFECTS.get(operation.kind, _UNCHANGED)


def _carries(mix: type[Mix], label: str) -> bool:
    try:
        require_mixable([mix.model_construct(op=mix.model_fields["op"].default)], [label], views=1)
    except AugsvcError:
        return False
    return True


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
