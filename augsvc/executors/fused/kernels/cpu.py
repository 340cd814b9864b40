"""Passes on the CPU: some samples, each sample row by row from its source to its bytes, without the interpreter's lock.

No threads are started here: the caller cuts a batch into ranges and calls from its threads. (Numba's threads abort when two
of ours enter them, and die after a fork.)
"""

import numpy as np
from numba import carray

from augsvc.executors.fused.kernels.args import (
    BILINEAR,
    FROM_CANVAS,
    FROM_DEEP_SOURCES,
    FROM_SOURCES,
    I64,
    U8,
    U16,
    CanvasShape,
    Int,
    MaskArgs,
    PassArgs,
)
from augsvc.executors.fused.kernels.camera import HEIGHT, IDENTICAL, WIDTH
from augsvc.executors.fused.kernels.compiled import compiled, entry
from augsvc.executors.fused.kernels.gather import copy_row, resample_row
from augsvc.executors.fused.kernels.gather_cubic import interpolate_row
from augsvc.executors.fused.kernels.gather_values import resample_canvas_row
from augsvc.executors.fused.kernels.gather_warped import (
    displace_row,
    prepare_columns,
    resample_warped_row,
    sample_warped_row,
)
from augsvc.executors.fused.kernels.levels import render_levels
from augsvc.executors.fused.kernels.mask import (
    follow,
    follow_displaced,
    locate_affine,
    locate_displaced,
    locate_perspective,
    read_view,
)
from augsvc.executors.fused.kernels.memory import bytes_at, values_at
from augsvc.executors.fused.kernels.noise import is_free_of_noise
from augsvc.executors.fused.kernels.row_filter import filter_horizontal, filter_vertical, read_kernel
from augsvc.executors.fused.kernels.rows import add_noises, apply_tones, copy, fill_rectangles, store_row
from augsvc.executors.fused.kernels.sampling import Source
from augsvc.executors.fused.kernels.scratch import Scratch, WarpRows, allocate_scratch, allocate_warp_rows
from augsvc.executors.fused.kernels.warp import read_lattice


@entry
def render(rows: I64, args: PassArgs, before: U16, canvas: U16) -> None:
    """One pass over the samples `rows`.

    `canvas` (N, C, H, W) takes values that are not encoded; a pass without sources reads `before`, which is the same array if
    nothing moves and nothing is encoded.
    """
    channels, height, width = canvas.shape[1], canvas.shape[2], canvas.shape[3]
    scratch = allocate_scratch(channels, height, width, args)
    shape = CanvasShape(channels, height, width)
    move, reads_sources = args.move, args.move.origin == FROM_SOURCES
    in_place = move.origin == FROM_CANVAS and not args.out.encoded
    for n in rows:
        if in_place and _changes_nothing(args, n):
            continue
        size = move.cameras[n, HEIGHT] * move.cameras[n, WIDTH] * channels
        source = Source(carray(bytes_at(move.addresses[n]), size if reads_sources else 0), channels, channels, 1, 0)
        if move.origin == FROM_DEEP_SOURCES:
            values = carray(values_at(move.addresses[n]), size)
        else:
            values = before.reshape(-1)[:0] if reads_sources else before[n].reshape(-1)
        if not render_levels(n, source, args, shape, scratch.levels, scratch.points):
            _render_sample(n, source, values, args, canvas, scratch)


@compiled
def _changes_nothing(args: PassArgs, n: Int) -> bool:
    """Whether no stage of a pass without moves was selected for sample n: in a layer of RandAugment, for half of the samples."""
    for stage in range(args.tone.matrix_rows.shape[1]):
        if args.tone.matrix_rows[n, stage] or args.tone.hsv_rows[n, stage] or args.tone.curve_rows[n, stage]:
            return False
    for k in range(args.erase.boxes.shape[1]):
        if args.erase.boxes[n, k, 0] < args.erase.boxes[n, k, 2]:
            return False
    return args.blur.radius[n] == 0 and is_free_of_noise(args.noise, n)


@compiled
def _render_sample(n: Int, source: Source, values: U16, args: PassArgs, canvas: U16, scratch: Scratch) -> None:
    """One sample, row by row. Stages that are absent are not called: calls for nothing took 0.9 ns a pixel."""
    channels, height, width = canvas.shape[1], canvas.shape[2], canvas.shape[3]
    row, kernel, has_tones = scratch.row, read_kernel(args.blur, n, height), args.tone.matrix_rows.shape[1] > 0
    boxes, fills = args.erase.boxes[n], args.erase.fills[n]
    ready = np.int64(0)  # rows that were read
    for y in range(height):
        while ready < min(y + kernel.radius + 1, height):
            _read_row(args, n, source, values, ready, scratch)
            if has_tones:
                apply_tones(row, channels, args.tone, n, scratch.points)
            if kernel.radius > 0:
                filter_horizontal(row, channels, ready, kernel, scratch.rows)
            ready += 1
        if kernel.radius > 0:
            filter_vertical(scratch.rows, channels, y, kernel, row)
        if args.noise.laws.size > 0:
            add_noises(row, channels, y, height, args.noise, n, scratch.randoms)
        if boxes.shape[0] > 0:
            fill_rectangles(row, channels, y, boxes, fills)
        if args.out.encoded:
            store_row(row, channels, y, args.out.interleaved, args.out.pixels[n])
        else:
            for c in range(channels):
                copy(row[c * width : (c + 1) * width], canvas[n, c, y])


