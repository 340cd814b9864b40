"""Defocus blur, against the kernel of ImageNet-C."""

import numpy as np
import pytest
from scipy import ndimage

from tests.harness import agree, patch, run, to_levels

pytestmark = pytest.mark.usefixtures("each_executor")


def disk(radius, alias):
    """The kernel of imagenet_c.corruptions.disk, for any radius; SciPy's truncated Gaussian is OpenCV's."""
    half, reach = (8, 1) if radius <= 8 else (int(np.ceil(radius)), 2)
    x, y = np.meshgrid(np.arange(-half, half + 1), np.arange(-half, half + 1))
    kernel = ((x**2 + y**2) <= radius**2).astype(np.float64)
    return ndimage.gaussian_filter(np.pad(kernel / kernel.sum(), 2), alias, radius=reach)


@pytest.mark.parametrize("size", [(30, 40), (1, 9), (1, 1)])
@pytest.mark.parametrize(("radius", "alias"), [(0.5, 0.1), (3, 0.1), (4.4, 0.5), (8, 1), (10.5, 0.5)])
def test_it_is_scipys_correlation_with_imagenet_cs_disc(radius, alias, size):
    image = patch("coffee", *size)
    kernel = disk(radius, alias)
    planes = [ndimage.correlate(plane / 255, kernel, mode="mirror") for plane in np.moveaxis(image, 2, 0)]
    shown = run([{"op": "defocus", "radius": radius, "alias": alias}], [image]).images()[0]
    agree(shown, to_levels(np.stack(planes, axis=-1)), most=1, mean=0.05)


def test_drawn_radii_do_not_depend_on_the_company():
    image = patch("coffee", 30, 40)
    whole = run([{"op": "defocus"}], [image] * 6)
    for position in range(6):
        np.testing.assert_array_equal(whole.images(start=position, count=1)[0], whole.images()[position])
