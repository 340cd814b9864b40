"""Perspective, against four-point homographies from a linear solver and SciPy's bilinear look-up in float64; the horizon."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit
from scipy import ndimage

from augsvc.executors.fused.kernels import camera as kernel_camera
from augsvc.numerics.geometry import FORESHORTENED, Camera, Canvas
from augsvc.ops.image.geometric.rotation import Rotation
from augsvc.ops.kinds.border import MASK_NOTHING
from augsvc.planning.image_plan import Plan
from augsvc.planning.labels import move_mask
from augsvc.planning.passes import Pass
from tests.harness import agree, centred, executor, grey, one, open_cpu, patch, photo, plain, psnr, rounded, run, turn

pytestmark = pytest.mark.usefixtures("each_executor")
MODES = {"zeros": "grid-constant", "reflect": "reflect", "reflect101": "mirror", "edge": "nearest"}


def homography(draws, width, height):
    """Eight equations: where the canvas's corners go."""
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], float)
    inwards = np.array([(1, 1), (-1, 1), (-1, -1), (1, -1)])
    shares = np.stack((draws["corners_x"], draws["corners_y"]), axis=-1)
    moved = corners + inwards * shares * draws["distortion"] / 2 * [width, height]
    rows, right = [], []
    for (x, y), (u, v) in zip(corners, moved, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    return np.append(np.linalg.solve(rows, right), 1.0).reshape(3, 3)


def places(forward, size, times=1):
    """Source coordinates of canvas points, several per pixel and axis: x, y and depth."""
    v, u = ((axis + 0.5) / times for axis in np.mgrid[: size[0] * times, : size[1] * times])
    x, y, depth = np.moveaxis(np.stack((u, v, np.ones_like(u)), axis=-1) @ np.linalg.inv(forward).T, 2, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return x / depth, y / depth, depth


def looked_up(image, x, y, mode):
    planes = np.moveaxis(image.astype(float), 2, 0)
    return np.stack([ndimage.map_coordinates(plane, [y - 0.5, x - 0.5], order=1, mode=mode) for plane in planes], -1)


@pytest.mark.parametrize("border", MODES)
@pytest.mark.parametrize("size", [(64, 64), (40, 90)])
def test_perspective_is_that_of_the_receipts_corners(border, size):
    images = [patch("coffee", *size, top=8 * k) for k in range(12)]
    stream = run([{"op": "perspective", "distortion": [0.05, 0.4], "border": border}], images, aug_seed=2)
    compared = 0
    for at, found in enumerate(stream.images()):
        forward = homography(stream.draws(at), size[1], size[0])
        x, y, depth = places(forward, size)
        slope = [np.hypot(*(np.gradient(place, axis=axis) for place in (x, y))) for axis in (0, 1)]
        if border == "zeros":  # pixels at its rim are weighted by what they show
            inside = (x > 2 * slope[1].max()) & (x < size[1] - 2 * slope[1].max())
            inside &= (y > 2 * slope[0].max()) & (y < size[0] - 2 * slope[0].max())
            outside = (x < -5) | (x > size[1] + 5) | (y < -5) | (y > size[0] + 5)
            assert not found[outside].any() and (outside.any() or inside.any())
        else:
            inside = depth > 0.25 * depth.max()  # far off a mirror changes faster than pixels
        alone = max(step.max(where=(x > 0) & (x < size[1]) & (y > 0) & (y < size[0]), initial=0) for step in slope)
        if alone < 1.2:  # beyond, areas are averaged
            expected = rounded(looked_up(images[at], x, y, MODES[border]))
            agree(found[inside], expected[inside], most=1, mean=0.004)
            compared += inside.sum()
    assert compared > 2000


@pytest.mark.parametrize("size", [(48, 48), (37, 90), (1, 9), (1, 1)])
def test_without_distortion_it_is_the_identity(size):
    image = patch("chelsea", *size)
    np.testing.assert_array_equal(one([{"op": "perspective", "distortion": 0}], image), image)


def test_a_trapezium_of_equal_corners_only_shrinks():
    image = patch("astronaut", 64, 64)
    step = {"op": "perspective", "distortion": 0.5, "corners_x": 1, "corners_y": 1}
    scaled = [{"op": "affine", "degrees": 0, "translate_x": 0, "translate_y": 0, "scale": 0.5}]
    agree(one([step], image), one(scaled, image), most=0, mean=0)


def test_perspective_among_other_moves_is_one_resample():
    image = patch("astronaut", 64, 64)
    tilt = {"op": "perspective", "distortion": 0.12, "border": "edge"}
    turned = {"op": "rotation", "degrees": 30, "border": "edge"}
    for steps in ([tilt, turned], [turned, tilt], [{**turned, "degrees": -30}, tilt, turned]):
        stream = run(steps, [image])
        assert len(stream.stream.plan.passes) == 1
        forward = np.eye(3)
        for number, step in enumerate(steps):
            turning = centred(turn(step.get("degrees", 0)), 64, 64)
            forward = (homography(stream.draws(0, number), 64, 64) if step is tilt else turning) @ forward
        x, y, _ = places(forward, (64, 64))
        agree(stream.images()[0], rounded(looked_up(image, x, y, "nearest")), most=1, mean=0.004)


def test_it_averages_areas_where_it_shrinks_most():
    image = photo("astronaut")
    stream = run([{"op": "perspective", "distortion": 0.5, "border": "edge"}], [image] * 6, size=[64, 64])
    for at, found in enumerate(stream.images()):
        scaled = homography(stream.draws(at), 64, 64) @ np.diag([64 / 512, 64 / 512, 1])
        x, y, _ = places(scaled, (64, 64), 16)
        fine = looked_up(image, x, y, "nearest").reshape(64, 16, 64, 16, 3).mean(axis=(1, 3))
        shown = (x > 0) & (x < 512) & (y > 0) & (y < 512)
        shown = shown.reshape(64, 16, 64, 16).all(axis=(1, 3))
        single = looked_up(image, *places(scaled, (64, 64))[:2], "nearest")
        assert psnr(found[shown], fine[shown]) > max(40, psnr(single[shown], fine[shown]) + 12)


# a tilt about the canvas's upper edge, so that the horizon crosses it; one of which nothing is seen; a mirror
TILTS = {
    "horizon": [[1, 0.5, -10], [0, 1, 0], [0, 0.03, -0.4]],
    "askew": [[0.4, -0.1, 3], [0.1, 0.6, 5], [0.02, -0.021, 0.3]],
    "nothing": [[1, 0, 0], [0, 1, 0], [0, 0, -1]],
    "mirrored": [[-0.5, 0, 20], [0.01, 0.5, 3], [0.004, 0.003, 1]],
    "scaled as a whole": [[7, 0, 0], [0, 7, 0], [0, 0, 7]],
}


def through(matrix, image, border, name):
    """An image and a mask through any matrix."""
    canvas = Canvas(30, 40, image.shape[2])
    one_pass = Pass(fits=True, padding=Rotation(border=border).outside)
    plan = replace(Plan.of([], canvas, "cover"), passes=(one_pass,))
    camera = Camera.of(np.array([matrix], float), canvas, [image.shape[:2]])
    found = np.empty((1, canvas.channels, 30, 40), np.uint8)
    open_cpu(name).render(plan, [image], [camera], [], found, lambda: None)
    mask = np.ones(image.shape[:2], np.uint8)
    return found[0].transpose(1, 2, 0), move_mask(mask, camera, 0, one_pass.padding, canvas), camera


@pytest.mark.parametrize("border", MODES)
@pytest.mark.parametrize("name", TILTS)
@pytest.mark.parametrize("channels", [1, 3])
def test_beyond_the_horizon_there_are_zeros(name, border, channels):
    image = patch("coffee", 24, 36) // 2 + 100
    found, mask, camera = through(TILTS[name], image if channels == 3 else grey(image), border, executor().name)
    _, _, depth = places(np.array(TILTS[name], float), (30, 40))
    u, v = np.meshgrid([0.0, 40.0], [0.0, 30.0])
    back = np.linalg.inv(TILTS[name])
    most = (back[2, 0] * u + back[2, 1] * v + back[2, 2]).max()
    gone = depth < most / FORESHORTENED if most > 0 else np.ones((30, 40), bool)
    assert gone.any() == (name in ("horizon", "askew", "nothing"))
    assert not found[gone].any() and (mask[gone] == MASK_NOTHING).all()
    if border != "zeros":
        assert found[~gone].min(initial=100) >= 100 and (mask[~gone] == 1).all()
    assert (camera.taps <= 16).all()


def test_a_multiple_of_a_matrix_is_the_same_camera():
    image = photo("coffee")[:30, :40]
    np.testing.assert_array_equal(through(TILTS["scaled as a whole"], image, "zeros", executor().name)[0], image)


@given(st.lists(st.integers(-12, 12), min_size=8, max_size=8), st.sampled_from(sorted(MODES)), st.booleans())
def test_any_matrix_gives_the_same_image_on_both_executors(numbers, border, steep):
    """However it tilts: but for the mirror of what is far off, where float32 has no digits left for a coordinate."""
    a, b, c, d, e, f, g, h = np.array(numbers) / 8
    lean = 0.1 if steep else 0.01
    matrix = [[1 + a, b, 10 * c], [d, 1 + e, 10 * f], [g * lean, h * lean, 1]]
    if abs(np.linalg.det(matrix)) < 1e-6:
        return
    image = patch("chelsea", 24, 36)
    first, second = (through(matrix, image, border, name)[0].astype(int) for name in ("fused", "kornia"))
    x, y, _ = places(np.array(matrix), (30, 40))
    near = (abs(x) < 500) & (abs(y) < 500)
    assert abs(first - second)[near].max(initial=0) <= 2
    assert abs(first - second)[near].mean() <= 0.1 if near.any() else True  # of a slope of 8∕9, a tenth are halves


def test_points_beyond_the_horizon_are_not_seen():
    camera = Camera.of(np.array([TILTS["horizon"]], float), Canvas(30, 40, 3), [(24, 36)])
    points = np.array([[[5.0, 20.0], [5.0, 14.0], [5.0, 13.0], [5.0, 0.0]]])
    moved, seen = camera.move_points(points)
    assert seen.tolist() == [[True, True, False, False]]
    np.testing.assert_allclose(moved[0, 0], np.array([5 + 10 - 10, 20]) / 0.2)
    assert moved[0, 2:].tolist() == [[0, 0], [0, 0]]


@njit
def quotient(coordinate, depth):
    return kernel_camera.divide(coordinate, depth, kernel_camera.reciprocal(depth))


@given(st.integers(-(16384 << 32), 16384 << 32), st.integers(1 << 26, 1 << 32))
def test_a_coordinate_is_far_better_than_a_64th_of_a_pixel(place, depth):
    """At the far edge of the widest source, at any depth before the horizon."""
    dividend = place * depth >> 32
    assert abs(quotient(np.int64(dividend), np.int64(depth)) / 2**32 - dividend / depth) < 1 / 2048


def test_a_white_image_shows_its_coverage():
    """Its rim is one canvas pixel wide, however foreshortened."""
    step = {"op": "perspective", "distortion": 0.6}
    stream = run([step], [plain(255, 60, 60, 1)] * 8)
    for at, found in enumerate(stream.images()):
        x, y, _ = places(homography(stream.draws(at), 60, 60), (60, 60), 16)
        inside = ((x >= 0) & (x <= 60) & (y >= 0) & (y <= 60)).reshape(60, 16, 60, 16).mean(axis=(1, 3))
        agree(found[..., 0], inside * 255, most=17, mean=0.8)  # slanted edges: as in test_moves.py
