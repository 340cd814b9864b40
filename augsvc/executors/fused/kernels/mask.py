"""One pixel of a mask, nearest sampling: the class of the source's pixel that its centre lies in.

Through cameras from the last to the first: nearest of nearest is a chain of whole places, so no canvas lies between two
passes. A pixel is a number, row · width + column.
"""

from typing import NamedTuple

import numpy as np

from augsvc.executors.fused.kernels.args import (
    DEPTH,
    DEPTH_X,
    DEPTH_Y,
    HEIGHT,
    I64,
    NEAREST,
    TILTED,
    U8,
    WIDTH,
    ZEROS,
    A,
    B,
    C,
    D,
    E,
    F,
    Int,
)
from augsvc.executors.fused.kernels.compiled import compiled, inlined, threaded
from augsvc.executors.fused.kernels.move import inside


class View(NamedTuple):
    """A camera and its border, as plain numbers: with loads from the sheet in the loop a pixel took 3.2 ns, not 0.7."""

    a: Int
    b: Int
    c: Int
    d: Int
    e: Int
    f: Int
    lean_x: Int
    lean_y: Int
    depth: Int
    tilted: Int
    height: Int
    width: Int
    border: Int


@compiled
def view(cameras: I64, borders: I64, k: Int) -> View:
    """That of a sample's camera k."""
    camera = cameras[k]
    return View(
        camera[A], camera[B], camera[C], camera[D], camera[E], camera[F], camera[DEPTH_X], camera[DEPTH_Y], camera[DEPTH],
        camera[TILTED], camera[HEIGHT], camera[WIDTH], borders[k],
    )  # fmt: skip


@inlined
def straight(seen: View, u: Int, v: Int) -> Int:
    """The number of the pixel that the centre of (u, v) lies in, without perspective; −1 where that is nothing."""
    twice_u, twice_v = 2 * u + 1, 2 * v + 1  # a centre, doubled, is whole
    x = (seen.a * twice_u + seen.b * twice_v + 2 * seen.c) >> 33
    y = (seen.d * twice_u + seen.e * twice_v + 2 * seen.f) >> 33
    return numbered(seen, x, y)


@inlined
def tilted(seen: View, u: Int, v: Int) -> Int:
    """The same with perspective."""
    twice_u, twice_v = 2 * u + 1, 2 * v + 1
    far = seen.lean_x * twice_u + seen.lean_y * twice_v + 2 * seen.depth
    if far < 2 * NEAREST:
        return -1
    x = (seen.a * twice_u + seen.b * twice_v + 2 * seen.c) // far
    y = (seen.d * twice_u + seen.e * twice_v + 2 * seen.f) // far
    return numbered(seen, x, y)


@inlined
def numbered(seen: View, x: Int, y: Int) -> Int:
    """The number of a pixel of the source, by its border's rule."""
    if 0 <= x < seen.width and 0 <= y < seen.height:
        return y * seen.width + x
    if seen.border == ZEROS:
        return -1
    return inside(y, seen.height, seen.border) * seen.width + inside(x, seen.width, seen.border)


@inlined
def again(seen: View, width: Int, pixel: Int) -> Int:
    """From a pixel of a canvas of that width, by its number."""
    u, v = np.int64(np.uint32(pixel) % np.uint32(width)), np.int64(np.uint32(pixel) // np.uint32(width))
    return tilted(seen, u, v) if seen.tilted else straight(seen, u, v)


@threaded
def classed(source: U8, cameras: I64, borders: I64, nothing: Int, width: Int, pixel: Int) -> Int:
    """The class at a pixel of a canvas of that width, from the sample's flat mask."""
    for k in range(borders.size - 1, -1, -1):
        pixel = again(view(cameras, borders, k), width, pixel)
        if pixel < 0:
            return nothing
    return np.int64(source[pixel])
