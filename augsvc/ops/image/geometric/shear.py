"""Shear."""

from typing import Annotated, ClassVar, Literal

from augsvc.arrays import F64
from augsvc.numerics import exact
from augsvc.numerics.geometry import Canvas, about, affine
from augsvc.ops.kinds.border import Resampled
from augsvc.ops.kinds.image import Move
from augsvc.ops.operation import AddedLater, Draw, Drawn, Interval, Settings


class Shear(Resampled, Move):
    """Shears about the centre: a positive `x` moves the lower half to the right, a positive `y` the right half down.

    With `origin: corner`, about the upper left corner, as AutoAugment and the policies after it.

    Both are the reverse of torchvision's, Kornia's and Albumentations' angles.
    """

    examples: ClassVar[tuple[Settings, ...]] = (
        {},
        {"unit": "tangent", "x": (-0.3, 0.3), "y": (-0.3, 0.3)},
        {"origin": "corner"},
    )
    identity: ClassVar[Settings] = {"x": 0, "y": 0}
    elsewhere = {"Kornia": "RandomShear", "torchvision": "RandomAffine", "Albumentations": "Affine"}
    op: Literal["shear"] = "shear"
    unit: Literal["degrees", "tangent"] = "degrees"
    origin: Annotated[Literal["center", "corner"], AddedLater()] = "center"
    x: Annotated[Interval, Drawn(lane=1, low=-75.0, high=75.0, unit="degrees or tangent")] = (-20.0, 20.0)
    y: Annotated[Interval, Drawn(lane=2, low=-75.0, high=75.0, unit="degrees or tangent")] = (-20.0, 20.0)

    def matrix(self, draw: Draw, canvas: Canvas) -> F64:
        """shear_y · shear_x about (W/2, H/2), or (0, 0). A pixel's distance from there counts with tan x; `tangent` gives it
        itself.
        """
        tan_x, tan_y = self._tangents(draw.value("x")), self._tangents(draw.value("y"))
        shear = affine(tan_x * 0 + 1.0, tan_x, tan_x * 0, tan_y, tan_y * tan_x + 1.0, tan_x * 0)
        return shear if self.origin == "corner" else about(shear, canvas.width / 2.0, canvas.height / 2.0)

    def _tangents(self, values: F64) -> F64:
        if self.unit == "tangent":
            return values
        sin, cos = exact.sincos(values)
        return sin / cos
