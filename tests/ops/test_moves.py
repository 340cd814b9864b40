"""Flips, rotation, affine and borders, against NumPy, SciPy and scikit-image.

Where a reference is bilinear in float64 the two differ by one grey level at most, where a value lies on the edge between
two levels; that happens in less than two elements in a thousand (0.0015 at most with the 12-bit weights of `fused`, 0.0007
with float32), hence the means.
"""

import re

import numpy as np
import pytest
from skimage.transform import AffineTransform
from skimage.transform import warp as skimage_warp

from augsvc.arrays import Sample
from augsvc.errors import NeedsStatistics, SpecInvalid
from augsvc.streams.probes import Probe
from tests.harness import ListSource, agree, centred, grey, one, over, patch, plain, rounded, run, turn, warp

pytestmark = pytest.mark.usefixtures("each_executor")
BORDERS = {  # ours: SciPy's, where nothing is scaled
    "zeros": "grid-constant",
    "reflect": "reflect",
    "reflect101": "mirror",
    "edge": "nearest",
}
ROUNDING = {"most": 1, "mean": 0.002}
SIZES = [(48, 48), (37, 53), (1, 7), (451, 300)]


def affine(**fields):
    """An affine move whose other parameters stand still."""
    still = {"degrees": 0, "translate_x": 0, "translate_y": 0, "scale": 1}
    return [{"op": "affine", **still, **fields}]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize(("op", "axis"), [("horizontal_flip", 1), ("vertical_flip", 0)])
def test_flips_are_exact(op, axis, border, size):
    image = patch("astronaut", *size, top=0, left=0)
    np.testing.assert_array_equal(one([{"op": op, "p": 1.0, "border": border}], image), np.flip(image, axis))


def test_flips_are_exact_on_the_widest_canvas():
    """float32 coordinates are at their coarsest there, and black beside white leaves them the least room."""
    image = np.random.default_rng(0).integers(0, 2, (4, 4096, 1), np.uint8) * np.uint8(255)
    np.testing.assert_array_equal(one([{"op": "horizontal_flip", "p": 1.0}], image), image[:, ::-1])


def test_two_flips_are_a_half_turn():
    image = patch("coffee", 37, 53)
    both = one([{"op": "horizontal_flip", "p": 1.0}, {"op": "vertical_flip", "p": 1.0}], image)
    np.testing.assert_array_equal(both, np.rot90(image, 2))
    np.testing.assert_array_equal(one([{"op": "rotation", "degrees": 180}], image), np.rot90(image, 2))


@pytest.mark.parametrize("side", [2, 31, 48, 300])
@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("quarters", [-4, -1, 0, 1, 2, 3, 4])
def test_quarter_turns_are_exact(quarters, border, side):
    image = patch("astronaut", side, side)
    turned = one([{"op": "rotation", "degrees": 90.0 * quarters, "border": border}], image)
    np.testing.assert_array_equal(turned, np.rot90(image, quarters))  # counter-clockwise as seen
    np.testing.assert_array_equal(one(affine(degrees=90.0 * quarters, border=border), image), turned)


def test_a_quarter_turn_of_a_canvas_that_is_not_square_is_exact_where_it_shows_the_image():
    image = patch("chelsea", 20, 48)
    turned = one([{"op": "rotation", "degrees": 90}], image)
    expected = np.zeros_like(image)
    expected[:, 14:34] = np.rot90(image[:, 14:34])
    np.testing.assert_array_equal(turned, expected)


def test_an_off_centre_dot_turns_counter_clockwise_about_the_middle():
    image = plain(0, 40, 60)
    image[20 - 1 : 20 + 1, 45 - 1 : 45 + 1] = 255  # centred on the corner (45, 20), 15 to the right of the middle
    for degrees, (x, y) in {90: (30, 5), -90: (30, 35), 180: (15, 20)}.items():
        turned = one([{"op": "rotation", "degrees": degrees}], image)
        expected = plain(0, 40, 60)
        expected[y - 1 : y + 1, x - 1 : x + 1] = 255
        np.testing.assert_array_equal(turned, expected)
    turned = one([{"op": "rotation", "degrees": 30}], image)[..., 0].astype(float)
    rows, columns = np.mgrid[:40, :60] + 0.5
    found = np.array([(columns * turned).sum(), (rows * turned).sum()]) / turned.sum()
    expected = (30 + 15 * np.cos(np.pi / 6), 20 - 15 * np.sin(np.pi / 6))
    np.testing.assert_allclose(found, expected, atol=0.02)  # 8-bit rounding of a spread-out dot's weights


