"""A row of values through a camera has the bits of its pixels one by one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from augsvc.executors.fused.kernels import gather, gather_values
from augsvc.executors.fused.kernels.compiled import entry
from augsvc.executors.fused.kernels.sampling import Source
from augsvc.executors.fused.kernels.scratch import Points
from augsvc.executors.fused.lower_image import lower_move
from augsvc.numerics.geometry import Camera, Canvas
from augsvc.ops.kinds.border import Padding
from augsvc.planning.passes import Pass


@entry
def by_rows(values, camera, border, fill, channels, width, out):
    points = Points(np.empty((2, width), np.uint32), np.empty((2, width), np.uint64), np.empty(3 * width, np.uint32))
    for y in range(out.shape[0]):
        gather_values.resample_canvas_row(values, camera, border, fill, channels, y, points, out[y])


@entry
def by_pixels(values, camera, border, fill, channels, width, out):
    source = Source(values, channels, 1, values.size // channels, 8)
    for y in range(out.shape[0]):
        gather.sample_pixels(source, camera, border, fill, y, 0, width, out[y])


sides = st.integers(1, 40)
slopes = st.sampled_from([-3.0, -1.0, -0.4, -0.05, 0.0, 0.0, 0.05, 0.3, 1.0, 1.0, 2.5])


@given(
    size=st.tuples(sides, sides),
    canvas=st.tuples(sides, sides),
    channels=st.sampled_from([1, 3]),
    linear=st.tuples(slopes, slopes, slopes, slopes).filter(lambda m: abs(m[0] * m[3] - m[1] * m[2]) > 0.02),
    shift=st.tuples(st.floats(-30, 30), st.floats(-30, 30)).map(lambda xy: tuple(round(v * 4) / 4 for v in xy)),
    lean=st.sampled_from([0.0, 0.0, 0.004, -0.01]),
    mode=st.sampled_from(["constant", "reflect", "reflect101", "edge"]),
    seed=st.integers(0, 9),
)
def test_a_row_has_the_bits_of_its_pixels(size, canvas, channels, linear, shift, lean, mode, seed):
    a, b, d, e = linear
    matrix = np.array([[[a, b, shift[0]], [d, e, shift[1]], [lean, lean / 2, 1.0]]])
    values = np.random.default_rng(seed).integers(0, 65281, (*size, channels), dtype=np.uint16)
    target = Canvas(*canvas, channels)
    camera = Camera.of(matrix, target, [size])
    pass_ = Pass(fits=True, padding=Padding(mode, (0.2, 0.5, 0.9)))
    args = lower_move(camera, pass_, target, [values])
    planes = np.ascontiguousarray(values.transpose(2, 0, 1)).reshape(-1)
    results = [np.full((canvas[0], channels * canvas[1]), 7, np.uint16) for _ in range(2)]
    for run, out in zip((by_rows, by_pixels), results, strict=True):
        run(planes, args.cameras[0], args.border, args.fill, channels, canvas[1], out)
    np.testing.assert_array_equal(*results)
