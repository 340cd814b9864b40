"""Fractal light, against Kornia's formulas on the field that the sample's numbers make."""

import numpy as np
import pytest

from tests.harness import patch, run
from tests.ops.plasma_fields import field_of

pytestmark = pytest.mark.usefixtures("each_executor")
SIZE = (40, 52)


@pytest.mark.parametrize("mode", ["brightness", "contrast", "shadow"])
def test_light_follows_the_field(mode):
    image = patch("coffee", *SIZE)
    stream = run([{"op": "plasma", "mode": mode, "intensity": [0, 1]}], [image] * 6)
    values = image / 255
    for position, shown in enumerate(stream.images()):
        draws = stream.draws(position)
        field = field_of("plasma", position, draws["roughness"], SIZE)[..., None]
        intensity = draws["intensity"]
        expected = {
            "brightness": values + intensity * (2 * field - 1),
            "contrast": 0.5 + (values - 0.5) * (1 + intensity * (4 * field - 1)),
            "shadow": values - intensity * (field < draws["quantity"]),
        }[mode]
        certain = np.ones(SIZE, bool) if mode != "shadow" else abs(field[..., 0] - draws["quantity"]) > 1e-3
        assert certain.mean() > 0.9
        assert abs(shown - 255 * np.clip(expected, 0, 1))[certain].max() <= 0.6
