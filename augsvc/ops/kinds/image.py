"""The kinds of images: what their operations lower to.

    kind     what the lowering yields, per sample                       neighbours of the same kind
    frame    a 3×3 matrix from the source to the canvas                 none: at most one, the first operation
    move     a 3×3 matrix and a border mode                             one matrix, one resample
    warp     displacements on a lattice and a border mode               none: each one resample, with the moves before it
    tone     a C×(C+1) colour matrix, a change in HSV, or a table       one matrix, one table
    filter   a separable kernel, or a small dense one                   one after the other
    noise    a law and its strength                                     in order
    erase    rectangles and their fill                                  in order
    opaque   integers for its own `apply` (kinds/opaque.py)             one after the other
    mix      a weight and a rectangle (kinds/mix.py)                    none: at most one per sample, at the end
             or tiles (kinds/composition.py)                                none: at most one per sample

Executors state which kinds and which laws of noise they run; the server refuses any other at start-up
(augsvc.executors.runnable).
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, NamedTuple, Self

import numpy as np
from pydantic import model_validator

from augsvc.arrays import F64, I64, U8, Bools
from augsvc.numerics.geometry import Canvas
from augsvc.numerics.lattice import Lattice
from augsvc.ops.kinds.border import BLACK, MASK_NOTHING, Bordered, Fill, MaskFill, Padding, PaddingMode
from augsvc.ops.operation import AddedLater, Draw, Kind, Operation, Statistic

UNIT_BITS = 16  # fraction bits of everything on the [0, 1] scale: colour matrices, tables, kernels, strengths
WHITE = 65280.0  # 255 with 8 fraction bits: the scale of statistics
TABLE_ENTRIES = 1025  # of a tone table, evenly over [0, 1], read with linear interpolation
Label = Literal["mask", "boxes", "keypoints"]
Deviates = Literal["normal", "uniform", "laplace"]


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """What a frame may look at: the sizes of N sources and, if its `labels` name them, their labels in source pixels."""

    sizes: I64  # N,2: H, W
    masks: Sequence[U8] = ()  # N of H,W: classes
    boxes: F64 | None = None  # N,M,4: x1 y1 x2 y2
    boxes_valid: Bools | None = None  # N,M
    keypoints: F64 | None = None  # N,K,2: x y
    keypoints_valid: Bools | None = None  # N,K
    check: Callable[[], None] = lambda: None  # to be called in long work: it cancels by raising


class Frame(Operation):
    """Maps the source to the canvas, instead of the stream's `fit`, which samples get that `p` does not select: labels follow.

    It comes first, so the pixels outside the crop are those of the source, not of a canvas that has been cut.
    """

    kind: ClassVar[Kind] = Kind.FRAME
    labels: ClassVar[frozenset[Label]] = frozenset()  # that it looks at: without them it is refused
    ns_per_sample: ClassVar[float] = 3000.0  # of one core, for the estimate of a sample's time
    ns_per_label: ClassVar[float] = 0.0  # for each box and keypoint

    @property
    def outside(self) -> Padding | None:
        """What the canvas shows beyond the source; None if the frame stays inside it."""
        return None

    @abstractmethod
    def matrix(self, draw: Draw, sources: Sources, canvas: Canvas) -> F64:
        """Matrices (N, 3, 3) from the sources to the canvas, invertible."""


class PaddedFrame(Frame):
    """A frame that may show more than the source."""

    border: PaddingMode = "constant"
    fill: Fill = BLACK
    mask_fill: Annotated[MaskFill, AddedLater()] = MASK_NOTHING

    @model_validator(mode="after")
    def _only_a_constant_border_fills_masks(self) -> Self:
        if self.mask_fill != MASK_NOTHING and self.border != "constant":
            raise ValueError("needs border 'constant' for a mask_fill")
        return self

    @property
    def needs_fitted(self) -> bool:
        """Whether it shows the dataset's mean colour."""
        return self.outside.fill == "mean"

    @property
    def outside(self) -> Padding:
        """Its border; only a constant one has a colour and a class of masks."""
        return Padding(self.border, self.fill, self.mask_fill) if self.border == "constant" else Padding(self.border)


