"""Fractal light."""

from typing import Annotated, ClassVar, Literal

import numpy as np

from augsvc.arrays import I64, U16
from augsvc.numerics import exact
from augsvc.numerics.fields import FIELD_BITS, PLASMA_NUMBERS, PLASMA_SIDE, expand, plasma
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import WHITE
from augsvc.ops.kinds.opaque import OnValues
from augsvc.ops.operation import Draw, Drawn, Interval, Settings

_WHITE, _GREY = int(WHITE), int(WHITE) // 2


class Plasma(OnValues):
    """Changes brightness or contrast, or casts shadows, by fractal noise f from 0 to 1, as Kornia's plasma operations.

    Mode `brightness`: v + intensity·(2f − 1). Mode `contrast`: about the middle by 1 + intensity·(4f − 1), so that intensity 1 is
    Kornia's. Mode `shadow`: v − intensity where f is below `quantity`.
    """

    elsewhere = {
        "Kornia": "RandomPlasmaBrightness, RandomPlasmaContrast, RandomPlasmaShadow",
        "Albumentations": "PlasmaBrightnessContrast, PlasmaShadow",
    }
    identity: ClassVar[Settings] = {"intensity": 0}
    continuous: ClassVar[bool] = False
    examples: ClassVar[tuple[Settings, ...]] = ({}, {"mode": "contrast"}, {"mode": "shadow"})
    op: Literal["plasma"] = "plasma"
    mode: Literal["brightness", "contrast", "shadow"] = "brightness"
    intensity: Annotated[Interval, Drawn(lane=1, low=0.0, high=1.0)] = (0.1, 0.5)
    roughness: Annotated[
        Interval, Drawn(lane=2, low=0.1, high=0.9, unit="of an octave's amplitude to that of the one before")
    ] = (0.1, 0.7)
    quantity: Annotated[Interval, Drawn(lane=3, low=0.0, high=1.0)] = (0.3, 0.5)

    def lower(self, draw: Draw, canvas: Canvas) -> I64:
        """The intensity and the quantity with FIELD_BITS fraction bits, and the lattice of the noise."""
        lattice = plasma(draw.uniform((PLASMA_NUMBERS,)), draw.value("roughness"))
        settings = [exact.to_fixed(draw.value(name), FIELD_BITS)[:, None] for name in ("intensity", "quantity")]
        return np.concatenate((*settings, lattice.reshape(len(lattice), -1)), axis=1)

    def change(self, values: U16, lowered: I64) -> U16:
        """As OnValues.change."""
        intensity, quantity = lowered[:2].tolist()
        field = expand(lowered[2:].reshape(PLASMA_SIDE, PLASMA_SIDE), *values.shape[1:]).astype(np.int32)
        one, half = 1 << FIELD_BITS, 1 << (FIELD_BITS - 1)
        if self.mode == "contrast":
            gain = one + ((intensity * (4 * field.astype(np.int64) - one)) >> FIELD_BITS)  # below 2^17
            changed = _GREY + (((values.astype(np.int64) - _GREY) * gain + half) >> FIELD_BITS)
        elif self.mode == "brightness":
            shift = (_WHITE * intensity) >> FIELD_BITS
            changed = values + ((shift * (2 * field.astype(np.int64) - one) + half) >> FIELD_BITS)
        else:
            changed = values - np.where(field < quantity, np.int32((_WHITE * intensity) >> FIELD_BITS), np.int32(0))
        clipped: U16 = np.clip(changed, 0, _WHITE).astype(np.uint16)
        return clipped
