"""Gaussian blur against SciPy, downsampling against block means and scikit-image, erasing against its rectangle."""

from math import ceil

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.measure import block_reduce
from skimage.transform import resize

from tests.harness import agree, grey, one, patch, photo, plain, run, to_levels

pytestmark = pytest.mark.usefixtures("each_executor")


def blurred(image, sigma):
    """SciPy's, cut off at ⌈3σ⌉; its `mirror` does not repeat the edge pixel."""
    planes = np.moveaxis(image / 255.0, 2, 0)
    radius = ceil(3 * sigma)
    return np.stack([gaussian_filter(plane, sigma, mode="mirror", radius=radius) for plane in planes], axis=-1)


@pytest.mark.parametrize("size", [(48, 48), (37, 90), (5, 40), (1, 9), (1, 1)])
@pytest.mark.parametrize("sigma", [0.1, 0.34, 1.0, 1.5, 4.0, 16.0])
def test_gaussian_blur_is_scipys_even_where_the_kernel_is_larger_than_the_canvas(sigma, size):
    image = patch("chelsea", *size)
    found = one([{"op": "gaussian_blur", "sigma": sigma}], image)
    agree(found, to_levels(blurred(image, sigma)), most=1, mean=0.06)  # kernels are rounded to 2⁻¹⁶ a tap


def test_gaussian_blur_of_sigma_0_is_the_identity():
    image = photo("chelsea")
    np.testing.assert_array_equal(one([{"op": "gaussian_blur", "sigma": 0}], image), image)


def test_drawn_blurs_are_those_of_the_receipt_each_cut_off_at_its_own_radius():
    images = [patch("astronaut", 48, 40, top=10 * k) for k in range(16)]
    stream = run([{"op": "gaussian_blur", "sigma": [0.0, 6.0]}], images)
    for at, found in enumerate(stream.images()):
        agree(found, to_levels(blurred(images[at], stream.draws(at)["sigma"])), most=1, mean=0.03)


def test_gaussian_blur_of_what_overshot_blurs_what_is_seen():
    """Values live on [0, 1] between operations: an overexposed plane is white, not a lamp that shines on its neighbours."""
    image = photo("astronaut")[:64, 200:264]
    found = one([{"op": "color_shift", "shift": 0.5}, {"op": "gaussian_blur", "sigma": 1.5}], image)
    expected = blurred(255 * np.clip(image / 255 + 0.5, 0, 1), 1.5)
    agree(found, to_levels(expected), most=1, mean=0.03)


def test_gaussian_blur_of_a_dot_is_symmetric_and_keeps_its_light():
    image = plain(0, 41, 41, 1)
    image[20, 20] = 255
    bright = one([{"op": "gaussian_blur", "sigma": 0.8}], image)[..., 0]
    np.testing.assert_array_equal(bright, bright.T)
    np.testing.assert_array_equal(bright, bright[::-1, ::-1])
    assert abs(int(bright.sum()) - 255) <= 7  # 49 pixels, half a level of rounding at random each: twice its spread
    for level in (1, 100, 255):
        assert (one([{"op": "gaussian_blur", "sigma": 9.0}], plain(level, 20, 30)) == level).all()


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
def test_downsample_by_whole_factors_is_block_means_and_bilinear_up(factor):
    image = patch("coffee", 48, 72)
    small = block_reduce(image / 255.0, (factor, factor, 1), np.mean)
    expected = resize(small, (48, 72), order=1, mode="edge", anti_aliasing=False)
    found = one([{"op": "downsample", "scale": 1 / factor}], image)
    agree(found, to_levels(expected), most=1, mean=0.02)  # many are halves


def test_downsample_to_the_whole_image_or_to_one_pixel():
    image = patch("coffee", 48, 72)
    np.testing.assert_array_equal(one([{"op": "downsample", "scale": 1}], image), image)
    mean = to_levels(image.mean(axis=(0, 1), keepdims=True) / 255)
    agree(one([{"op": "downsample", "scale": 0.01}], image), np.broadcast_to(mean, image.shape), most=1, mean=1)


def test_downsample_keeps_the_drawn_share_of_each_side():
    """The size of the reduced image by the drawn scale: rounded, at least 1."""
    images = [patch("coffee", 48, 72, top=8 * k) for k in range(24)]
    stream = run([{"op": "downsample", "scale": [0.1, 1.0]}], images)
    for at, found in enumerate(stream.images()):
        height, width = (max(1, int(np.floor(stream.draws(at)["scale"] * side + 0.5))) for side in (48, 72))
        small = averaged(images[at] / 255.0, height, width)
        expected = resize(small, (48, 72), order=1, mode="edge", anti_aliasing=False)
        assert np.abs(found - to_levels(expected)).mean() <= 4
        agree(found.mean(axis=(0, 1)), images[at].mean(axis=(0, 1)), most=1.5, mean=1)


