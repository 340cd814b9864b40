"""A constant offset."""

from collections.abc import Callable
from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F32, I64
from augsvc.numerics import exact
from augsvc.ops.kinds.sound_opaque import SoundOpaque
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

_BITS = 32  # fraction bits of an offset


class DcShift(SoundOpaque):
    """Adds a constant to all samples of a clip, as a recorder with an offset does; a silent clip stays silent.

    Full scale is 1; nothing is clipped.
    """

    identity: ClassVar[Settings] = {"shift": 0}
    ns_per_element: ClassVar[float] = 5.0
    bytes_per_element: ClassVar[float] = 12.0
    elsewhere = {"torchaudio": "functional.dcshift"}
    op: Literal["dc_shift"] = "dc_shift"
    shift: Annotated[Interval, Drawn(lane=1, low=-1.0, high=1.0, unit="of full scale")] = (-0.05, 0.05)

    def lower(self, draw: Draw, lengths: I64, rate: int) -> I64:
        """The offset, with _BITS fraction bits."""
        return exact.to_fixed(draw.value("shift"), _BITS)[:, None]

    def change(self, clip: F32, lowered: I64, rate: int, samples: int, check: Callable[[], None]) -> F32:
        """v + shift."""
        shifted: F32 = clip + exact.from_fixed(lowered, _BITS).astype(np.float32)
        return shifted
