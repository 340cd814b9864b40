"""Contrast, against its formula."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from tests.harness import agree, one, patch, plain, run, to_levels

pytestmark = pytest.mark.usefixtures("each_executor")
PIVOTS = {"middle": 0.5, "black": 0.0}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("pivot", PIVOTS)
def test_it_scales_the_distance_from_its_pivot(pivot, channels):
    image = patch("astronaut", 40, 50)[..., :channels]
    stream = run([{"op": "contrast", "factor": [0.5, 3], "pivot": pivot}], [image] * 6)
    for position, shown in enumerate(stream.images()):
        expected = PIVOTS[pivot] + stream.draws(position)["factor"] * (image / 255 - PIVOTS[pivot])
        agree(shown, to_levels(expected), most=1, mean=0.02)


def test_the_pivots_of_the_libraries():
    """Grey 100 by 1.5: 150 about black, as Kornia's RandomContrast; 86 about 0.5."""
    shown = {
        pivot: one([{"op": "contrast", "factor": 1.5, "pivot": pivot}], plain(100, 2, 2)).max() for pivot in PIVOTS
    }
    assert shown == {"middle": 86, "black": 150}


@pytest.mark.parametrize("factor", [0.0, 0.5, 1.0, 1.4])
def test_about_the_mean_it_is_pillows(factor):
    """Pillow rounds the mean to a level, and cuts its products off."""
    image = patch("coffee", 61, 83)
    expected = np.asarray(ImageEnhance.Contrast(Image.fromarray(image)).enhance(factor))
    agree(one([{"op": "contrast", "factor": factor, "pivot": "mean"}], image), expected, most=2, mean=0.6)