def averaged(values, height, width):
    """Exact area means (H, W, C) on `height` × `width` equal boxes."""

    def shares(length, count):
        ends = np.linspace(0, length, count + 1)
        pixels = np.arange(length)
        over = np.minimum(ends[1:, None], pixels + 1) - np.maximum(ends[:-1, None], pixels)
        return over.clip(0) / (length / count)

    down = np.tensordot(shares(values.shape[0], height), values, (1, 0))
    return np.tensordot(down, shares(values.shape[1], width), (1, 1)).transpose(0, 2, 1)


@pytest.mark.parametrize("scale", [0.95, 0.8, 0.6, 0.45, 0.3])
def test_downsample_by_any_factor_averages_areas(scale):
    """At factors that are not whole, source pixels that straddle two boxes are shared between them."""
    image = photo("astronaut")[:240, :320]
    height, width = round(scale * 240), round(scale * 320)
    small = averaged(image / 255.0, height, width)
    expected = to_levels(resize(small, (240, 320), order=1, mode="edge", anti_aliasing=False))
    agree(one([{"op": "downsample", "scale": scale}], image), expected, most=2, mean=0.05)


def test_downsample_does_not_move_the_image():
    """Labels stay valid: a dot's centre stays within half a pixel, at any scale."""
    rows, columns = np.mgrid[:64, :96] + 0.5
    for x, y in ((20.3, 12.7), (48.0, 32.0), (70.5, 50.1)):
        dot = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 3.0**2))
        image = to_levels(dot).astype(np.uint8)[..., None]
        for scale in np.linspace(0.15, 1.0, 35):
            light = one([{"op": "downsample", "scale": float(scale)}], image)[..., 0].astype(float)
            found = (columns * light).sum() / light.sum(), (rows * light).sum() / light.sum()
            np.testing.assert_allclose(found, (x, y), atol=0.5)


def rectangle(found, image):
    """The one rectangle of pixels that were changed: left, top, right, bottom, and that there is no other."""
    changed = (found != image).any(axis=2)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    left, top, right, bottom = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    assert changed[top:bottom, left:right].all() and changed.sum() == (right - left) * (bottom - top)
    return left, top, right, bottom


@pytest.mark.parametrize("size", [(64, 64), (40, 100)])
def test_erasing_covers_exactly_one_rectangle_within_its_ranges(size):
    height, width = size
    image = plain(255, height, width)
    stream = run([{"op": "erasing", "scale": [0.05, 0.3], "ratio": [0.5, 2.0]}], [image] * 300)
    found = np.array([rectangle(result, image) for result in stream.images()])
    across, down = found[:, 2] - found[:, 0], found[:, 3] - found[:, 1]
    uncut = (across < width) & (down < height)
    slack = (across + 0.5) * (down + 0.5) - across * down  # each side is rounded to whole pixels
    assert (across * down + slack >= 0.05 * height * width)[uncut].all()
    assert (across * down - slack <= 0.3 * height * width).all()
    assert ((across + 0.5) / (down - 0.5) >= 0.5).all() and ((across - 0.5) / (down + 0.5) <= 2.0)[uncut].all()
    assert abs((across * down).mean() / (height * width) - 0.175) < 0.02  # uniform: 4 × 0.25 / √(12 · 300)
    for low, high, side in ((found[:, 0], found[:, 2], width), (found[:, 1], found[:, 3], height)):
        assert low.min() == 0 and high.max() == side  # it reaches every edge
        assert abs((low + high).mean() / 2 - side / 2) < 0.06 * side


def test_an_erased_rectangle_is_that_of_the_receipt_and_has_its_colour():
    images = [patch("astronaut", 50, 70, top=10 * k) for k in range(16)]
    stream = run([{"op": "erasing", "scale": [0.1, 0.4], "value": [0, 1]}], images)
    for at, found in enumerate(stream.images()):
        draws = stream.draws(at)
        across = min(round(np.sqrt(draws["scale"] * 3500 * draws["ratio"])), 70)
        down = min(round(np.sqrt(draws["scale"] * 3500 / draws["ratio"])), 50)
        left, top = round((70 - across) * draws["place_x"]), round((50 - down) * draws["place_y"])
        expected = images[at].copy()
        expected[top : top + down, left : left + across] = to_levels(np.array(draws["value"][:3]))
        np.testing.assert_array_equal(found, expected)


def test_erasing_everything_and_a_grey_image():
    image = grey(patch("coffee", 30, 30))
    assert (one([{"op": "erasing", "scale": 1, "ratio": 1, "value": 0.2}], image) == 51).all()
    corner = {"op": "erasing", "scale": 0.25, "ratio": 1, "place_x": 1, "place_y": 0}
    found = one([corner], plain(255, 30, 30, 1))
    assert (found[:15, 15:] == 0).all() and found.astype(bool).sum() == 675
