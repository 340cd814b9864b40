"""Translates a transform that has been read, and gives the result as the fields of a specification."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from augsvc.errors import SpecInvalid
from augsvc.importing.albumentations import ALBUMENTATIONS
from augsvc.importing.audiomentations import AUDIOMENTATIONS
from augsvc.importing.builder import Builder, Line, Normalisation, Table, Verdict
from augsvc.importing.framing import Framing, Size
from augsvc.importing.kornia import KORNIA
from augsvc.importing.node import CannotRead, Library, Node, require_bounded
from augsvc.importing.parameters import Refused
from augsvc.importing.torch_audiomentations import TORCH_AUDIOMENTATIONS
from augsvc.importing.torchvision import TORCHVISION
from augsvc.ops.operation import Settings
from augsvc.ops.pipeline import parse_pipeline

TABLES: Mapping[Library, Table] = {
    "torchvision": TORCHVISION,
    "albumentations": ALBUMENTATIONS,
    "kornia": KORNIA,
    "audiomentations": AUDIOMENTATIONS,
    "torch_audiomentations": TORCH_AUDIOMENTATIONS,
}


@dataclass(frozen=True, slots=True)
class Import:
    """A translated transform: a line for each of its parts, and the pipeline of those that are not refused."""

    library: Library
    lines: tuple[Line, ...]
    pipeline: tuple[Settings, ...]
    size: Size | None = None  # H, W; None leaves the images as they are
    fit: str | None = None
    normalisation: Normalisation | None = None
    is_float: bool = False  # values on [0, 1], not bytes

    @property
    def refused(self) -> tuple[Line, ...]:
        """The parts that have no counterpart in the pipeline."""
        return tuple(line for line in self.lines if line.verdict is Verdict.REFUSED)

    def fields(self) -> dict[str, object]:
        """The fields of a specification, as JSON has them: `pipeline`, and `size`, `fit`, `output` if the transform sets them."""
        fields: dict[str, object] = {"size": list(self.size)} if self.size else {}
        if self.fit:
            fields["fit"] = self.fit
        fields["pipeline"] = list(self.pipeline)
        if self.normalisation:
            mean, std = list(self.normalisation.mean), list(self.normalisation.std)
            fields["output"] = {"dtype": "float32", "mean": mean, "std": std}
        elif self.is_float:
            fields["output"] = {"dtype": "float32", "mean": [0.0] * 3, "std": [1.0] * 3}
        return fields


def translate(library: Library, root: Node, size: Size | None = None) -> Import:
    """The pipeline of a transform; `size` is that of the images that enter it, where they have one.

    Raises:
        CannotRead: too many transforms, or nested too deeply.
    """
    require_bounded(root)
    builder = Builder(TABLES[library], Framing(size))
    builder.walk([root])
    if root.children and (line := builder.lines[0]).verdict is Verdict.EQUAL and not line.notes:
        del builder.lines[0]  # a Compose that does nothing but hold the others
    try:
        builder.framing.require_complete()
    except Refused as refusal:
        _refuse_frame(builder, str(refusal))
    framing = builder.framing
    _name_frame(builder)
    pipeline = (*framing.steps, *builder.steps)
    try:
        parse_pipeline(list(pipeline))
    except SpecInvalid as err:
        raise CannotRead(f"cannot be one pipeline: {err.message}") from err
    changed = framing.size if framing.frame or framing.fit else None
    return Import(
        library, tuple(builder.lines), pipeline, changed, framing.fit, builder.normalisation, builder.is_float
    )


def _refuse_frame(builder: Builder, reason: str) -> None:
    """Refuses the last resize, whose results have many sizes."""
    waiting = str((builder.framing.pending or {})["op"])
    index = max(i for i, line in enumerate(builder.lines) if line.is_frame and line.verdict is not Verdict.REFUSED)
    line = builder.lines[index]
    builder.lines[index] = replace(line, verdict=Verdict.REFUSED, notes=(reason,), nearest=waiting)
    builder.framing.pending = None


def _name_frame(builder: Builder) -> None:
    """Gives the steps of the frame to the last line of those that it stands for."""
    frames = [i for i, line in enumerate(builder.lines) if line.is_frame and line.verdict is not Verdict.REFUSED]
    for index in frames:
        steps = tuple(builder.framing.steps) if index == frames[-1] else ()
        builder.lines[index] = replace(builder.lines[index], steps=steps)
