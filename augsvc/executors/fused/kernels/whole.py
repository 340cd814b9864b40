"""Images whose pixels stay whole through a filter or a colour matrix, on the CPU: from bytes to bytes.

They have a kernel of their own. In that of cpu.py, LLVM compiled rows of values otherwise: a rotation took 10.7 ns a pixel, not
5.9. Tables of levels, levels.py, are a part of that kernel.
"""

import numpy as np
from numba import carray

from augsvc.executors.fused.kernels.args import FROM_SOURCES, I64, U8, CanvasShape, Int, PassArgs
from augsvc.executors.fused.kernels.blur_levels import blur_levels, blurs_levels
from augsvc.executors.fused.kernels.camera import HEIGHT, WIDTH
from augsvc.executors.fused.kernels.compiled import compiled, entry
from augsvc.executors.fused.kernels.filter_levels import filter_levels, filters_levels
from augsvc.executors.fused.kernels.levels import fill_levels, shows_whole_pixels
from augsvc.executors.fused.kernels.memory import bytes_at
from augsvc.executors.fused.kernels.mix_levels import mix_levels, mixes_levels
from augsvc.executors.fused.kernels.noise import is_free_of_noise
from augsvc.executors.fused.kernels.scratch import allocate_blur_rows, allocate_byte_rows

_MIXING = [1, 2, 3, 5, 6, 7]  # the gains of a matrix from one channel to another


def changes_levels(args: PassArgs) -> bool:
    """Whether `render` might render any sample of a pass: from the bytes of a source to those of the batch, by a filter or a
    matrix of colours.
    """
    if not args.out.encoded or args.move.origin != FROM_SOURCES:
        return False
    gains = args.tone.gains
    return (
        args.blur.taps.size > 0
        or args.blur.weights.shape[1] > 1
        or (gains.shape[2] == 3 and bool(gains.reshape(-1, 9)[:, _MIXING].any()))
    )


@entry
def render(samples: I64, args: PassArgs, canvas: CanvasShape, rendered: U8) -> None:
    """Those of `samples` whose pixels stay whole, through a filter or a colour matrix, then rectangles;
    `rendered` is set to 1 for them. Only for passes that `changes_levels` finds.
    """
    rows, blurred = allocate_byte_rows(canvas, args.blur), allocate_blur_rows(canvas, args.blur)
    for k in range(samples.size):
        n = samples[k]
        if not _shows_whole_pixels(n, args, canvas):
            continue
        size = args.move.cameras[n, HEIGHT] * args.move.cameras[n, WIDTH] * canvas.channels
        source = carray(bytes_at(args.move.addresses[n]), size)
        if filters_levels(n, args):
            filter_levels(n, source, args, canvas, rows)
        elif blurs_levels(n, args):
            blur_levels(n, source, args, canvas, rows, blurred)
        elif mixes_levels(n, args, canvas):
            mix_levels(n, source, args, canvas, rows.line)
        else:
            continue
        fill_levels(args.erase.boxes[n], args.erase.fills[n], canvas, args.out.interleaved, args.out.pixels[n])
        rendered[k] = np.uint8(1)


@compiled
def _shows_whole_pixels(n: Int, args: PassArgs, canvas: CanvasShape) -> bool:
    return bool(
        not args.warp.displaced[n, 0] and is_free_of_noise(args.noise, n) and shows_whole_pixels(args.move, n, canvas)
    )
