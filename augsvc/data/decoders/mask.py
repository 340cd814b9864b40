"""Decodes masks: files whose values, or colours, are classes. They are never converted, only mapped.

A palette's indices are the values, not its colours, as in the masks of VOC. JPEG changes values, so it is refused.
"""

import io
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from augsvc.arrays import I64, U8
from augsvc.errors import Undecodable
from augsvc_client.decoding.containers.png import SIGNATURE, has_16_bits, strip_png
from augsvc_client.decoding.containers.stripped_image import DAMAGED
from augsvc_client.decoding.deep_png import read_deep_png
from augsvc_client.decoding.memory import image_decoding_bytes
from augsvc_client.decoding.tiff import is_tiff, read_tiff
from augsvc_client.decoding.whole_png import WholePng, require_declared_rows
from augsvc_client.text import printable

IGNORED = 255  # the class of pixels without one, as where the moved image has no source
MAX_CLASSES = 255
_MAX_VALUES = 1 << 16
_GREY, _PALETTE = 0, 3  # colour types of PNG
_UNKNOWN = -1

Color = tuple[int, int, int]
Value = int | Color


@dataclass(frozen=True)
class MaskValues:
    """What the values of masks mean.

    Args:
        classes: name → value or colour in the files, in the order of the classes; empty: values are classes themselves.
        ignore: the value or colour of pixels without a class; None: every pixel has one.
    """

    classes: Mapping[str, Value]
    ignore: Value | None

    def to_classes(self, values: npt.NDArray[Any]) -> U8:
        """The classes (H, W) of values (H, W) or colours (H, W, 3), 255 where they are ignored.

        Raises:
            Undecodable: a value that is no class.
        """
        if self._has_colors:
            if values.ndim == 2:
                raise Undecodable("its mask holds values, and `classes` gives colours")
            return self._look_up_colors(values)
        if values.ndim == 3:
            if (values != values[..., :1]).any():
                raise Undecodable("its mask holds colours: give `classes` as NAME: [red, green, blue]")
            values = values[..., 0]
        if values.size and int(values.max()) >= _MAX_VALUES:
            raise Undecodable(f"its mask has the value {int(values.max()):,}, above {_MAX_VALUES - 1:,}")
        classes: npt.NDArray[np.int16] = self._table[values]
        _require_known(classes, values)
        return classes.astype(np.uint8)

    @property
    def _has_colors(self) -> bool:
        return any(isinstance(value, tuple) for value in self.classes.values())

    @cached_property
    def _table(self) -> npt.NDArray[np.int16]:
        """Value → class."""
        table = np.full(_MAX_VALUES, _UNKNOWN, dtype=np.int16)
        if not self.classes:
            table[:IGNORED] = np.arange(IGNORED)
        for label, value in enumerate(self.classes.values()):
            table[value] = label
        if isinstance(self.ignore, int):
            table[self.ignore] = IGNORED
        return table

    @cached_property
    def _colors(self) -> tuple[I64, npt.NDArray[np.int16]]:
        """The colours as numbers, ascending, and their classes."""
        meanings = {_number(color): label for label, color in enumerate(self.classes.values())}
        if isinstance(self.ignore, tuple):
            meanings[_number(self.ignore)] = IGNORED
        numbers = sorted(meanings)
        return np.array(numbers, np.int64), np.array([meanings[number] for number in numbers], np.int16)

    def _look_up_colors(self, pixels: npt.NDArray[Any]) -> U8:
        numbers, labels = self._colors
        red, green, blue = (pixels[..., k].astype(np.int64) for k in range(3))
        values = red << 16 | green << 8 | blue
        positions = np.minimum(np.searchsorted(numbers, values), len(numbers) - 1)
        classes = np.where(numbers[positions] == values, labels[positions], _UNKNOWN)
        _require_known(classes, pixels)
        return classes.astype(np.uint8)


def _number(color: Value) -> int:
    if isinstance(color, int):
        raise ValueError("classes of a mask are all values or all colours")
    red, green, blue = color
    return red << 16 | green << 8 | blue


def _require_known(classes: npt.NDArray[Any], values: npt.NDArray[Any]) -> None:
    unknown = classes == _UNKNOWN
    if unknown.any():
        first = values[unknown][0].tolist()
        raise Undecodable(f"its mask has the value {first}, which is no class and not ignored")


def mask_decoding_bytes(data: bytes, max_pixels: int) -> int:
    """The memory that decoding a mask takes at its peak, by its header: as of an image, and its values as classes."""
    return image_decoding_bytes(data, max_pixels, windowed=True)


def decode_mask(data: bytes, max_pixels: int) -> npt.NDArray[Any]:
    """The values (H, W), or colours (H, W, 3), of a PNG or TIFF file, as they are stored.

    Raises:
        Undecodable: another format; more than `max_pixels`; transparent pixels; damaged.
    """
    try:
        return _decode(data, max_pixels)
    except (Undecodable, MemoryError):  # lack of memory is not a property of the bytes
        raise
    except Exception as err:  # on damaged data the library raises a dozen unrelated classes
        raise Undecodable(f"its mask: {DAMAGED}") from err


def _decode(data: bytes, max_pixels: int) -> npt.NDArray[Any]:
    if is_tiff(data):
        numbers = read_tiff(data, max_pixels)[0]
        if numbers.dtype.kind == "f" or numbers.min(initial=0) < 0:
            raise Undecodable("its mask holds fractions or negative numbers")
        return numbers[..., 0] if numbers.shape[2] == 1 else numbers
    if not data.startswith(SIGNATURE):
        raise Undecodable("its mask is no PNG or TIFF file; JPEG and lossy WebP change values")
    file = strip_png(data, max_pixels)
    depth, color_type = struct.unpack(">BB", file.data[24:26])
    if has_16_bits(data):
        numbers = read_deep_png(file.data)
        return numbers[..., 0] if numbers.shape[2] == 1 else numbers
    with WholePng(io.BytesIO(file.data)) as image:
        if image.size != (file.width, file.height):
            raise Undecodable(f"its mask: {DAMAGED}")
        image.load()
        require_declared_rows(image)
        if image.mode not in ("1", "L", "P", "RGB"):
            raise Undecodable(f"its mask has the mode {printable(image.mode)}: store it without transparency")
        values = np.asarray(image).astype(np.uint8)
    if color_type == _GREY and 1 < depth < 8:
        values //= 255 // (2**depth - 1)  # the library spreads them over 0 … 255
    return values
