"""Fog."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import I64, U16
from augsvc.numerics import exact
from augsvc.numerics.fields import BLEND_BITS, FIELD_BITS, PLASMA_NUMBERS, PLASMA_SIDE, blend, expand, plasma
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import WHITE
from augsvc.ops.kinds.opaque import OnValues
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class Fog(OnValues):
    """Adds fractal fog, and darkens so that no value exceeds white: (v + density·fog) / (1 + density), as ImageNet-C."""

    identity: ClassVar[Settings] = {"density": 0}
    elsewhere = {"Albumentations": "RandomFog"}
    op: Literal["fog"] = "fog"
    density: Annotated[Interval, Drawn(lane=1, low=0.0, high=3.0)] = (0.3, 1.0)
    roughness: Annotated[
        Interval, Drawn(lane=2, low=0.1, high=0.9, unit="of an octave's amplitude to that of the one before")
    ] = (0.5, 0.7)

    def lower(self, draw: Draw, canvas: Canvas) -> I64:
        """The fog's weight density / (1 + density), and its lattice."""
        density = draw.value("density")
        weight = exact.to_fixed(density / (1.0 + density), BLEND_BITS)
        lattice = plasma(draw.uniform((PLASMA_NUMBERS,)), draw.value("roughness"))
        return np.concatenate((weight[:, None], lattice.reshape(len(weight), -1)), axis=1)

    def change(self, values: U16, lowered: I64) -> U16:
        """As OnValues.change."""
        field = expand(lowered[1:].reshape(PLASMA_SIDE, PLASMA_SIDE), *values.shape[1:])
        fog = (field * np.uint32(WHITE)) >> np.uint32(FIELD_BITS)
        return blend(values, fog, np.uint32(lowered[0]))
