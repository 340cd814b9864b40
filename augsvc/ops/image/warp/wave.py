"""Waves."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import F64
from augsvc.numerics import exact
from augsvc.numerics.geometry import Canvas
from augsvc.numerics.lattice import Lattice
from augsvc.ops.kinds.image import Warp
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

_CELLS = 8  # of the lattice per cycle: the spline is within 1 % of the sine's amplitude


class Wave(Warp):
    """Displaces rows and columns along sine waves, as DALI's Water.

    x moves by amplitude · (W / cycles) · sin 2π(cycles · y / H + phase), y likewise by x: each axis has its own numbers.
    """

    identity: ClassVar[Settings] = {"amplitude": 0}
    ns_per_sample: ClassVar[float] = 1_000_000.0
    op: Literal["wave"] = "wave"
    # the slope is 2π times the amplitude, which is a fraction of the wavelength
    amplitude: Annotated[
        Interval, Drawn(lane=1, low=0.0, high=0.14, count=2, reason="the warp is too strong to be a bijection")
    ] = (0.0, 0.1)
    cycles: Annotated[Interval, Drawn(lane=2, low=0.5, high=8.0, count=2)] = (1.0, 4.0)
    phase: Annotated[Interval, Drawn(lane=3, low=0.0, high=1.0, count=2)] = (0.0, 1.0)

    def lattice(self, draw: Draw, canvas: Canvas) -> Lattice:
        """In fractions of the canvas's sides."""
        amplitude, cycles, phase = (draw.value(name)[:, :, None, None] for name in ("amplitude", "cycles", "phase"))

        def field(x: F64, y: F64) -> tuple[F64, F64]:
            waves = [exact.sincos(360.0 * (cycles[:, k] * along + phase[:, k]))[0] for k, along in enumerate((y, x))]
            return amplitude[:, 0] / cycles[:, 0] * waves[0], amplitude[:, 1] / cycles[:, 1] * waves[1]

        cells = _CELLS * int(np.ceil(self.cycles[1]))
        return Lattice.of_field(field, (canvas.height, canvas.width), cells)
