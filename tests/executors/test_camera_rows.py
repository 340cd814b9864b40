"""Rows of cameras against their definitions, in Python's integers, sample by sample."""

from functools import partial
from math import isqrt

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from augsvc.executors.fused.kernels.camera import HEIGHT, IDENTICAL, LEFT, OFFSETS
from augsvc.executors.fused.kernels.sampling import TO_CORNER
from augsvc.executors.fused.lower_camera import lower_camera
from augsvc.numerics.geometry import Camera, Canvas, identity
from tests.harness import open_cpu

UNIT = 1 << 32
entries = st.floats(-3, 3).map(lambda value: round(value, 3))


@st.composite
def matrices(draw):
    """Affine ones and, half of the time, ones with perspective; none that collapse."""
    matrix = identity(1)[0]
    matrix[:2] = np.array([draw(entries) for _ in range(6)]).reshape(2, 3)
    if draw(st.booleans()):
        matrix[2, :2] = draw(st.floats(-0.02, 0.02)), draw(st.floats(-0.02, 0.02))
    return matrix if abs(np.linalg.det(matrix)) > 0.05 else identity(1)[0]


def offset_sums(u, v, across, down):
    """What each sample of a pixel adds to a coordinate with the slopes u and v."""
    return [u * (2 * s + 1) // (2 * across) + v * (2 * t + 1) // (2 * down) for s in range(across) for t in range(down)]


@settings(max_examples=40)
@given(
    matrix=st.lists(matrices(), min_size=1, max_size=3),
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    canvas=st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_rows_follow_their_definitions(matrix, size, canvas):
    open_cpu("fused")  # keeps what is compiled
    camera = Camera.of(np.stack(matrix), Canvas(*canvas, 3), [size] * len(matrix))
    rows = lower_camera(camera, np.array([size] * len(matrix)), Canvas(*canvas, 3))
    most = int(camera.taps.max())
    assert rows.shape == (len(matrix), OFFSETS + 6 * most)
    for n, row in enumerate(rows.tolist()):
        (a, b, _), (d, e, _) = camera.backward[n].tolist()
        lean = camera.depth[n].tolist()
        across, down = camera.taps[n].tolist()
        tilted = lean != [0, 0, UNIT]
        assert row[:9] == [*camera.backward[n].ravel().tolist(), *lean]
        assert row[9:HEIGHT] + row[HEIGHT:15] == [tilted, *size, across, down, -(-UNIT // (across * down))]
        assert row[IDENTICAL] == (bool(camera.identical[n]) and size == canvas)

        u, v, (height, width) = lean[0], lean[1], size
        offsets = partial(offset_sums, across=across, down=down)
        if tilted:
            lows = [min(offsets(a - u, b - v)), min(offsets(d - u, e - v))]
            far_x, far_y = (
                offsets((width - 1) * u - a, (width - 1) * v - b),
                offsets((height - 1) * u - d, (height - 1) * v - e),
            )
            assert row[16:LEFT] == [*lows, -min(far_x), -min(far_y), min(offsets(u, v))]
        else:
            ends = [min(offsets(a, b)), min(offsets(d, e)), max(offsets(a, b)), max(offsets(d, e))]
            assert row[16:LEFT] == [*(end + TO_CORNER for end in ends), 0]

        for k, (x, y) in enumerate([(a, b), (d, e), (width * u - a, width * v - b), (height * u - d, height * v - e)]):
            twice, shift, inverse = row[LEFT + 3 * k : LEFT + 3 * k + 3]
            assert abs(twice - 2 * max(isqrt(x * x + y * y), 1)) <= 2 + twice // 2**48
            assert twice >> shift < 1 << 24
            assert shift == 0 or twice >> (shift - 1) >= 1 << 24
            assert inverse == (1 << 47) // (twice >> shift)

        for t in range(most):
            pairs = [(slope_u, slope_v) for slope_u, slope_v in ((a, b), (d, e), (u, v))]
            expected = [[p * (2 * t + 1) // (2 * across), q * (2 * t + 1) // (2 * down)] for p, q in pairs]
            assert row[OFFSETS + 6 * t : OFFSETS + 6 * t + 6] == [value for pair in expected for value in pair]
