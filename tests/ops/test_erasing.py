"""Erasing several rectangles, against slicing; one is in test_filters.py."""

import numpy as np
import pytest

from augsvc.errors import SpecInvalid
from tests.harness import patch, run

pytestmark = pytest.mark.usefixtures("each_executor")
SIDES = np.array([30, 41])


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_rectangles_are_those_of_the_receipt_and_share_the_area(count):
    image = patch("coffee", *SIDES)
    stream = run([{"op": "erasing", "count": count, "value": [0, 1]}], [image] * 12)
    for position, shown in enumerate(stream.images()):
        draws, expected = stream.draws(position), image.copy()
        values = [np.atleast_1d(draws[name]) for name in ("scale", "ratio", "place_y", "place_x")]
        assert [len(value) for value in values] == [count] * 4
        for scale, ratio, place_y, place_x in zip(*values, strict=True):
            area = scale * SIDES.prod() / count
            size = np.minimum(np.floor(np.sqrt([area / ratio, area * ratio]) + 0.5), SIDES)
            top, left = np.floor((SIDES - size) * [place_y, place_x] + 0.5).astype(int)
            height, width = size.astype(int)
            expected[top : top + height, left : left + width] = np.floor(np.array(draws["value"]) * 255 + 0.5)
        np.testing.assert_array_equal(shown, expected)


def test_a_rectangle_more_leaves_the_first_one_and_its_stream():
    images = [patch("coffee", *SIDES)] * 4
    one, two = (run([{"op": "erasing", "count": count}], images) for count in (1, 2))
    for position in range(4):
        assert two.draws(position)["scale"][0] == one.draws(position)["scale"]
    assert b"count" not in one.stream.spec.canonical() and b'"count":2' in two.stream.spec.canonical()


@pytest.mark.parametrize("count", [0, 5, 1.5, True])
def test_a_wrong_count_is_refused_by_name(count):
    with pytest.raises(SpecInvalid) as refused:
        run([{"op": "erasing", "count": count}], [patch("coffee", *SIDES)])
    assert refused.value.field == "pipeline.0.count"
