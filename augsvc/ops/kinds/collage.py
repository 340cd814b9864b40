"""The kind `collage`: an image of tiles, one of the sample and one of each partner, that later operations read as their source.

The tiles are what the operations before it make of each sample. A sample that it does not select goes through the pipeline as
if it were not there.
"""

from abc import abstractmethod
from typing import ClassVar, NamedTuple

from augsvc.arrays import I64
from augsvc.numerics.geometry import Canvas
from augsvc.ops.kinds.border import Fill, Padding
from augsvc.ops.operation import Draw, Kind, Operation

GREY_114 = (114.0 / 255.0,) * 3  # YOLO's, around images


class Tiles(NamedTuple):
    """What a collage lowers to: the rectangle of each canvas that it shows, and where it puts the canvas."""

    shown: I64  # N,T,4: x1 y1 x2 y2 in whole pixels of the canvas, exclusive ends
    offsets: I64  # N,T,2: x y of each canvas's upper left corner in the collage


class Collage(Operation):
    """Puts tiles together; the tile of the sample itself comes first."""

    kind: ClassVar[Kind] = Kind.MIX
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
