"""What the documentation and the gallery state about an operation, from its class."""

from dataclasses import dataclass
from inspect import getdoc

from augsvc.ops.container import Container
from augsvc.ops.operation import Operation
from augsvc.streams.media import MEDIA


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
    return Description(family, notes, MEDIA[step.media].label_effect(step), step.continuous, dict(step.elsewhere))
