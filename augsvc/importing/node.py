"""A transform of another library as plain values: what every input form is read into, and all translators read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from augsvc.errors import SpecInvalid

Library = Literal["torchvision", "albumentations", "kornia", "audiomentations", "torch_audiomentations"]
Value = None | bool | int | float | str | Sequence["Value"] | Mapping[str, "Value"]

MAX_TEXT = 1_000_000  # characters: a transform of 64 operations has some 20,000
MAX_TRANSFORMS = 512  # containers and their children
MAX_NESTING = 16  # of containers and values; a pipeline itself takes 4 containers


@dataclass(frozen=True, slots=True)
class Node:
    """A transform or container: the class's name, its parameters without those that are None, and its children.

    `printed` marks one that was read from a printed form, which may leave parameters out.
    """

    name: str
    parameters: Mapping[str, Value] = field(default_factory=dict)
    children: tuple["Node", ...] = ()
    printed: bool = False


class CannotRead(SpecInvalid):
    """The input is no transform that can be read; the message names the cause and the cure."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"transform: {reason}", field="transform")


def require_bounded(node: Node) -> Node:
    """The node, if it has at most MAX_TRANSFORMS transforms, nested at most MAX_NESTING deep."""
    count, level, depth = 0, [node], 0
    while level:
        count, depth = count + len(level), depth + 1
        if count > MAX_TRANSFORMS:
            raise CannotRead(f"has over {MAX_TRANSFORMS} transforms; import the parts separately")
        if depth > MAX_NESTING:
            raise CannotRead(f"is nested over {MAX_NESTING} deep; a pipeline holds containers 4 deep")
        level = [child for parent in level for child in parent.children]
    return node