class Move(Bordered):
    """Moves content on the canvas: labels follow."""

    kind: ClassVar[Kind] = Kind.MOVE

    @abstractmethod
    def matrix(self, draw: Draw, canvas: Canvas) -> F64:
        """Matrices (N, 3, 3) from canvas to canvas, invertible."""


class Warp(Bordered):
    """Displaces the points of the canvas smoothly: labels follow, so it has to be a bijection."""

    kind: ClassVar[Kind] = Kind.WARP
    ns_per_sample: ClassVar[float] = 200_000.0  # of one core, for its lattice, in the estimate of a sample's time

    @abstractmethod
    def lattice(self, draw: Draw, canvas: Canvas) -> Lattice:
        """The displacements of N samples.

        Raises:
            SpecInvalid: the warp is too strong to be a bijection; settings that may be are better refused by the schema.
        """


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Integer sums over each channel of each incoming image, of values with 8 fraction bits (255 is WHITE)."""

    count: int  # values of a channel: H·W
    total: I64  # N,C
    squares: I64  # N,C

    def take(self, rows: I64) -> "Moments":
        """Those of some samples."""
        return Moments(self.count, self.total[rows], self.squares[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """What a pass's operations request of each incoming image; None is what none of them requests."""

    moments: Moments | None = None
    histogram: I64 | None = None  # N,C,256: the number of values that round to each level

    def take(self, rows: I64) -> "Statistics":
        """Those of some samples."""
        moments = self.moments and self.moments.take(rows)
        return Statistics(moments, None if self.histogram is None else self.histogram[rows])

    def require_moments(self) -> Moments:
        """The moments, for an operation that requests them."""
        if self.moments is None:
            raise ValueError("an operation reads moments that it does not request")
        return self.moments

    def require_histogram(self) -> I64:
        """The histogram, for an operation that requests it."""
        if self.histogram is None:
            raise ValueError("an operation reads a histogram that it does not request")
        return self.histogram


def byte_table(levels: F64 | I64) -> F64:
    """The table (…, TABLE_ENTRIES) of a function of bytes (…, 256) to levels, exact for inputs that are bytes.

    Entry i is that of the level nearest to i/1024. A byte b is read between the entries ⌊1024·b/255⌋ and the next, whose
    distance from b is below 255/1024, a quarter of a level: both hold the function's value at b.
    """
    nearest = (np.arange(TABLE_ENTRIES) * 255 + 512) // (TABLE_ENTRIES - 1)
    table: F64 = (levels / 255.0)[..., nearest]
    return table


class Hsv(NamedTuple):
    """A change in HSV, each (N,): a hue plus turns; saturation and value times a gain plus a shift, clamped to [0, 1]."""

    turns: F64  # 1 is a full turn
    saturation_gain: F64
    saturation_shift: F64
    value_gain: F64
    value_shift: F64

    @staticmethod
    def turn(turns: F64) -> "Hsv":
        """A change of the hue alone."""
        one, zero = np.ones_like(turns), np.zeros_like(turns)
        return Hsv(turns, one, zero, one, zero)


