"""Shadows, against scikit-image's polygons."""

import numpy as np
import pytest
from skimage.draw import polygon2mask

from tests.harness import patch, run

pytestmark = pytest.mark.usefixtures("each_executor")
SIZE = (40, 52)


def test_the_polygons_of_the_receipt_are_darkened_one_after_the_other():
    image = patch("coffee", *SIZE)
    stream = run([{"op": "shadow", "shadows": [0, 4], "y": [0, 1]}], [image] * 12)
    counts = set()
    for position, shown in enumerate(stream.images()):
        draws, expected = stream.draws(position), image.astype(float)
        counts.add(int(draws["shadows"]))
        for shadow in range(int(draws["shadows"])):
            corners = slice(5 * shadow, 5 * shadow + 5)
            x, y = (np.array(draws[axis][corners]) * side for axis, side in (("x", SIZE[1]), ("y", SIZE[0])))
            shaded = polygon2mask(SIZE, np.stack((y, x), axis=1) - 0.5)
            expected[shaded] *= 1 - draws["intensity"][shadow]
        # corners are rounded to a 256th of a pixel, so a centre on an edge may fall on its other side
        assert (abs(shown - expected).max(axis=2) > 0.6).sum() <= 2
    assert len(counts) > 3
