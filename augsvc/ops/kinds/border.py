"""What an image shows beyond the edges of its source."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, GetCoreSchemaHandler, WithJsonSchema, model_validator
from pydantic_core import CoreSchema, core_schema

from augsvc.arrays import F64
from augsvc.numerics.color import LUMA
from augsvc.numerics.geometry import Canvas, Interpolation
from augsvc.ops.operation import AddedLater, Operation

Border = Literal["zeros", "constant", "reflect", "reflect101", "edge"]
PaddingMode = Literal["constant", "reflect", "reflect101", "edge"]
Level = Annotated[float, Field(ge=0.0, le=1.0, strict=True)]
Color = Literal["mean"] | tuple[float, float, float]  # of a border: the dataset's mean, or red, green, blue on [0, 1]


class _ColorSchema:
    """Validates a `Color`; one number is a grey level. (Of a union an error would name its members, not the field.)"""

    def __get_pydantic_core_schema__(self, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(
            _validate_color,
            handler.generate_schema(tuple[Level, Level, Level]),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda color: color if color == "mean" else list(color)
            ),
        )


def _validate_color(value: object, validate: Callable[[object], Color]) -> Color:
    if value == "mean":
        return "mean"
    return validate(value if isinstance(value, list | tuple) else (value,) * 3)


_LEVEL = {"type": "number", "minimum": 0.0, "maximum": 1.0}
_COLOR = {"type": "array", "items": _LEVEL, "minItems": 3, "maxItems": 3}
Fill = Annotated[Color, _ColorSchema(), WithJsonSchema({"anyOf": [_LEVEL, _COLOR, {"const": "mean"}]})]
BLACK: Color = (0.0, 0.0, 0.0)
MASK_NOTHING = 255  # the class of masks where the image shows nothing of the source
MaskFill = Annotated[int, Field(ge=0, le=255, strict=True)]


class Padding(NamedTuple):
    """What an image shows beyond the edges of its source: a colour, the source reflected, or its edge repeated.

    `reflect` repeats the pixel at the edge, as NumPy's "symmetric"; `reflect101` does not, as NumPy's "reflect".
    """

    mode: PaddingMode
    fill: Color = BLACK
    mask_fill: int = MASK_NOTHING  # the class of masks there

    def levels(self, canvas: Canvas) -> F64:
        """The colour on [0, 1], one value per channel: of a grey canvas its Rec. 601 luma."""
        if self.fill == "mean":
            if canvas.colors is None:
                raise ValueError("the mean colour needs statistics of the dataset")
            return canvas.colors.mean_color(canvas.channels)
        fill = np.array(self.fill, dtype=np.float64)
        return fill if canvas.channels == 3 else (fill * LUMA).sum(keepdims=True)


EDGE = Padding("edge")


class Resampled(Operation):
    """Shows its source between the source's pixels.

    `nearest` takes the pixel that contains a point. `bicubic` has the weights of Keys (1981), a = −0.5, as the resizes of Pillow
    and of torchvision with antialias: where a frame shrinks, they widen with a canvas pixel.
    """

    interpolation: Annotated[Interpolation, AddedLater()] = "bilinear"


class Bordered(Operation):
    """May show more than its source. `fill` is the colour of border `constant`; `zeros` is black. `mask_fill` is the class of
    masks there.
    """

    border: Border = "zeros"
    fill: Annotated[Fill, AddedLater()] = BLACK
    mask_fill: Annotated[MaskFill, AddedLater()] = MASK_NOTHING

    @model_validator(mode="after")
    def _only_a_constant_border_has_a_colour(self) -> Self:
        if self.fill != BLACK and self.border != "constant":
            raise ValueError("needs border 'constant' for a fill")
        if self.mask_fill != MASK_NOTHING and self.border not in ("zeros", "constant"):
            raise ValueError("needs border 'zeros' or 'constant' for a mask_fill")
        return self

    @property
    def needs_fitted(self) -> bool:
        """Whether it shows the dataset's mean colour."""
        return self.fill == "mean"

    @property
    def outside(self) -> Padding:
        """What the canvas shows beyond the source."""
        return Padding("constant" if self.border == "zeros" else self.border, self.fill, self.mask_fill)
