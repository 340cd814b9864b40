"""A row of a source that is copied or whose rows stay rows has the bits of its pixels one by one.

Both tests are in one file, because their kernels take 9 CPU seconds to compile.
"""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from augsvc.executors.fused.kernels import gather
from augsvc.executors.fused.kernels.compiled import entry
from augsvc.executors.fused.kernels.sampling import Source
from augsvc.executors.fused.kernels.scratch import Points, allocate_aligned_rows
from augsvc.executors.fused.lower_image import lower_move
from augsvc.numerics.geometry import Camera, Canvas
from augsvc.ops.kinds.border import Padding
from augsvc.planning.passes import Pass

UNIT = 1 << 32
TURNS = [
    (1, 0, 0, 1),
    (0, -1, 1, 0),
    (-1, 0, 0, -1),
    (0, 1, -1, 0),
    (-1, 0, 0, 1),
    (1, 0, 0, -1),
    (0, 1, 1, 0),
    (2, 0, 0, 1),
]


@entry
def by_rows(source, camera, border, fill, channels, height, width, out):
    points = Points(np.empty((2, width), np.uint32), np.empty((2, width), np.uint64), np.empty(3 * width, np.uint32))
    image, aligned = Source(source, channels, channels, 1, 0), allocate_aligned_rows(channels, width)
    for y in range(height):
        gather.resample_row(image, camera, border, fill, y, points, aligned, out[y])


@entry
def by_pixels(source, camera, border, fill, channels, height, width, out):
    image = Source(source, channels, channels, 1, 0)
    for y in range(height):
        gather.sample_pixels(image, camera, border, fill, y, 0, width, out[y])


sides, rests = (
    st.integers(1, 24),
    st.sampled_from([0, 0, 0, 1, -1, 1 << 19, -(1 << 19) - 1, (1 << 19) - 1, 1 << 21, 1 << 31]),
)


@given(
    size=st.tuples(sides, sides), canvas=st.tuples(sides, sides), channels=st.sampled_from([1, 3]),
    turn=st.sampled_from(TURNS), shift=st.tuples(st.integers(-6, 30), st.integers(-6, 30)), rest=st.tuples(rests, rests),
    lean=st.sampled_from([0, 0, 0, 1, 1 << 16]), mode=st.sampled_from(["constant", "reflect", "reflect101", "edge"]),
    seed=st.integers(0, 9),
)  # fmt: skip
@example(
    size=(9, 12),
    canvas=(9, 12),
    channels=3,
    turn=(-1, 0, 0, 1),
    shift=(12, 0),
    rest=(0, 0),
    lean=0,
    mode="constant",
    seed=0,
)
def test_a_shift_a_flip_a_quarter_turn_are_what_interpolation_gives(
    size, canvas, channels, turn, shift, rest, lean, mode, seed
):
    a, b, d, e = (UNIT * number for number in turn)
    backward = np.array([[[a + lean, b, shift[0] * UNIT + rest[0]], [d, e, shift[1] * UNIT + rest[1]]]])
    taps = np.abs(np.array([[max(turn[0], turn[2], key=abs), max(turn[1], turn[3], key=abs)]]))
    camera = Camera(np.eye(3)[None], backward, np.array([[0, 0, UNIT]]), taps, np.array([False]))
    image = np.random.default_rng(seed).integers(0, 256, (*size, channels), dtype=np.uint8)
    pass_ = Pass(fits=True, padding=Padding(mode, (0.2, 0.5, 0.9)))
    args = lower_move(camera, pass_, Canvas(*canvas, channels), [image])
    found = [np.full((canvas[0], channels * canvas[1]), 7, np.uint16) for _ in range(2)]
    for run, out in zip((by_rows, by_pixels), found, strict=True):
        run(image.reshape(-1), args.cameras[0], args.border, args.fill, channels, *canvas, out)
    np.testing.assert_array_equal(*found)
    if size == canvas and turn == (-1, 0, 0, 1) and shift == (size[1], 0) and rest == (0, 0) and lean == 0:
        np.testing.assert_array_equal(
            found[0].reshape(size[0], channels, size[1]).transpose(0, 2, 1), np.uint16(image[:, ::-1]) << 8
        )


long_sides = st.integers(1, 60)
scales = st.sampled_from([-1.7, -1.0, -0.61, -0.3, -0.19, 0.1, 0.22, 0.45, 0.55, 0.8, 0.99, 1.0, 1.3, 4.0])
shifts = st.floats(-20, 20).map(lambda shift: round(shift * 8) / 8)


@given(
    size=st.tuples(long_sides, long_sides),
    canvas=st.tuples(long_sides, long_sides),
    channels=st.sampled_from([1, 3]),
    scale=st.tuples(scales, scales),
    shift=st.tuples(shifts, shifts),
    mode=st.sampled_from(["constant", "reflect", "reflect101", "edge"]),
    seed=st.integers(0, 9),
)
def test_a_row_whose_source_stays_rows_has_the_bits_of_its_pixels(size, canvas, channels, scale, shift, mode, seed):
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