@pytest.mark.parametrize("degrees", [-143.7, -30, 5, 45, 89.9, 200])
@pytest.mark.parametrize(("border", "mode"), BORDERS.items())
@pytest.mark.parametrize("size", [(64, 64), (48, 79)])
def test_rotation_is_scipys_to_the_last_border_pixel(degrees, border, mode, size):
    image = patch("coffee", *size)
    turned = one([{"op": "rotation", "degrees": degrees, "border": border}], image)
    expected = warp(image, centred(turn(degrees), size[1], size[0]), size, mode)
    agree(turned, rounded(expected), **ROUNDING)


def test_rotation_is_scikit_images():
    image = patch("astronaut", 64, 64)
    turned = one([{"op": "rotation", "degrees": 33, "border": "edge"}], image)
    middle = AffineTransform(translation=(-31.5, -31.5))  # scikit-image puts pixel centres at integers
    move = middle + AffineTransform(matrix=np.vstack((np.c_[turn(33), [0, 0]], [0, 0, 1]))) + middle.inverse
    expected = skimage_warp(image.astype(np.float64), move.inverse, order=1, mode="edge", preserve_range=True)
    agree(turned, rounded(expected), **ROUNDING)


def test_drawn_angles_are_those_of_the_receipt():
    images = [patch("chelsea", 40, 40, top=10 * k) for k in range(16)]
    stream = run([{"op": "rotation", "degrees": [-180, 180]}], images, aug_seed=7)
    for epoch in range(2):
        for at, turned in enumerate(stream.images(epoch=epoch)):
            degrees = stream.draws(at, epoch=epoch)["degrees"]
            expected = warp(images[at], centred(turn(degrees), 40, 40), (40, 40), "grid-constant")
            agree(turned, rounded(expected), **ROUNDING)


def reference(draws, width, height):
    """shift · turn · shear_y · shear_x · scale, about the middle: every factor written out."""
    lean_x = [[1, np.tan(np.deg2rad(draws["shear_x"]))], [0, 1]]
    lean_y = [[1, 0], [np.tan(np.deg2rad(draws["shear_y"])), 1]]
    shift = np.eye(3)
    shift[:2, 2] = draws["translate_x"] * width, draws["translate_y"] * height
    linear = turn(draws["degrees"]) @ lean_y @ lean_x @ (draws["scale"] * np.eye(2))
    return shift @ centred(linear, width, height)


@pytest.mark.parametrize(("border", "mode"), [("reflect", "reflect"), ("reflect101", "mirror"), ("edge", "nearest")])
def test_affine_is_scale_then_shear_then_turn_then_shift(border, mode):
    fields = {"degrees": [-90, 90], "translate_x": [-0.4, 0.4], "translate_y": [-0.4, 0.4], "scale": [1.0, 2.5]}
    fields |= {"shear_x": [-25, 25], "shear_y": [-25, 25]}
    images = [patch("coffee", 44, 61, top=20 * k) for k in range(16)]
    stream = run(affine(**fields, border=border), images, aug_seed=3)
    compared = 0
    for at, moved in enumerate(stream.images()):
        matrix = reference(stream.draws(at), 61, 44)
        if np.linalg.norm(np.linalg.inv(matrix)[:2, :2], axis=0).max() < 1.2:  # beyond, areas are averaged
            agree(moved, rounded(warp(images[at], matrix, (44, 61), mode)), **ROUNDING)
            compared += 1
    assert compared >= 8


