"""Grid distortion."""

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from augsvc.arrays import F64
from augsvc.numerics.geometry import Canvas
from augsvc.numerics.lattice import Lattice
from augsvc.ops.kinds.image import Warp
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

_MAX_STEPS = 16


class GridDistortion(Warp):
    """Stretches the columns and rows of a grid at random, linearly within each, as Albumentations' normalised GridDistortion.

    A column looks at 1 + `stretch_x` times its width, before all of them are scaled to the width of the canvas; rows likewise.
    """

    identity: ClassVar[Settings] = {"stretch_x": 0, "stretch_y": 0}
    elsewhere = {"Albumentations": "GridDistortion"}
    op: Literal["grid_distortion"] = "grid_distortion"
    # up to a third, one column is at most twice the mean of all
    stretch_x: Annotated[
        Interval,
        Drawn(lane=1, low=-0.33, high=0.33, count=_MAX_STEPS, reason="the warp is too strong to be a bijection"),
    ] = (-0.3, 0.3)
    stretch_y: Annotated[
        Interval,
        Drawn(lane=5, low=-0.33, high=0.33, count=_MAX_STEPS, reason="the warp is too strong to be a bijection"),
    ] = (-0.3, 0.3)
    steps: Annotated[int, Field(ge=1, le=_MAX_STEPS, strict=True)] = 5

    def lattice(self, draw: Draw, canvas: Canvas) -> Lattice:
        """A lattice of the grid's corners."""
        columns = self._lines(draw.value("stretch_x")) * canvas.width
        rows = self._lines(draw.value("stretch_y")) * canvas.height
        shape = (len(columns), self.steps + 3, self.steps + 3)
        nodes = np.stack((np.broadcast_to(columns[:, None], shape), np.broadcast_to(rows[:, :, None], shape)), axis=-1)
        return Lattice.of(nodes, (canvas.width / self.steps, canvas.height / self.steps), cubic=False)

    def _lines(self, stretch: F64) -> F64:
        """The displacement of each line of the grid and of one beyond either edge (N, steps + 3), as a fraction of the side."""
        ends = [np.zeros(len(stretch))]
        for column in range(self.steps):
            ends.append(ends[-1] + (1.0 + stretch[:, column]))
        still = np.arange(self.steps + 1) / self.steps
        moved = np.stack(ends, axis=1) / ends[-1][:, None] - still
        return np.concatenate((0.0 * moved[:, :1], moved, 0.0 * moved[:, :1]), axis=1)
