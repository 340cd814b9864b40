"""One pixel of a mask, nearest sampling: the class of the source's pixel that contains its centre.

Cameras are followed from the last to the first: nearest of nearest is a chain of whole pixels, so no canvas lies between two
passes. A pixel is its number, row · width + column; −1 − c is none, of class c.
"""

from typing import NamedTuple

import numpy as np

from augsvc.executors.fused.kernels.args import CONSTANT, I32, REFLECT, REFLECT_101, U8, Int, MaskArgs
from augsvc.executors.fused.kernels.camera import DEPTH_CUTOFF, HEIGHT, WIDTH, Mapping, read_mapping
from augsvc.executors.fused.kernels.compiled import compiled, inlined, threaded
from augsvc.executors.fused.kernels.warp import Lattice, displaced, displacement_at, read_lattice

_CENTRE = 1 << 15  # of a pixel, from its corner


class View(NamedTuple):
    """A camera's source and border. In registers: with loads from the row in the loop a pixel took 3.2 ns, not 0.7."""

    mapping: Mapping
    height: Int
    width: Int
    border: Int
    nothing: Int  # −1 − the class outside


@compiled
def read_view(args: MaskArgs, n: Int, k: Int) -> View:
    """Camera k of sample n."""
    camera = args.cameras[n, k]
    outside = np.int64(args.outside[k])
    return View(read_mapping(camera), camera[HEIGHT], camera[WIDTH], args.borders[k], -1 - outside)


@inlined
def locate_affine(view: View, u: Int, v: Int) -> Int:
    """The pixel that contains the centre of (u, v), without perspective."""
    mapping = view.mapping
    twice_u, twice_v = 2 * u + 1, 2 * v + 1  # twice a centre is whole
    x = (mapping.a * twice_u + mapping.b * twice_v + 2 * mapping.c) >> 33
    y = (mapping.d * twice_u + mapping.e * twice_v + 2 * mapping.f) >> 33
    return pixel_number(view, x, y)


@inlined
def locate_perspective(view: View, u: Int, v: Int) -> Int:
    """The pixel that contains the centre of (u, v), with perspective."""
    mapping = view.mapping
    twice_u, twice_v = 2 * u + 1, 2 * v + 1
    depth = mapping.depth_u * twice_u + mapping.depth_v * twice_v + 2 * mapping.depth_1
    if depth < 2 * DEPTH_CUTOFF:
        return view.nothing
    x = (mapping.a * twice_u + mapping.b * twice_v + 2 * mapping.c) // depth
    y = (mapping.d * twice_u + mapping.e * twice_v + 2 * mapping.f) // depth
    return pixel_number(view, x, y)


@inlined
def locate_displaced(view: View, u: Int, v: Int, dx: Int, dy: Int) -> Int:
    """The pixel that contains the centre of (u, v) where it is displaced."""
    centre = displaced(view.mapping, u, v, dx + _CENTRE, dy + _CENTRE)
    if not view.mapping.has_perspective:
        return pixel_number(view, centre.x >> 32, centre.y >> 32)
    if centre.depth < DEPTH_CUTOFF:
        return view.nothing
    return pixel_number(view, centre.x // centre.depth, centre.y // centre.depth)


@inlined
def pixel_number(view: View, x: Int, y: Int) -> Int:
    """The number of the source's pixel (x, y), by the border's rule."""
    if 0 <= x < view.width and 0 <= y < view.height:
        return y * view.width + x
    if view.border == CONSTANT:
        return view.nothing
    return _border_index(y, view.height, view.border) * view.width + _border_index(x, view.width, view.border)


@compiled
def _border_index(index: Int, length: Int, border: Int) -> Int:
    """`border_index` for a pixel however far away: up to 2^36, under perspective."""
    if border == REFLECT:
        reflected = index % (2 * length)
        return min(reflected, 2 * length - 1 - reflected)
    if border == REFLECT_101:
        period = max(2 * length - 2, 1)
        reflected = index % period
        return min(reflected, period - reflected)
    return min(max(index, 0), length - 1)


@inlined
def follow(view: View, width: Int, pixel: Int) -> Int:
    """The pixel of the source at a pixel of a canvas of that width."""
    u, v = np.int64(np.uint32(pixel) % np.uint32(width)), np.int64(np.uint32(pixel) // np.uint32(width))
    return locate_perspective(view, u, v) if view.mapping.has_perspective else locate_affine(view, u, v)


@inlined
def follow_displaced(view: View, nodes: I32, lattice: Lattice, width: Int, pixel: Int) -> Int:
    """The same with a warp."""
    u, v = np.int64(np.uint32(pixel) % np.uint32(width)), np.int64(np.uint32(pixel) // np.uint32(width))
    dx, dy = displacement_at(nodes, lattice, u, v)
    return locate_displaced(view, u, v, dx, dy)


@threaded
def class_at(source: U8, args: MaskArgs, n: Int, may_warp: bool, width: Int, pixel: Int) -> Int:
    """The class at a pixel of a canvas of that width, from the flat mask of sample n.

    `may_warp`, whether a camera has a warp, is a constant: a GPU's kernel without takes 48 registers, not 104.
    """
    for k in range(args.borders.size - 1, -1, -1):
        view = read_view(args, n, k)
        if may_warp and args.warp.displaced[n, k]:
            pixel = follow_displaced(view, args.warp.nodes[n], read_lattice(args.warp, k), width, pixel)
        else:
            pixel = follow(view, width, pixel)
        if pixel < 0:
            return -1 - pixel
    return np.int64(source[pixel])
