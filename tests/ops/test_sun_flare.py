"""Sun flares, against their formula."""

import numpy as np
import pytest

from tests.harness import patch, run

pytestmark = pytest.mark.usefixtures("each_executor")
SIZE = (40, 52)


def blended(image, color, weight):
    return image * (1 - weight[..., None]) + np.asarray(color) * weight[..., None]


@pytest.mark.parametrize("channels", [1, 3])
def test_circles_lie_on_the_line_through_the_centre_and_the_source_fades(channels):
    image = patch("coffee", *SIZE)[..., :channels]
    stream = run([{"op": "sun_flare", "circles": [0, 12], "tint": [0, 1]}], [image] * 8)
    centre = np.array([SIZE[1], SIZE[0]]) / 2
    columns, rows = np.meshgrid(np.arange(SIZE[1]) + 0.5, np.arange(SIZE[0]) + 0.5)
    for position, shown in enumerate(stream.images()):
        draws, expected = stream.draws(position), image.astype(float)
        source = np.array([draws["x"] * SIZE[1], draws["y"] * SIZE[0]])
        for k in range(int(draws["circles"])):
            x, y = source + draws["distance"][k] * (centre - source)
            inner = draws["size"][k] * max(SIZE) - np.hypot(columns - x, rows - y)
            tint = 255 * (1 - draws["tint"][k] * np.array([0, 0.25, 0.5]))
            color = tint if channels == 3 else tint[1:2]
            expected = blended(expected, color, draws["opacity"][k] * np.clip(inner + 0.5, 0, 1))
        radius = draws["radius"] * max(SIZE)
        fade = np.clip(1 - np.hypot(columns - source[0], rows - source[1]) / radius, 0, 1) ** 2
        assert abs(shown - blended(expected, 255, draws["intensity"] * fade)).max() <= 0.7
