"""Collects a pipeline while a transform is walked, and what became of each of its parts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from augsvc.importing.framing import Framing
from augsvc.importing.node import Node
from augsvc.importing.parameters import Parameters, Range, Refused
from augsvc.importing.steps import validated
from augsvc.ops.kinds.image import Tone
from augsvc.ops.operation import Kind, Operation, Settings
from augsvc.ops.policy import Policy
from augsvc.ops.registry import containers, registry
from augsvc.validation import nearest as similar

NOTHING: Settings = {"op": "brightness", "p": 0.0}  # a choice that changes nothing
_KEEPS_COLOURS = (Kind.MOVE, Kind.WARP, Kind.ERASE, Kind.MIX)
_AFTER_NORMALISING = "comes after Normalize and changes colours: put it before"


class Verdict(StrEnum):
    """What became of a transform."""

    EQUAL = "equal"  # the same law and meaning, pixels within the tolerance of docs/import.md
    NEAR = "near"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Line:
    """What became of one transform. `depth`: of the containers around it; `nearest`: an operation, for one that is refused."""

    name: str
    verdict: Verdict
    steps: tuple[Settings, ...] = ()
    notes: tuple[str, ...] = ()
    nearest: str | None = None
    depth: int = 0
    node: Node | None = None
    is_frame: bool = False  # it changes the size of images: the pipeline's frame, or its `fit`, stands for it
    ranges: Mapping[str, Range] = field(default_factory=dict)  # of its parameters, in the library's units


@dataclass(frozen=True, slots=True)
class Normalisation:
    """(v − mean) / std of v on [0, 1], one number per channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def undo(self, values: Sequence[float]) -> list[float]:
        """The colour on [0, 1] of three normalised values."""
        return [round(v * std + mean, 6) for v, mean, std in zip(values, self.mean, self.std, strict=True)]


Translator = Callable[[Parameters, "Builder"], None]


@dataclass(frozen=True, slots=True)
class Entry:
    """How one class is translated; `nearest` is named where its parameters cannot be."""

    translate: Translator
    nearest: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """What is done with the classes of a library: each is in one of the three."""

    library: str  # as operations name it in `elsewhere`
    translators: Mapping[str, Entry]
    refused: Mapping[str, tuple[str, str | None]]  # the reason, and the nearest operation
    out_of_scope: Mapping[str, str]  # the reason


