"""Elastic deformation."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from augsvc.numerics.geometry import Canvas
from augsvc.numerics.lattice import Lattice, nodes_along
from augsvc.ops.kinds.image import Warp
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class Elastic(Warp):
    """Random elastic deformation: a smooth random displacement of every point, after Simard et al. (2003).

    Independent uniform numbers on a lattice, interpolated by a cubic B-spline, in place of one number a pixel and a Gaussian: a
    `spacing` of s pixels is as smooth as a Gaussian of σ ≈ s / 1.7. A node moves by up to `displacement` · s along each axis;
    the root mean square over all points is 0.28 of that.
    """

    identity: ClassVar[Settings] = {"displacement": 0}
    elsewhere = {
        "Kornia": "RandomElasticTransform",
        "torchvision": "ElasticTransform",
        "Albumentations": "ElasticTransform",
    }
    op: Literal["elastic"] = "elastic"
    # two neighbours differ by at most twice the displacement: up to a quarter the slopes along both axes add up to at most 1
    displacement: Annotated[
        Interval, Drawn(lane=1, low=0.0, high=0.25, reason="the warp is too strong to be a bijection")
    ] = (0.0, 0.25)
    spacing: Annotated[float, Field(ge=4.0, le=1024.0, strict=True)] = 32.0

    def lattice(self, draw: Draw, canvas: Canvas) -> Lattice:
        """A lattice from the upper left corner of the canvas, in canvas pixels."""
        shape = (nodes_along(canvas.height, self.spacing), nodes_along(canvas.width, self.spacing), 2)
        most = (draw.value("displacement") * self.spacing)[:, None, None, None]
        return Lattice.of(most * (2.0 * draw.uniform(shape) - 1.0), (self.spacing, self.spacing), cubic=True)
