"""Erasing with noise: against slicing with the numbers of the pixels, and its law."""

import numpy as np
import pytest
from scipy.stats import kstest, norm

from augsvc.numerics.rng import Address, operation_key, pixel_numbers
from tests.harness import patch, run

pytestmark = pytest.mark.usefixtures("each_executor")
SIDES = np.array([30, 41])


@pytest.mark.parametrize("channels", [1, 3])
def test_the_rectangle_is_filled_with_the_numbers_of_its_pixels(channels):
    image = np.ascontiguousarray(patch("coffee", *SIDES)[..., :channels])
    stream = run([{"op": "noise_erasing", "mean": [0.3, 0.7], "std": [0, 0.5]}], [image] * 12, aug_seed=2)
    numbers = pixel_numbers(2, operation_key("noise_erasing"), image.size, Address(np.arange(12), 0, 0))
    deviates = norm.ppf((numbers + 0.5) / 65536).reshape(12, channels, *SIDES).transpose(0, 2, 3, 1)
    for position, shown in enumerate(stream.images()):
        draws, expected = stream.draws(position), image.astype(float)
        area = draws["scale"] * SIDES.prod()
        size = np.minimum(np.floor(np.sqrt([area / draws["ratio"], area * draws["ratio"]]) + 0.5), SIDES)
        top, left = np.floor((SIDES - size) * [draws["place_y"], draws["place_x"]] + 0.5).astype(int)
        height, width = size.astype(int)
        inside = slice(top, top + height), slice(left, left + width)
        mean, std = (np.array(draws[name])[:channels] for name in ("mean", "std"))
        expected[inside] = 255 * np.clip(mean + std * deviates[position][inside], 0, 1)
        assert abs(shown - expected).max() <= 0.75  # the table's normal deviates are within 0.001 of the law's


def test_the_noise_is_normal_and_differs_by_pixel_channel_sample_and_epoch():
    step = {"op": "noise_erasing", "scale": 1, "ratio": 1, "mean": 0.5, "std": 0.1}
    stream = run([step], [np.zeros((40, 40, 3), np.uint8)] * 3)
    images = np.stack([stream.images(epoch=epoch) for epoch in (0, 1)]).astype(float)
    assert (
        kstest(
            (images.ravel() + np.random.default_rng(0).uniform(-0.5, 0.5, images.size)) / 255, norm(0.5, 0.1).cdf
        ).pvalue
        > 1e-3
    )
    planes = images.transpose(0, 1, 4, 2, 3).reshape(18, -1)
    assert abs(np.corrcoef(planes) - np.eye(18)).max() < 0.12
