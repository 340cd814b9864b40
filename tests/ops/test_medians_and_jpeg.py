"""Median blur against SciPy, JPEG against Pillow: exact on bytes."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import median_filter

from augsvc.errors import SpecInvalid
from augsvc.ops.pipeline import parse_pipeline
from tests.harness import grey, one, patch, photo, run

pytestmark = pytest.mark.usefixtures("each_executor")


@pytest.mark.parametrize("radius", [1, 2, 3])
@pytest.mark.parametrize("size", [(40, 51), (7, 9), (4, 30)])
def test_a_median_is_scipys(radius, size):
    image = patch("coffee", *size)
    side = 2 * radius + 1
    expected = median_filter(image, (side, side, 1), mode="mirror")
    np.testing.assert_array_equal(one([{"op": "median_blur", "radius": radius}], image), expected)
    np.testing.assert_array_equal(one([{"op": "median_blur", "radius": radius}], grey(image)), grey_median(image, side))


def grey_median(image, side):
    return median_filter(grey(image), (side, side, 1), mode="mirror")


def test_a_median_of_a_line_has_the_radius_that_fits():
    line = patch("coffee", 1, 30)
    np.testing.assert_array_equal(one([{"op": "median_blur", "radius": 3}], line), line)
    pair = patch("coffee", 2, 30)
    np.testing.assert_array_equal(
        one([{"op": "median_blur", "radius": 3}], pair), median_filter(pair, (3, 3, 1), mode="mirror")
    )


def test_every_radius_is_drawn():
    stream = run([{"op": "median_blur", "radius": [0, 3]}], [patch("coffee", 9, 9)] * 200)
    assert {stream.draws(position)["radius"] for position in range(200)} == {0, 1, 2, 3}


@pytest.mark.parametrize("quality", [5, 40, 75, 95, 100])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_jpeg_is_pillows(quality, channels):
    image = np.ascontiguousarray(photo("chelsea")[20:97, 30:161])
    image = grey(image) if channels == 1 else image
    with BytesIO() as file:
        Image.fromarray(image.squeeze()).save(file, "JPEG", quality=quality, subsampling="4:2:0")
        expected = np.asarray(Image.open(file)).reshape(image.shape)
    np.testing.assert_array_equal(one([{"op": "jpeg", "quality": quality}], image), expected)


BAD = [{"op": "jpeg", "quality": 0}, {"op": "jpeg", "quality": 50.5}, {"op": "median_blur", "radius": 4}]


@pytest.mark.parametrize("step", BAD, ids=str)
def test_what_is_out_of_range_is_refused(step):
    with pytest.raises(SpecInvalid):
        parse_pipeline([step])
