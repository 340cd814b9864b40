"""Rotations by right angles and reflections: the symmetries of a square."""

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from augsvc.arrays import F64, Bools
from augsvc.numerics.geometry import Canvas, about, affine
from augsvc.ops.kinds.image import Move
from augsvc.ops.laws import INTEGERS
from augsvc.ops.operation import Draw, Drawn, Interval, Settings


class Rotate90(Move):
    """Rotates counter-clockwise by `turns` right angles, as np.rot90; on a canvas that is not square, about the centre."""

    identity: ClassVar[Settings] = {"turns": 0}
    elsewhere = {"Kornia": "RandomRotation90", "Albumentations": "RandomRotate90"}
    op: Literal["rotate90"] = "rotate90"
    turns: Annotated[Interval, Drawn(lane=1, low=0.0, high=3.0, law=INTEGERS, unit="quarter turns")] = (0.0, 3.0)

    def matrix(self, draw: Draw, canvas: Canvas) -> F64:
        """One of four rotations about (W/2, H/2): exact bytes on a square canvas."""
        turns = draw.value("turns")
        return _symmetry(turns, np.zeros(len(turns), np.bool_), canvas)


class Transpose(Move):
    """Exchanges rows and columns, as np.transpose; on a canvas that is not square, about the centre."""

    elsewhere = {"Albumentations": "Transpose"}
    op: Literal["transpose"] = "transpose"
    p: Annotated[float, Field(ge=0.0, le=1.0, strict=True)] = 0.5

    def matrix(self, draw: Draw, canvas: Canvas) -> F64:
        """x' − W/2 = y − H/2 and the reverse: a quarter turn clockwise, then a horizontal flip."""
        n = len(draw.selected)
        return _symmetry(np.full(n, 3.0), np.ones(n, np.bool_), canvas)


class Dihedral(Move):
    """Applies one of the eight symmetries of a square, on a canvas that is not square about the centre."""

    identity: ClassVar[Settings] = {"symmetry": 0}
    elsewhere = {"Albumentations": "D4, SquareSymmetry"}
    op: Literal["dihedral"] = "dihedral"
    symmetry: Annotated[Interval, Drawn(lane=1, low=0.0, high=7.0, law=INTEGERS)] = (0.0, 7.0)

    def matrix(self, draw: Draw, canvas: Canvas) -> F64:
        """Of number s: s mod 4 counter-clockwise quarter turns, then from 4 on a horizontal flip."""
        symmetry = draw.value("symmetry")
        return _symmetry(symmetry, symmetry >= 4.0, canvas)


def _symmetry(turns: F64, flipped: Bools, canvas: Canvas) -> F64:
    """Counter-clockwise quarter turns about the centre, then a horizontal flip where `flipped`: (N, 3, 3)."""
    quadrant = turns.astype(np.int64) & 3
    sin, cos = np.array([0.0, 1.0, 0.0, -1.0])[quadrant], np.array([1.0, 0.0, -1.0, 0.0])[quadrant]
    sign = np.where(flipped, -1.0, 1.0)
    return about(affine(sign * cos, sign * sin, sin * 0, -sin, cos, sin * 0), canvas.width / 2.0, canvas.height / 2.0)
