"""Pre-emphasis and de-emphasis."""

from typing import Annotated, ClassVar, Literal

from augsvc.arrays import F64
from augsvc.numerics.sections import passing
from augsvc.ops.kinds.audio import SoundFilter
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class Preemphasis(SoundFilter):
    """First-order emphasis of high frequencies (`pre`): v[t] − c · v[t − 1]; or its inverse (`de`): v[t] + c · out[t − 1]."""

    needs_rate: ClassVar[bool] = False
    examples: ClassVar[tuple[Settings, ...]] = ({}, {"mode": "de"})
    identity: ClassVar[Settings] = {"coefficient": 0}
    elsewhere = {"torchaudio": "Preemphasis, Deemphasis"}
    op: Literal["preemphasis"] = "preemphasis"
    mode: Literal["pre", "de"] = "pre"
    coefficient: Annotated[Interval, Drawn(lane=1, low=0.0, high=0.99)] = (0.97, 0.97)

    def sections(self, draw: Draw, rate: int) -> F64:
        """One section of first order."""
        sections = passing(len(draw.selected))
        sections[:, 0, 1 if self.mode == "pre" else 3] = -draw.value("coefficient")
        return sections