def test_one_parameter_at_a_time_moves_a_dot_as_its_name_says():
    image = plain(0, 80, 120)
    image[30 - 1 : 30 + 1, 70 - 1 : 70 + 1] = 255  # 10 right of the middle and 10 above it
    rows, columns = np.mgrid[:80, :120] + 0.5
    tan = np.tan(np.deg2rad(20))
    for fields, place in [
        ({"translate_x": 0.25}, (100, 30)),  # a quarter of the width, to the right
        ({"translate_y": 0.25}, (70, 50)),  # a quarter of the height, down
        ({"scale": 2}, (80, 20)),
        ({"shear_x": 20}, (70 - 10 * tan, 30)),  # above the middle y is negative
        ({"shear_y": 20}, (70, 30 + 10 * tan)),
        ({"degrees": 90, "translate_x": 0.25}, (50 + 30, 30)),  # the shift is not turned
        ({"scale": 2, "shear_x": 20}, (80 - 20 * tan, 20)),
    ]:
        moved = one(affine(**fields), image)[..., 0].astype(float)
        found = np.array([(columns * moved).sum(), (rows * moved).sum()]) / moved.sum()
        np.testing.assert_allclose(found, place, atol=0.02)  # as above


def test_moves_in_a_row_are_one_resample():
    image = patch("astronaut", 64, 64)
    steps = [{"op": "rotation", "degrees": 45, "border": "edge"}, {"op": "rotation", "degrees": -45, "border": "edge"}]
    np.testing.assert_array_equal(one(steps, image), image)  # nothing was cut off or smoothed between the two
    first, second = {"op": "rotation", "degrees": 20, "border": "edge"}, affine(translate_x=0.2, border="edge")[0]
    shift = np.eye(3)
    shift[0, 2] = 0.2 * 64
    turned = centred(turn(20), 64, 64)
    for pipeline, matrix in [([first, second], shift @ turned), ([second, first], turned @ shift)]:
        agree(one(pipeline, image), rounded(warp(image, matrix, (64, 64), "nearest")), **ROUNDING)


def test_moves_with_another_border_are_two_resamples():
    image = patch("astronaut", 64, 64)
    steps = [{"op": "rotation", "degrees": 30}, {"op": "rotation", "degrees": 15, "border": "reflect"}]
    between = warp(image, centred(turn(30), 64, 64), (64, 64), "grid-constant")
    expected = warp(between, centred(turn(15), 64, 64), (64, 64), "reflect")
    agree(one(steps, image), rounded(expected), most=1, mean=0.004)  # each is cut off or rounded once


@pytest.mark.parametrize("shares", [[0.5], [1.0, 0.25], [1.0, 1.0], [-1.0, -1.0, -0.25]])
def test_reflect_is_about_the_images_edge_however_far(shares):
    image = patch("coffee", 24, 32)
    moved = one([affine(translate_x=share, border="reflect")[0] for share in shares], image)
    wide = np.pad(image, ((0, 0), (96, 96), (0, 0)), mode="symmetric")
    start = 96 - int(sum(shares) * 32)
    np.testing.assert_array_equal(moved, wide[:, start : start + 32])


@pytest.mark.parametrize("scale", [0.1, 0.13])
def test_reflect_and_edge_fill_a_canvas_many_times_the_image(scale):
    image = grey(patch("coffee", 40, 40))
    for border, mode in (("reflect", "reflect"), ("edge", "nearest")):
        small = one(affine(scale=scale, border=border), image)
        fine = warp(image, centred(scale * 16 * np.eye(2), 640, 640) @ shifted(300, 300), (640, 640), mode)
        expected = fine.reshape(40, 16, 40, 16, 1).mean(axis=(1, 3))
        agree(small, expected, most=3, mean=0.6)  # 8 taps an axis stand for up to 10 source pixels


def shifted(x, y):
    matrix = np.eye(3)
    matrix[:2, 2] = x, y
    return matrix


