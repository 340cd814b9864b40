"""Compositions: operations whose image, made of several, the operations after them read as their source.

A `Collage` has tiles, one of the sample and one of each partner; `Branches` averages the sample with copies of itself that went
through other operations. The operations before one apply to what it is made of. A sample that it does not select goes through
the pipeline as if it were not there.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from augsvc.arrays import I64
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.border import Fill, Padding
from augsvc.ops.operation import Draw, Kind, Operation, Step

GREY_114 = (114.0 / 255.0,) * 3  # YOLO's, around images


class Composition(Operation):
    """An image made of several. A sample gets at most one."""

    kind: ClassVar[Kind] = Kind.MIX

    @staticmethod
    @abstractmethod
    def origin(canvas: Canvas) -> tuple[int, int]:
        """x and y of the canvas in it."""


class Branches(Composition):
    """A weighted sum of the sample and of what several steps make of it. It cannot carry labels that move with pixels."""

    ns_per_element: ClassVar[float] = 100.0  # of one core, for the estimate of a sample's time
    ns_per_sample: ClassVar[float] = 1_200_000.0  # whatever its size

    @property
    @abstractmethod
    def branches(self) -> Sequence[Step]:
        """The steps, with their ids: their draws are those of steps with these ids in a pipeline."""

    @abstractmethod
    def weights(self, draw: Draw) -> I64:
        """The weights (N, 1 + B) of the sample and of each branch, UNIT_BITS fraction bits, with a sum of exactly 1."""

    @staticmethod
    def origin(canvas: Canvas) -> tuple[int, int]:
        """It is as large as the canvas."""
        return 0, 0


class Tiles(NamedTuple):
    """What a collage lowers to: the rectangle of each canvas that it shows, and where it puts the canvas."""

    shown: I64  # N,T,4: x1 y1 x2 y2 in whole pixels of the canvas, exclusive ends
    offsets: I64  # N,T,2: x y of each canvas's upper left corner in the collage


class Collage(Composition):
    """Puts tiles together; the tile of the sample itself comes first."""

    fill: Fill = GREY_114  # where there is no tile

    @property
    def needs_fitted(self) -> bool:
        """Whether it shows the dataset's mean colour."""
        return self.fill == "mean"

    @property
    def background(self) -> Padding:
        """What it shows where there is no tile."""
        return Padding("constant", self.fill)

    @staticmethod
    def size(canvas: Canvas) -> tuple[int, int]:
        """Its (H, W): twice the canvas, so that moves after it find pixels around the canvas, which is in its middle."""
        return 2 * canvas.height, 2 * canvas.width

    @staticmethod
    def origin(canvas: Canvas) -> tuple[int, int]:
        """x and y of the canvas in it."""
        return canvas.width // 2, canvas.height // 2

    @abstractmethod
    def tiles(self, draw: Draw, contents: I64, canvas: Canvas) -> Tiles:
        """The tiles of N samples. `contents` (N, T, 4): the rectangle of each canvas that shows the sample, without bars."""
