"""What an image shows beyond the edges of its source."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field, GetCoreSchemaHandler, WithJsonSchema
from pydantic_core import CoreSchema, core_schema

from augsvc.arrays import F64
from augsvc.numerics.color import LUMA
from augsvc.numerics.geometry import Canvas

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


class Padding(NamedTuple):
    """What an image shows beyond the edges of its source: a colour, the source reflected, or its edge repeated.

    `reflect` repeats the pixel at the edge, as NumPy's "symmetric"; `reflect101` does not, as NumPy's "reflect".
    """

    mode: PaddingMode
    fill: Color = BLACK

    def levels(self, canvas: Canvas) -> F64:
        """The colour on [0, 1], one value per channel: of a grey canvas its Rec. 601 luma."""
        if self.fill == "mean":
            if canvas.colors is None:
                raise ValueError("the mean colour needs statistics of the dataset")
            return canvas.colors.mean_color(canvas.channels)
        fill = np.array(self.fill, dtype=np.float64)
        return fill if canvas.channels == 3 else (fill * LUMA).sum(keepdims=True)


EDGE = Padding("edge")
