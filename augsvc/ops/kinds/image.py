"""What an operation is: a drawing rule and a lowering. It never touches a pixel; it says what it does in one of six kinds.

    kind     what the lowering yields, per sample                       neighbours of the same kind
    move     a 3×3 matrix and a border mode                             one matrix, one resample
    tone     a C×(C+1) colour matrix, or a table over [0, 1]            one matrix, one table
    filter   a separable kernel, or a small dense one                   one after the other
    noise    a law and its strength                                     in order
    erase    rectangles and what fills them                             in order
    mix      a partner's index and weights                              (a later release)

Those of sound are in augsvc.ops.kinds.audio. What fits no kind is `Opaque` and carries its own `apply`. All lowerings are
integers or are rounded to integers by the plan, built from the functions of augsvc.numerics.exact, so they are the same on every
CPU.

A drawn parameter is a field annotated with `Drawn`, which names its lane for ever. To add an operation, put a class in a
file below augsvc/ops/image: nothing else has to know of it.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch

from augsvc.arrays import F64, I64
from augsvc.numerics.geometry import Canvas
from augsvc.ops.operation import Draw, Kind, Operation

Border = Literal["zeros", "reflect", "edge"]


UNIT_BITS = 16  # fraction bits of everything on the [0, 1] scale: colour matrices, tables, kernels, strengths


TABLE_ENTRIES = 1025  # of a tone table, evenly over [0, 1], read with linear interpolation


class Move(Operation):
    """Moves content on the canvas: labels follow."""

    kind: ClassVar[Kind] = Kind.MOVE
    shared: ClassVar[frozenset[str]] = frozenset({"border"})
    border: Border = "zeros"

    @abstractmethod
    def matrix(self, draw: Draw, canvas: Canvas) -> F64:
        """Matrices (N, 3, 3) from canvas to canvas, invertible."""


@dataclass(frozen=True, slots=True, eq=False)
class Statistics:
    """Integer sums over each incoming picture, values with 8.8 bits (255 is 65280)."""

    count: int  # numbers summed: C·H·W
    total: I64  # N
    squares: I64  # N


class Tone(Operation):
    """Maps colours, pixel by pixel, alike everywhere. Implements `matrix` or `table` (or both: matrix, then table)."""

    kind: ClassVar[Kind] = Kind.TONE

    def matrix(self, draw: Draw, canvas: Canvas, statistics: Statistics | None) -> F64 | None:
        """Colour matrices (N, C, C+1) on the [0, 1] scale, the last column added."""
        return None

    def table(self, draw: Draw) -> F64 | None:
        """Curves (N, TABLE_ENTRIES): the output in [0, 1] for inputs 0, 1/1024, …, 1."""
        return None


class Filter(Operation):
    """Weighs each pixel with its neighbours, reflecting at the canvas's edge."""

    kind: ClassVar[Kind] = Kind.FILTER

    @abstractmethod
    def kernels(self, draw: Draw, canvas: Canvas) -> I64:
        """One kernel a sample, UNIT_BITS fraction bits, sums exactly 1: separable, alike on both axes, none negative (N, 2R+1);
        or dense (N, 2R+1, 2R+1) as rows and columns around a pixel, of any sign.

        R depends on the settings alone, so that no sample's kernel depends on its company. What a negative weight takes beyond
        [0, 1] is clamped where the filter ends.
        """

    def weights(self, draw: Draw, canvas: Canvas) -> I64:
        """The kernels, for who applies them.

        Raises:
            ValueError: they are not what they have to be: numbers would wrap in some executor.
        """
        kernels = self.kernels(draw, canvas)
        if kernels.ndim == 2 and kernels.min(initial=0) < 0:
            raise ValueError(f"{self.op}: a filter's weights along both axes are not negative")
        sums = kernels.reshape(len(kernels), -1).sum(axis=1)
        if (sums != 1 << UNIT_BITS).any():
            raise ValueError(f"{self.op}: a filter's weights are {1 << UNIT_BITS} in all, not {sums.tolist()}")
        return kernels


@dataclass(frozen=True, slots=True, eq=False)
class Gaussian:
    """The law v + std · normal, one deviate an element."""

    std: I64  # N, UNIT_BITS fraction bits


@dataclass(frozen=True, slots=True, eq=False)
class Dropout:
    """The law: a pixel, in all channels, becomes `value` where its 16-bit number is below `threshold`."""

    threshold: I64  # N, 0 to 65536
    value: I64  # N, UNIT_BITS fraction bits


class Noise(Operation):
    """Changes pixels at random, each on its own."""

    kind: ClassVar[Kind] = Kind.NOISE

    @abstractmethod
    def law(self, draw: Draw) -> Gaussian | Dropout:
        """The law and its strength for N samples."""


class Erase(Operation):
    """Covers rectangles of the canvas; labels stay where they are."""

    kind: ClassVar[Kind] = Kind.ERASE

    @abstractmethod
    def rectangles(self, draw: Draw, canvas: Canvas) -> I64:
        """Whole pixels (N, R, 4) as x1 y1 x2 y2, exclusive ends; what lies outside the canvas counts for nothing."""

    def boxes(self, draw: Draw, canvas: Canvas) -> I64:
        """The same, cut off where the canvas ends."""
        return np.clip(self.rectangles(draw, canvas), 0, [canvas.width, canvas.height] * 2)

    @abstractmethod
    def fill(self, draw: Draw, canvas: Canvas) -> I64:
        """What they are filled with: (N, C), UNIT_BITS fraction bits."""


class Opaque(Operation):
    """What fits no kind: carries its own pixels. Labels stay valid."""

    kind: ClassVar[Kind] = Kind.OPAQUE

    @abstractmethod
    def lower(self, draw: Draw, canvas: Canvas) -> I64:
        """Integers (N, K), all that `apply` depends on besides the pixels."""

    @abstractmethod
    def apply(self, image: torch.Tensor, lowered: I64) -> torch.Tensor:
        """Pixels float32 (n, C, H, W) on the [0, 1] scale to pixels of the same shape, sample by sample alone."""
