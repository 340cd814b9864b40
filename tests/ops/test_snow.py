"""Snow, against Kornia's and the standard library's HLS."""

from colorsys import hls_to_rgb, rgb_to_hls

import kornia.augmentation as augmentation
import numpy as np
import pytest
import torch

from tests.harness import grey, one, patch

pytestmark = pytest.mark.usefixtures("each_executor")


@pytest.mark.parametrize(("amount", "brightness"), [(0.3, 2.0), (0.5, 2.5), (0.9, 1.3), (1.0, 4.0)])
def test_dark_pixels_become_lighter_at_their_hue_and_saturation(amount, brightness):
    image = patch("coffee", 24, 31)
    shown = one([{"op": "snow", "amount": amount, "brightness": brightness}], image)

    def bleached(pixel):
        hue, lightness, saturation = rgb_to_hls(*pixel)
        return hls_to_rgb(hue, min(lightness * brightness, 1), saturation) if lightness < amount else pixel

    expected = 255 * np.apply_along_axis(bleached, 2, image / 255)
    assert (abs(shown - expected).max(axis=2) > 1).mean() < 0.005  # a lightness at the limit
    params = {"snow_coefficient": torch.tensor([amount]), "brightness": torch.tensor([brightness])}
    theirs = augmentation.RandomSnow(p=1.0).apply_transform(
        torch.tensor(image / 255).permute(2, 0, 1)[None], params, {}
    )
    assert (abs(shown - 255 * theirs[0].permute(1, 2, 0).numpy()).max(axis=2) > 1).mean() < 0.005


def test_grey_and_black_have_no_hue():
    image = grey(patch("coffee", 16, 16)).copy()
    image[:4] = 0
    shown = one([{"op": "snow", "amount": 0.4, "brightness": 2}], image)
    assert abs(shown - np.where(image < 102, image * 2.0, image)).max() <= 1
