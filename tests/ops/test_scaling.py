"""Fitting a source onto the canvas, random crops, and what shrinking does: against Pillow, scikit-image and exact areas."""

import numpy as np
import pytest
from PIL import Image
from skimage.transform import resize

from augsvc.errors import SpecInvalid
from tests.harness import agree, centred, grey, one, patch, photo, plain, psnr, rounded, run, turn, warp

pytestmark = pytest.mark.usefixtures("each_executor")
PILLOW = {"most": 1, "mean": 0.25}  # it rounds to 8 bits between its two directions
FLOAT64 = {"most": 1, "mean": 0.005}  # only values on the edge between two levels may fall on the other side


def pillow(image, size, method, box=None):
    original = Image.fromarray(image)
    return np.asarray(original.resize((size[1], size[0]), method, box=box))


def areas(image, boxes_y, boxes_x):
    """Exact means of grey levels over [low, high) intervals of rows and columns, pixels being little squares."""

    def along(values, intervals):
        sums = np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, axis=0)])
        flat = sums.reshape(len(sums), -1)
        low, high = (
            np.stack([np.interp(ends, np.arange(len(sums)), column) for column in flat.T], axis=-1)
            for ends in np.asarray(intervals, dtype=np.float64).T
        )
        widths = np.diff(intervals, axis=1)
        return ((high - low) / widths).reshape(len(intervals), *values.shape[1:])

    down = along(image.astype(np.float64), boxes_y)
    return along(down.swapaxes(0, 1), boxes_x).swapaxes(0, 1)


def grid(start, step, count):
    """Intervals that tile from `start`."""
    ends = start + step * np.arange(count + 1)
    return np.stack((ends[:-1], ends[1:]), axis=-1)


@pytest.mark.parametrize("fit", ["cover", "contain", "stretch"])
def test_a_source_of_the_canvas_is_untouched(fit):
    for image in (photo("chelsea"), grey(photo("coffee")), plain(7, 1, 1)):
        np.testing.assert_array_equal(one([], image, fit=fit), image)


@pytest.mark.parametrize(("source", "size"), [((40, 60), (97, 151)), ((64, 64), (65, 64)), ((1, 3), (9, 9))])
def test_stretch_upwards_is_bilinear_to_the_rim(source, size):
    image = patch("astronaut", *source)
    found = one([], image, size=size, fit="stretch")
    agree(found, pillow(image, size, Image.Resampling.BILINEAR), **PILLOW)
    expected = resize(image.astype(np.float64), size, order=1, mode="edge", anti_aliasing=False)
    agree(found, rounded(expected), **FLOAT64)


def test_cover_upwards_cuts_the_middle_out():
    image = patch("coffee", 40, 60)
    expected = pillow(image, (96, 96), Image.Resampling.BILINEAR, box=(10, 0, 50, 40))  # reads beyond the cut
    agree(one([], image, size=[96, 96]), expected, **PILLOW)
    expected = pillow(image, (50, 90), Image.Resampling.BILINEAR, box=(0, 20 - 50 / 3, 60, 20 + 50 / 3))
    agree(one([], image, size=[50, 90], fit="cover"), expected, **PILLOW)


def test_contain_upwards_puts_zeros_around():
    image = patch("coffee", 40, 60)
    expected = plain(0, 96, 96)
    expected[16:80] = pillow(image, (64, 96), Image.Resampling.BILINEAR)
    agree(one([], image, size=[96, 96], fit="contain"), expected, **PILLOW)


def test_contain_between_pixels_shares_the_rims_pixel():
    found = one([], plain(200, 41, 60), size=[96, 96], fit="contain")[:, 0, 0]  # 65.6 rows from 15.2 to 80.8
    expected = np.where(np.abs(np.arange(96) + 0.5 - 48) < 32, 200, 0)
    expected[[15, 80]] = 160
    np.testing.assert_array_equal(found, expected)


def test_grey_of_colour_is_rec_601_luma_and_colour_of_grey_repeats():
    image = patch("coffee", 40, 60)
    luma = image @ np.array([0.299, 0.587, 0.114])
    agree(one([], image, channels=1)[..., 0], rounded(luma), most=1, mean=0.01)  # weights of 16 bits
    np.testing.assert_array_equal(one([], grey(image), channels=3), np.repeat(grey(image), 3, axis=2))


SHRINKS = [256, 128, 51]  # of 512: to 0.5, 0.25 and 0.1
DECIBELS = 50  # asked for are 45, 45 and 40; 8-bit rounding alone is 59


