"""Vignettes, against their formula."""

import numpy as np
import pytest

from tests.harness import patch, run

pytestmark = pytest.mark.usefixtures("each_executor")


@pytest.mark.parametrize("size", [(40, 52), (33, 17)])
def test_the_light_falls_off_with_the_squared_distance(size):
    image = patch("coffee", *size)
    step = {"op": "vignette", "amount": [0, 1], "center_x": [0, 1], "center_y": [0, 1]}
    stream = run([step], [image] * 8)
    rows, columns = (np.arange(side) + 0.5 for side in size)
    for position, shown in enumerate(stream.images()):
        draws = stream.draws(position)
        x, y = draws["center_x"] * size[1], draws["center_y"] * size[0]
        squares = (columns - x) ** 2 + (rows[:, None] - y) ** 2
        corners = [(cx - x) ** 2 + (cy - y) ** 2 for cx in (0, size[1]) for cy in (0, size[0])]
        expected = image * (1 - draws["amount"] * squares / max(corners))[..., None]
        assert abs(shown - expected).max() <= 0.6
