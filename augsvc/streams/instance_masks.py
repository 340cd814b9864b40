"""Masks of objects: through the cameras of the pixels, eight at a time, and out with the boxes that leave.

A mask is sampled nearest, so a byte of eight masks moves as one of a single mask does.
"""

from collections.abc import Callable

import numpy as np

from augsvc.arrays import U8, Arrays, ranges, required
from augsvc.executors.protocol import Executor
from augsvc.streams.drawn_images import DrawnImages

_PIECE = 8 << 20  # bytes of planes on the canvas that are moved together, beside the batch


def move_mask_bits(images: DrawnImages, executor: Executor, arrays: Arrays, check: Callable[[], None]) -> None:
    """Fills `mask_bits` (N, P, H, W): planes with the masks of boxes that `boxes_valid` has as valid, zeros for all others.

    Without boxes all masks stay.
    """
    out = arrays["mask_bits"]
    kept: U8 = np.full(out.shape[:2], 255, np.uint8)
    if "boxes_valid" in arrays:
        kept = np.packbits(arrays["boxes_valid"], axis=1, bitorder="little")
    out[:] = 0
    moves = [(camera, padding._replace(mask_fill=0)) for camera, padding in images.moves]
    samples, planes = np.nonzero(kept)
    for piece in ranges(len(samples), max(1, _PIECE // (out.shape[2] * out.shape[3]))):
        rows, columns = samples[piece], planes[piece]
        sources = [
            required(images.samples[row].mask_bits)[column]
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        ]
        moved = np.empty((len(rows), *out.shape[2:]), np.uint8)
        executor.move_masks(sources, [(camera.take(rows), padding) for camera, padding in moves], moved, check)
        moved &= kept[rows, columns][:, None, None]
        out[rows, columns] = moved