@dataclass(slots=True)
class Builder:
    """The pipeline so far, of one container."""

    table: Table
    framing: Framing
    depth: int = 0
    steps: list[Settings] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    normalisation: Normalisation | None = None
    is_float: bool = False
    differences: list[str] = field(default_factory=list)  # of the transform that is being translated
    remarks: list[str] = field(default_factory=list)  # on it, that make no difference
    is_frame: bool = False  # whether that transform changes the size
    is_inlined: bool = False  # whether its children stand in its place

    def differs(self, text: str) -> None:
        """Notes what is not as in the library; the transform is near, not equal."""
        self.differences.append(text)

    def remark(self, text: str) -> None:
        """Explains what became of the transform, which stays equal."""
        self.remarks.append(text)

    def add(self, op: str, p: float = 1.0, settings: Settings | None = None) -> None:
        """Adds an operation or container, refused if it does not validate."""
        step = validated({"op": op, **(settings or {}), "p": p})
        operation = registry().get(op)
        keeps_colours = operation is None or op == "noise_erasing" or operation.kind in _KEEPS_COLOURS
        if self.normalisation and (not keeps_colours or issubclass(containers().get(op, Operation), Policy)):
            raise Refused(_AFTER_NORMALISING)
        self.steps.append(step)

    def before_frame(self, *, fills: bool = False) -> None:
        """Called by transforms that change the size, before they do: notes what changes as the frame comes first.

        `fills`: it pads with a colour, which colour transforms change once they come after it.
        """
        self.is_frame = True
        if self.depth:
            raise Refused(
                "changes the size of some of the images: put it outside the container, as the first transform"
            )
        if not all(_commutes_with_crops(step) for step in self.steps):
            self.differs("comes first here: the transforms before it act on the canvas, at its resolution")
        elif fills and any(issubclass(registry()[str(step["op"])], Tone) for step in self.steps):
            self.differs("comes first here: the colour transforms before it change its fill too")

    def walk(self, nodes: Sequence[Node]) -> None:
        """Translates transforms in order; one that cannot be translated leaves a line that says so."""
        for node in nodes:
            self._translate(node)

    def inline(self, node: Node) -> None:
        """Translates the children of a container that always applies, as if they stood in its place."""
        differences, remarks = self.differences, self.remarks
        self.walk(node.children)
        self.differences, self.remarks, self.is_frame, self.is_inlined = differences, remarks, False, True

    def children(self, node: Node) -> list[list[Settings]]:
        """The steps of each child of a container; those that are refused have lines, and raise Refused after all are read."""
        steps, start = [], len(self.lines)
        for child in node.children:
            inner = Builder(
                self.table, self.framing, self.depth + 1, normalisation=self.normalisation, is_float=self.is_float
            )
            inner.walk([child])
            self.lines += inner.lines
            if inner.normalisation is not self.normalisation:
                raise Refused("holds a Normalize: put it outside the container, last")
            if inner.is_float is not self.is_float:
                raise Refused("holds a conversion of bytes or floats: put it outside the container")
            steps.append(inner.steps)
        below = [line for line in self.lines[start:] if line.depth == self.depth + 1]
        refused = [line.name for line in below if line.verdict is Verdict.REFUSED]
        if refused:
            raise Refused(f"holds {', '.join(dict.fromkeys(refused))}, which is refused")
        return steps

    def _translate(self, node: Node) -> None:
        start, count, before = len(self.lines), len(self.steps), (self.normalisation, self.is_float)
        framing = self.framing.copy()
        self.differences = self.framing.differences = []
        self.remarks, self.is_frame, self.is_inlined = [], False, False
        nearest = None
        try:
            if node.name not in self.table.translators:
                reason, nearest = self._refusal(node.name)
                raise Refused(reason)
            entry = self.table.translators[node.name]
            nearest = entry.nearest
            given = Parameters(node)
            entry.translate(given, self)
            given.require_none_left()
        except Refused as refusal:
            del self.steps[count:]
            (self.normalisation, self.is_float), self.framing = before, framing
            line = Line(node.name, Verdict.REFUSED, (), (str(refusal),), nearest, self.depth, node)
        else:
            notes = dict.fromkeys(self.differences + self.remarks)
            steps = () if self.is_inlined else tuple(self.steps[count:])
            verdict = Verdict.NEAR if self.differences else Verdict.EQUAL
            line = Line(node.name, verdict, steps, tuple(notes), None, self.depth, node, self.is_frame, given.ranges)
        self.lines.insert(start, line)

    def _refusal(self, name: str) -> tuple[str, str | None]:
        if name in self.table.refused:
            reason, nearest = self.table.refused[name]
            return reason, nearest_operation(self.table.library, name, nearest)
        if name in self.table.out_of_scope:
            return self.table.out_of_scope[name], None
        return f"is no transform that is known of {self.table.library}{similar(name, self.table.translators)}", None


def nearest_operation(library: str, name: str, stated: str | None) -> str | None:
    """The operation that is stated for a class, or one that names the class in `elsewhere`, where that one does not."""
    named = [op for op, model in registry().items() if name in model.elsewhere.get(library, "").split(", ")]
    return stated if stated in named or not named else named[0]


def _commutes_with_crops(step: Settings) -> bool:
    """Whether the order with a crop of a random place does not matter: flips, and tones that look at one pixel."""
    model = registry().get(str(step["op"]))
    if model is None:
        return False
    if issubclass(model, Tone):
        operation = model.model_validate(step)
        return not (operation.statistics or operation.final_statistics)
    return str(step["op"]) in ("horizontal_flip", "vertical_flip")