@pytest.mark.parametrize("name", ["astronaut", "coffee"])
@pytest.mark.parametrize("side", SHRINKS)
def test_shrinking_averages_areas(side, name):
    image = photo(name)[:400, :400] if name == "coffee" else photo(name)
    side = side * len(image) // 512
    step = len(image) / side
    found = one([], image, size=[side, side])
    expected = areas(image, grid(0, step, side), grid(0, step, side))
    ratio = psnr(found, expected)
    assert ratio >= DECIBELS
    if step > 2:  # at a half, plain bilinear reads the middle of four pixels
        plainly = resize(image.astype(np.float64), (side, side), order=1, anti_aliasing=False)
        assert ratio > psnr(rounded(plainly), expected) + 15
    boxed = pillow(image, (side, side), Image.Resampling.BOX)  # takes or leaves whole pixels at a box's ends
    assert psnr(found, boxed) >= 40


@pytest.mark.parametrize("degrees", [15, 45, 110])
@pytest.mark.parametrize("side", SHRINKS)
def test_shrinking_averages_areas_under_rotation(side, degrees):
    """Against the mean of 32×32 points in every output pixel, pixels being little squares."""
    image, fine = grey(photo("astronaut")), 32
    found = one([{"op": "rotation", "degrees": degrees, "border": "edge"}], image, size=[side, side])
    scale = side / 512
    middle = np.linalg.inv(np.array([[1, 0, 256], [0, 1, 256], [0, 0, 1.0]]))
    wide = 34 + side % 2  # a window in the middle, entirely inside the image
    linear = np.eye(3)
    linear[:2, :2] = turn(degrees) * scale
    there = np.array([[1, 0, wide / 2], [0, 1, wide / 2], [0, 0, 1.0]])
    matrix = np.diag([fine, fine, 1.0]) @ there @ linear @ middle
    points = warp(image, matrix, (wide * fine, wide * fine), "nearest", order=0)
    expected = points.reshape(wide, fine, wide, fine, 1).mean(axis=(1, 3))
    cut = slice((side - wide) // 2, (side - wide) // 2 + wide)
    shown = found[cut, cut]
    plainly = warp(image, centred(np.eye(2), 0, 0) @ there @ linear @ middle, (wide, wide), "nearest")
    ratio = psnr(shown, expected)
    assert ratio >= DECIBELS
    assert ratio > psnr(plainly, expected) + 10


@pytest.mark.parametrize("side", [410, 384, 350, 300, 200, 75, 40, 16, 8])
def test_shrinking_by_any_factor_is_nearly_the_area_and_no_worse_than_bilinear(side):
    image = photo("astronaut")
    found = one([], image, size=[side, side])
    expected = areas(image, grid(0, 512 / side, side), grid(0, 512 / side, side))
    ratio = psnr(found, expected)
    assert ratio >= 40
    plainly = resize(image.astype(np.float64), (side, side), order=1, anti_aliasing=False)
    assert ratio >= psnr(rounded(plainly), expected) - 0.5


def test_shrinking_one_axis_alone_averages_along_it_alone():
    image = photo("astronaut")
    found = one([], image, size=[512, 128], fit="stretch")
    expected = image.reshape(512, 128, 4, 3).mean(axis=2)
    agree(found, rounded(expected), **FLOAT64)


@pytest.mark.parametrize("factor", [2, 3, 4, 5, 8])
def test_shrinking_by_a_whole_factor_is_the_mean_of_blocks(factor):
    """With as many taps as source pixels, each tap lies on one: exact up to 8."""
    side = 40 * factor
    image = patch("chelsea", side, side, top=0, left=0) if side < 300 else photo("astronaut")[:side, :side]
    expected = image.reshape(40, factor, 40, factor, 3).mean(axis=(1, 3))
    agree(one([], image, size=[40, 40]), rounded(expected), most=1, mean=0.02)  # many means are halves


@pytest.mark.parametrize("fit", ["stretch", "contain"])
def test_shrinking_by_more_than_a_camera_sees_is_refused(fit):
    half = np.zeros((1, 1 << 19, 3), np.uint8)
    half[:, 1 << 18 :] = 255
    most = run([], [half], size=[1, 8], fit=fit).images()[0, 0, :, 0]
    assert most[:4].max() == 0 and (most[4:].min() == 255 or fit == "contain")  # there one pixel lies on 8 of 65536
    with pytest.raises(SpecInvalid, match="too large for this size") as refused:
        run([], [np.zeros((1, (1 << 19) + 8, 3), np.uint8)], size=[1, 8], fit=fit).images()
    assert refused.value.field == "size"
