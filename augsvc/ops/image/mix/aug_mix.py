"""AugMix."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, StrictBool

from augsvc.arrays import I64
from augsvc.numerics import exact
from augsvc.ops.chain import Chain, Severity
from augsvc.ops.container import HALF_STEP
from augsvc.ops.kinds.border import BLACK, Fill
from augsvc.ops.kinds.composition import Branches
from augsvc.ops.kinds.image import UNIT_BITS
from augsvc.ops.operation import Draw, Drawn, Interval, Settings, Step

_MAX_WIDTH = 4


class AugMix(Branches):
    """Averages the sample with `width` copies that went through chains of one to three operations (Hendrycks et al. 2020).

    As torchvision's AugMix with alpha 1: the sample's own weight is uniform, and the copies share the rest by the law
    Dirichlet(1, …, 1). `severity` is the number of levels, of ten, that an operation's strength is drawn from.
    """

    continuous: ClassVar[bool] = False
    elsewhere = {"torchvision": "AugMix"}
    identity: ClassVar[Settings] = {"own_weight": 1}
    examples: ClassVar[tuple[Settings, ...]] = ({}, {"all_ops": False})
    op: Literal["aug_mix"] = "aug_mix"
    severity: Severity = 3
    width: Annotated[int, Field(ge=1, le=_MAX_WIDTH, strict=True)] = 3
    depth: Annotated[int, Field(ge=1, le=3, strict=True)] | None = None  # of all chains; None: drawn by each
    all_ops: StrictBool = True
    own_weight: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0)] = (0.0, 1.0)
    chain_weights: Annotated[Interval, Drawn(lane=2, low=0.0, high=1.0, count=_MAX_WIDTH)] = (0.0, 1.0)
    fill: Fill = BLACK

    @property
    def needs_fitted(self) -> bool:
        """Whether it shows the dataset's mean colour."""
        return self.fill == "mean"

    @property
    def branches(self) -> Sequence[Step]:
        """The chains."""
        settings = {"severity": self.severity, "all_ops": self.all_ops, "fill": self.fill}
        settings |= {} if self.depth is None else {"depth": self.depth}
        return [Chain.model_validate({**settings, "id": f"{self.id}.{number}"}) for number in range(1, self.width + 1)]

    def weights(self, draw: Draw) -> I64:
        """Exponential deviates over their sum have the law Dirichlet(1, …, 1)."""
        own = draw.value("own_weight")[:, None]
        deviates = -exact.log(np.minimum(draw.value("chain_weights")[:, : self.width] + HALF_STEP, 1.0 - HALF_STEP))
        rest = (1.0 - own) * deviates / deviates.sum(axis=1, keepdims=True)
        fixed = np.floor(rest * (1 << UNIT_BITS)).astype(
            np.int64
        )  # downwards, so that the sample's own is not negative
        return np.concatenate(((1 << UNIT_BITS) - fixed.sum(axis=1, keepdims=True), fixed), axis=1)
