"""Fog, against ImageNet-C's formula on the field that the sample's numbers make."""

import numpy as np
import pytest

from tests.harness import one, patch, run
from tests.ops.plasma_fields import field_of

pytestmark = pytest.mark.usefixtures("each_executor")
SIZE = (40, 52)


@pytest.mark.parametrize("channels", [1, 3])
def test_fog_is_added_and_the_image_darkened(channels):
    image = patch("coffee", *SIZE)[..., :channels]
    stream = run([{"op": "fog", "density": [0, 3]}], [image] * 6, aug_seed=5)
    for position, shown in enumerate(stream.images()):
        draws = stream.draws(position)
        fog = 255 * field_of("fog", position, draws["roughness"], SIZE, aug_seed=5)[..., None]
        density = draws["density"]
        assert abs(shown - (image + density * fog) / (1 + density)).max() <= 0.6


def test_the_thickest_fog_is_grey_and_leaves_a_quarter_of_the_image():
    white, black = (one([{"op": "fog", "density": 3}], np.full((65, 65, 3), level, np.uint8)) for level in (255, 0))
    assert black.max() == pytest.approx(255 * 3 / 4, abs=6)
    assert black.min() <= 6
    assert abs(white.astype(int) - black - 255 / 4).max() <= 1
    np.testing.assert_array_equal(black[..., 0], black[..., 2])
