"""Uniform noise."""

from typing import Annotated, ClassVar, Literal

from augsvc.numerics import exact
from augsvc.ops.kinds.image import UNIT_BITS, Additive, Noise
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class UniformNoise(Noise):
    """Adds noise that is uniform on [−`amplitude`, `amplitude`] to every element."""

    identity: ClassVar[Settings] = {"amplitude": 0}
    elsewhere = {"Albumentations": "AdditiveNoise"}
    op: Literal["uniform_noise"] = "uniform_noise"
    amplitude: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0, unit="of full scale")] = (0.0, 0.1)

    def law(self, draw: Draw) -> Additive:
        """v' = v + amplitude · u."""
        return Additive(constant=exact.to_fixed(draw.value("amplitude"), UNIT_BITS), deviates="uniform")
