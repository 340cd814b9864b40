"""Hue, saturation and value."""

from typing import Annotated, ClassVar, Literal

from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.image import Hsv, Statistics, Tone
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class HueSaturationValue(Tone):
    """Turns hue, and scales and shifts saturation and value, in HSV.

    The defaults are the ranges of Ultralytics' RandomHSV; with gains of 1 and shifts it is Albumentations' HueSaturationValue,
    whose limits are over 180 for hue and over 255 for the others. `hue` 1 is a full turn. Grey has hue 0, so a saturation that is
    shifted colours it red, and nearly grey pixels by what is left of their hue. On a grey canvas only the value changes.
    """

    continuous: ClassVar[bool] = False
    examples: ClassVar[tuple[Settings, ...]] = (
        {},
        {
            "hue": [-0.11, 0.11], "saturation": 1, "value": 1,
            "saturation_shift": [-0.12, 0.12], "value_shift": [-0.08, 0.08],
        },
    )  # fmt: skip
    identity: ClassVar[Settings] = {"hue": 0, "saturation": 1, "value": 1, "saturation_shift": 0, "value_shift": 0}
    elsewhere = {"Albumentations": "HueSaturationValue"}
    op: Literal["hue_saturation_value"] = "hue_saturation_value"
    hue: Annotated[Interval, Drawn(lane=1, low=-0.5, high=0.5, unit="turns")] = (-0.015, 0.015)
    saturation: Annotated[Interval, Drawn(lane=2, low=0.0, high=4.0, unit="×")] = (0.3, 1.7)
    value: Annotated[Interval, Drawn(lane=3, low=0.0, high=4.0, unit="×")] = (0.6, 1.4)
    saturation_shift: Annotated[Interval, Drawn(lane=4, low=-1.0, high=1.0, unit="of full scale")] = (0.0, 0.0)
    value_shift: Annotated[Interval, Drawn(lane=5, low=-1.0, high=1.0, unit="of full scale")] = (0.0, 0.0)

    def hsv(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> Hsv:
        """Its five parameters."""
        return Hsv(
            turns=draw.value("hue"),
            saturation_gain=draw.value("saturation"),
            saturation_shift=draw.value("saturation_shift"),
            value_gain=draw.value("value"),
            value_shift=draw.value("value_shift"),
        )