class Tone(Operation):
    """Maps the colour of each pixel, independent of its position, by what it implements of `matrix`, `hsv`, `table` and
    `final_matrix`, applied in this order. Which of them are None depends on the settings and the canvas alone.

    `statistics` has what the operations of the pass request, of the pass's incoming pixels. What a sample gets depends on its
    values of parameters and these alone: where all have the same, one is lowered for all of them.
    """

    kind: ClassVar[Kind] = Kind.TONE

    def matrix(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> F64 | None:
        """Colour matrices (N, C, C+1) on the [0, 1] scale; the last column is added."""
        return None

    def hsv(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> Hsv | None:
        """A change in HSV; on a canvas of one channel, of its value alone."""
        return None

    def table(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> F64 | None:
        """Curves (N, TABLE_ENTRIES), or one for each channel (N, C, TABLE_ENTRIES): the output in [0, 1] for inputs
        0, 1/1024, …, 1. `byte_table` makes them for a function of bytes.
        """
        return None

    def final_matrix(self, draw: Draw, canvas: Canvas, statistics: Statistics) -> F64 | None:
        """Colour matrices as those of `matrix`, for what comes after HSV or a table."""
        return None

    @property
    def final_statistics(self) -> frozenset[Statistic]:
        """The statistics that `final_matrix` requests, by the settings alone, of what the parts before it make of a sample: any
        of them opens a pass for it.
        """
        return frozenset()
        return None


class Filter(Operation):
    """Convolves with a small kernel, reflecting at the border of the canvas."""

    kind: ClassVar[Kind] = Kind.FILTER

    @property
    def ns_per_element(self) -> float:
        """The time of one core for an element, for the estimate of a sample's: 36 for up to 35 weights a value."""
        return 36.0

    @abstractmethod
    def kernels(self, draw: Draw, canvas: Canvas) -> I64:
        """One kernel per sample with UNIT_BITS fraction bits and a sum of exactly 1: separable, the same along both axes and
        without negative weights (N, 2R+1); or dense (N, 2R+1, 2R+1), rows then columns, with weights of any sign.

        R depends on the settings alone, so that a sample's kernel does not depend on the other samples of the batch. Results
        outside [0, 1] are clamped after the filter.
        """

    def weights(self, draw: Draw, canvas: Canvas) -> I64:
        """The kernels, checked: what executors call.

        Raises:
            ValueError: weights that would overflow in an executor.
        """
        kernels = self.kernels(draw, canvas)
        if kernels.ndim == 2 and kernels.min(initial=0) < 0:
            raise ValueError(f"{self.op}: the weights of a separable filter must not be negative")
        sums = kernels.reshape(len(kernels), -1).sum(axis=1)
        if (sums != 1 << UNIT_BITS).any():
            raise ValueError(f"{self.op}: the weights of a filter must sum to {1 << UNIT_BITS}, not {sums.tolist()}")
        return kernels


@dataclass(frozen=True, slots=True, eq=False)
class Additive:
    """The law v + (constant + linear·v + root·√v)·z of each element: v on [0, 1], z a deviate of the distribution.

    Normal and Laplace deviates have variance 1, uniform ones lie on [−1, 1]. A strength that is None is 0.
    """

    constant: I64 | None = None  # N, UNIT_BITS fraction bits, as the next two; none is negative
    linear: I64 | None = None
    root: I64 | None = None
    deviates: Deviates = "normal"


@dataclass(frozen=True, slots=True, eq=False)
class Replace:
    """The law: a pixel becomes value k where its 16-bit random number is below threshold k and not below the one before.

    One number decides for all channels, or one for each element.
    """

    thresholds: I64  # N, 1 or 2: 0 to 65536, ascending
    values: I64  # the same shape, UNIT_BITS fraction bits
    per_channel: bool = False


class Noise(Operation):
    """Changes each pixel at random, independently. The annotation of `law` states which laws it may return."""

    kind: ClassVar[Kind] = Kind.NOISE

    @abstractmethod
    def law(self, draw: Draw) -> Additive | Replace:
        """The law and its strength for N samples."""


class Erase(Operation):
    """Fills rectangles of the canvas; labels stay where they are."""

    kind: ClassVar[Kind] = Kind.ERASE

    @abstractmethod
    def rectangles(self, draw: Draw, canvas: Canvas) -> I64:
        """Whole pixels (N, R, 4) as x1 y1 x2 y2, exclusive ends; parts outside the canvas are ignored."""

    def boxes(self, draw: Draw, canvas: Canvas) -> I64:
        """The rectangles, clipped to the canvas."""
        return np.clip(self.rectangles(draw, canvas), 0, [canvas.width, canvas.height] * 2)

    @abstractmethod
    def fill(self, draw: Draw, canvas: Canvas) -> I64:
        """The colour that fills them: (N, C), UNIT_BITS fraction bits."""