@compiled
def _read_row(args: PassArgs, n: Int, source: Source, values: U16, y: Int, scratch: Scratch) -> None:
    """A row of the canvas, from wherever the pass has its pixels."""
    move, camera, channels, row = args.move, args.move.cameras[n], source.channels, scratch.row
    if args.warp.displaced[n, 0]:
        _read_warped_row(args, n, source, values, y, scratch)
    elif move.origin == FROM_SOURCES:
        if camera[IDENTICAL]:
            copy_row(source.values, channels, y, row)
        elif move.interpolation != BILINEAR:
            interpolate_row(source, move, n, y, scratch.cubic, row)
        else:
            resample_row(source, camera, move.border, move.fill, y, scratch.points, scratch.aligned, row)
    elif move.origin == FROM_CANVAS or camera[IDENTICAL]:
        width, plane = row.size // channels, values.size // channels
        for c in range(channels):
            copy(values[c * plane + y * width : c * plane + (y + 1) * width], row[c * width : (c + 1) * width])
    elif move.interpolation != BILINEAR:
        canvas = Source(values, channels, 1, values.size // channels, 8)
        interpolate_row(canvas, move, n, y, scratch.cubic, row)
    else:
        resample_canvas_row(values, camera, move.border, move.fill, channels, y, scratch.points, row)


@compiled
def _read_warped_row(args: PassArgs, n: Int, source: Source, values: U16, y: Int, scratch: Scratch) -> None:
    """A row of a warped canvas."""
    move, camera, rows = args.move, args.move.cameras[n], scratch.warp
    if y == 0:
        prepare_columns(read_lattice(args.warp, 0), rows)
    displace_row(args.warp.nodes[n], read_lattice(args.warp, 0), y, rows)
    if move.origin == FROM_SOURCES:
        resample_warped_row(source, camera, move.border, move.fill, y, scratch.points, rows, scratch.row)
    else:
        canvas = Source(values, source.channels, 1, values.size // source.channels, 8)
        sample_warped_row(canvas, camera, move.border, move.fill, y, rows, scratch.row)


@entry
def move_masks(first: Int, last: Int, args: MaskArgs, height: Int, width: Int, out: U8) -> None:
    """Masks of the samples first … last − 1 on the canvas, into bytes (N, H·W)."""
    pixels, rows = np.empty(width, np.int64), allocate_warp_rows(width, args.warp)
    for n in range(first, last):
        source = carray(bytes_at(args.addresses[n]), args.cameras[n, 0, HEIGHT] * args.cameras[n, 0, WIDTH])
        _move_mask(n, source, args, pixels, rows, out[n])


@compiled
def _move_mask(n: Int, source: U8, args: MaskArgs, pixels: I64, rows: WarpRows, out: U8) -> None:
    """One mask, row by row, each through one camera after the other: `class_at`."""
    width, last = pixels.size, args.borders.size - 1
    if args.warp.displaced[n, last]:
        prepare_columns(read_lattice(args.warp, last), rows)
    for y in range(out.size // width):
        _locate_row(args, n, last, y, pixels, rows)
        for k in range(last - 1, -1, -1):
            _follow_row(args, n, k, pixels)
        row = out[y * width : (y + 1) * width]
        for x in range(width):
            row[x] = np.uint8(-1 - pixels[x]) if pixels[x] < 0 else source[np.uint64(pixels[x])]


@compiled
def _locate_row(args: MaskArgs, n: Int, k: Int, y: Int, pixels: I64, rows: WarpRows) -> None:
    view = read_view(args, n, k)
    if args.warp.displaced[n, k]:
        displace_row(args.warp.nodes[n], read_lattice(args.warp, k), y, rows)
        for x in range(pixels.size):
            pixels[x] = locate_displaced(view, x, y, rows.shifts[0, x], rows.shifts[1, x])
    elif view.mapping.has_perspective:
        for x in range(pixels.size):
            pixels[x] = locate_perspective(view, x, y)
    else:
        for x in range(pixels.size):
            pixels[x] = locate_affine(view, x, y)


@compiled
def _follow_row(args: MaskArgs, n: Int, k: Int, pixels: I64) -> None:
    view, width = read_view(args, n, k), pixels.size
    if args.warp.displaced[n, k]:
        nodes, lattice = args.warp.nodes[n], read_lattice(args.warp, k)
        for x in range(width):
            if pixels[x] >= 0:
                pixels[x] = follow_displaced(view, nodes, lattice, width, pixels[x])
    else:
        for x in range(width):
            if pixels[x] >= 0:
                pixels[x] = follow(view, width, pixels[x])