@pytest.mark.parametrize("degrees", [0, 17, 45])
@pytest.mark.parametrize("scale", [0.3, 0.8, 1.0, 3.0])
def test_zeros_leave_the_share_of_each_pixel_that_the_image_covers(scale, degrees):
    """A white image's levels are its coverage, whose edge is one output pixel wide whatever the scale."""
    white = one(affine(scale=scale, degrees=degrees, translate_x=0.00625), plain(255, 40, 40, 1))
    fine = np.stack(np.meshgrid(*[(np.arange(40 * 16) + 0.5) / 16] * 2), axis=-1).reshape(-1, 2)
    matrix = shifted(0.25, 0) @ centred(scale * turn(degrees), 40, 40)
    source = (fine - matrix[:2, 2]) @ np.linalg.inv(matrix[:2, :2]).T
    inside = ((source >= 0) & (source <= 40)).all(axis=1).reshape(40, 16, 40, 16).mean(axis=(1, 3))
    # Exact along straight edges. A slanted edge's true profile is quadratic at its ends, where ours is a linear ramp:
    # (√½ − ½)² = 0.043 of a pixel, 11 levels, apart at 45°, and a little more at a corner.
    agree(white[..., 0], inside * 255, most=1 if degrees == 0 else 16, mean=0.1 if degrees == 0 else 0.6)


COLORS = Probe.info.colors
FILLS = [(0.25, [63.75] * 3), ((0.0, 0.5, 1.0), [0, 127.5, 255]), ("mean", 255 * np.array(COLORS.mean()))]


def filled(image, fill, channels=3):
    step = {"op": "rotation", "degrees": 33, "border": "constant", "fill": fill}
    return over(ListSource([Sample(image, 0)], COLORS), [step], channels=channels).images()[0]


@pytest.mark.parametrize(("fill", "levels"), FILLS, ids=str)
def test_a_constant_border_has_its_colour(fill, levels):
    """SciPy's border of zeros, for the difference from the colour."""
    image = patch("coffee", 48, 79)
    expected = warp(image - np.array(levels), centred(turn(33), 79, 48), (48, 79), "grid-constant") + levels
    agree(filled(image, fill), rounded(expected), most=1, mean=0.01)
    corner = filled(image, fill, channels=1)[0, 0, 0]
    assert abs(corner - np.dot(levels, [0.299, 0.587, 0.114])) <= 0.51, "of a grey canvas its luma"


def test_zeros_are_black_of_the_constant_border_and_share_its_pass():
    image = patch("coffee", 48, 79)
    black = {"op": "rotation", "degrees": 20, "border": "constant"}
    zeros = {"op": "rotation", "degrees": 20}
    np.testing.assert_array_equal(one([black], image), one([zeros], image))
    assert len(run([black, zeros], [image]).stream.plan.passes) == 1
    assert len(run([{**black, "fill": 0.5}, zeros], [image]).stream.plan.passes) == 2


@pytest.mark.parametrize("op", ["rotation", "letterbox"])
def test_a_mean_needs_statistics_of_the_dataset(op):
    with pytest.raises(NeedsStatistics) as refused:
        run([{"op": op, "border": "constant", "fill": "mean"}], [patch("coffee", 48, 79)])
    assert refused.value.field == "pipeline.0"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"fill": 0.5}, "pipeline.0 needs border 'constant' for a fill"),
        ({"border": "edge", "fill": "mean"}, "pipeline.0 needs border 'constant' for a fill"),
        ({"border": "constant", "fill": 1.5}, "pipeline.0.fill.0 must be at most 1.0"),
        ({"border": "constant", "fill": "median"}, "pipeline.0.fill.0 must be a number"),
    ],
)
def test_a_wrong_fill_is_refused_by_name(fields, message):
    with pytest.raises(SpecInvalid, match=re.escape(message)):
        run([{"op": "rotation", **fields}], [patch("coffee", 8, 8)])


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (6, 1), (4, 7)])
def test_reflect101_repeats_no_pixel_however_far(size):
    """Four canvases to the right and down: NumPy's "reflect"."""
    image = patch("astronaut", *size)
    height, width = size
    shown = one(affine(translate_x=1, translate_y=1, border="reflect101") * 2, image)
    padded = np.pad(image, ((2 * height, 0), (2 * width, 0), (0, 0)), "reflect" if min(size) > 1 else "edge")
    if min(size) == 1 < max(size):  # NumPy repeats an axis of one pixel only as its edge
        long = int(width > height)
        padded = np.pad(
            image, [(2 * side, 0) if axis == long else (0, 0) for axis, side in enumerate((*size, 0))], "reflect"
        )
    np.testing.assert_array_equal(shown, padded[:height, :width])
