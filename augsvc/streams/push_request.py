"""The request of a push."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from augsvc.numerics.geometry import Fit
from augsvc.numerics.rng import MAX_EPOCHS, MAX_VIEWS
from augsvc.planning.spec import Operations, Output, Rate, Seed, Side
from augsvc.validation import Window

_Row = Annotated[int, Field(ge=0, strict=True)]


class PushRequest(BaseModel):
    """The request of a push: `__metadata__.request`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    pipeline: Operations = ()
    aug_seed: Seed = 0
    epoch: Annotated[int, Field(ge=0, lt=MAX_EPOCHS, strict=True)] = 0
    view: Annotated[int, Field(ge=0, lt=MAX_VIEWS, strict=True)] = 0
    size: tuple[Side, Side] | None = None
    fit: Fit = "cover"
    output: Output = Output()
    window: Window | None = None  # the numbers of `image` that are black and white
    flip_pairs: tuple[tuple[_Row, _Row], ...] = ()  # keypoints of an object that a mirrored image swaps
    sample_rate: Rate | None = None
    expect_arithmetic: str | None = None
