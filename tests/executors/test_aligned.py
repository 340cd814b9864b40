"""A row of a source whose rows stay rows has the bits of its pixels one by one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from augsvc.executors.fused.lower_image import lower_move
from augsvc.numerics.geometry import Camera, Canvas
from augsvc.ops.kinds.border import Padding
from augsvc.planning.passes import Pass
from tests.executors.test_right_angles import by_pixels, by_rows

sides = st.integers(1, 60)
scales = st.sampled_from([-1.7, -1.0, -0.61, -0.3, -0.19, 0.1, 0.22, 0.45, 0.55, 0.8, 0.99, 1.0, 1.3, 4.0])
shifts = st.floats(-20, 20).map(lambda shift: round(shift * 8) / 8)


@given(
    size=st.tuples(sides, sides),
    canvas=st.tuples(sides, sides),
    channels=st.sampled_from([1, 3]),
    scale=st.tuples(scales, scales),
    shift=st.tuples(shifts, shifts),
    mode=st.sampled_from(["constant", "reflect", "reflect101", "edge"]),
    seed=st.integers(0, 9),
)
def test_a_row_has_the_bits_of_its_pixels(size, canvas, channels, scale, shift, mode, seed):
    """Mirrored sources are shifted so that their far ends are on the canvas."""
    ends = [shift[axis] - min(0.0, scale[axis]) * size[1 - axis] for axis in (0, 1)]
    matrix = np.array([[[scale[0], 0.0, ends[0]], [0.0, scale[1], ends[1]], [0.0, 0.0, 1.0]]])
    image = np.random.default_rng(seed).integers(0, 256, (*size, channels), dtype=np.uint8)
    target = Canvas(*canvas, channels)
    pass_ = Pass(fits=True, padding=Padding(mode, (0.2, 0.5, 0.9)))
    args = lower_move(Camera.of(matrix, target, [size]), pass_, target, [image])
    results = [np.full((canvas[0], channels * canvas[1]), 7, np.uint16) for _ in range(2)]
    for run, out in zip((by_rows, by_pixels), results, strict=True):
        run(image.ravel(), args.cameras[0], args.border, args.fill, channels, *canvas, out)
    np.testing.assert_array_equal(*results)
