"""Stripes, against slicing."""

import numpy as np
import pytest

from tests.harness import patch, run

pytestmark = pytest.mark.usefixtures("each_executor")
STEP = {"op": "xy_masking", "stripes_x": [0, 8], "stripes_y": [0, 3], "length_x": [0, 0.2], "value": [0, 1]}


@pytest.mark.parametrize("channels", [1, 3])
def test_the_stripes_are_those_of_the_receipt(channels):
    image = patch("coffee", 30, 41)[..., :channels]
    stream = run([STEP], [image] * 12)
    for position, shown in enumerate(stream.images()):
        draws, expected = stream.draws(position), image.copy()
        level = np.floor(np.array(draws["value"])[:channels] * 255 + 0.5)
        for axis, side in (("x", 41), ("y", 30)):
            for stripe in range(int(draws[f"stripes_{axis}"])):
                length = int(draws[f"length_{axis}"][stripe] * side + 0.5)
                first = int((side - length + 1) * draws[f"place_{axis}"][stripe])
                chosen = slice(first, first + length)
                expected[(slice(None), chosen) if axis == "x" else chosen] = level
        np.testing.assert_array_equal(shown, expected)


@pytest.mark.parametrize(("absent", "along"), [("stripes_x", 2), ("stripes_y", 1)])
def test_a_stripe_spans_the_image(absent, along):
    step = {"op": "xy_masking", "length_x": 0.25, "length_y": 0.25, absent: 0}
    lost = run([step], [np.full((16, 16, 1), 9, np.uint8)] * 8).images()[..., 0] == 0
    assert (lost.all(axis=along).sum(axis=1) == 4).all() and (lost.sum(axis=(1, 2)) == 64).all()
