"""The nearest pixel and cubic weights: against Pillow and SciPy, in frames, moves, masks' neighbourhood and on the grid."""

import numpy as np
import pytest
from PIL import Image

from augsvc.errors import SpecInvalid
from augsvc.numerics.geometry import Canvas
from augsvc.ops.pipeline import parse_pipeline
from augsvc.planning.image_plan import Plan
from tests.harness import agree, centred, grey, one, patch, photo, plain, psnr, rounded, run, turn, using, warp

pytestmark = pytest.mark.usefixtures("each_executor")
WHOLE = {"op": "zoom_out", "side": 1}  # the whole source, stretched
BORDERS = {"zeros": "grid-constant", "reflect": "reflect", "reflect101": "mirror", "edge": "nearest"}  # ours: SciPy's


def keys(t):
    """The weights of Keys (1981), a = −0.5."""
    t = np.abs(t)
    near, far = 1 - 2.5 * t**2 + 1.5 * t**3, 2 - 4 * t + 2.5 * t**2 - 0.5 * t**3
    return np.where(t < 1, near, np.where(t < 2, far, 0.0))


def weighed(image, x, y):
    """An image (H, W, C) at points (h, w) by weights of all its pixels, those at its edge repeated."""
    image = np.pad(image.astype(np.float64), ((2, 2), (2, 2), (0, 0)), mode="edge")
    result = np.empty((*x.shape, image.shape[2]))
    rows, columns = np.arange(image.shape[0]) - 1.5, np.arange(image.shape[1]) - 1.5
    for place in np.ndindex(x.shape):
        result[place] = np.einsum("i,j,ijc->c", keys(rows - y[place]), keys(columns - x[place]), image)
    return result


@pytest.mark.parametrize("size", [(224, 224), (96, 120), (400, 500), (700, 640), (30, 20)])
def test_a_bicubic_frame_is_pillows_resize(size):
    """Which rounds to bytes between rows and columns, also what overshoots, and beyond the edge weighs only what there is."""
    image = photo("coffee")
    shown = one([{**WHOLE, "interpolation": "bicubic"}], image, size=list(size))
    expected = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC))
    inner = slice(3, -3), slice(3, -3)
    difference = np.abs(shown[inner].astype(int) - expected[inner])
    assert difference.mean() < 0.2 and np.percentile(difference, 99.9) <= 2
    plainly = one([WHOLE], image, size=list(size))
    assert psnr(shown[inner], expected[inner]) > psnr(plainly[inner], expected[inner]) + 4


@pytest.mark.parametrize("size", [(20, 30), (12, 18), (60, 18), (20, 90), (1, 1)])
def test_cubic_weights_reach_beyond_a_pixel_where_centres_lie_on_pixels(size):
    """As where an image shrinks to an odd fraction: there the bytes of whole pixels were shown."""
    image = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    if size == (1, 1):
        image = image[:5, :7]
    shown = one([{**WHOLE, "interpolation": "bicubic"}], image, size=list(size))
    expected = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC))
    difference = np.abs(shown.astype(int) - expected)
    assert difference.mean() < 5 and difference.max() < 40


def test_a_bicubic_rotation_is_the_weighted_sum_of_sixteen_pixels():
    image = patch("astronaut", 24, 24)
    shown = one([{"op": "rotation", "degrees": 23, "border": "edge", "interpolation": "bicubic"}], image, size=[24, 24])
    back = np.linalg.inv(centred(turn(23), 24, 24))
    u, v = np.meshgrid(np.arange(24) + 0.5, np.arange(24) + 0.5)
    x, y = (back[axis, 0] * u + back[axis, 1] * v + back[axis, 2] for axis in (0, 1))
    inside = (np.abs(x - 12) < 12) & (np.abs(y - 12) < 12)
    agree(shown[inside], rounded(weighed(image, x, y))[inside], most=1, mean=0.02)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_nearest_pixel_is_scipys(border, channels):
    image = patch("coffee", 60, 50)
    image = image if channels == 3 else grey(image)
    step = {"op": "affine", "degrees": 31, "scale": 0.7, "translate_x": 0.11, "translate_y": 0.07, "border": border}
    shown = one([{**step, "interpolation": "nearest"}], image, size=[60, 50], channels=channels)
    move = np.eye(3)
    move[:2, 2] = 0.11 * 50, 0.07 * 60
    expected = warp(image, move @ centred(0.7 * turn(31), 50, 60), (60, 50), BORDERS[border], order=0)
    assert (shown != expected).mean() < 1e-3  # a point between two pixels may be rounded to either
    assert set(np.unique(shown)) <= {0, *np.unique(image)}


@pytest.mark.parametrize("interpolation", ["nearest", "bicubic"])
def test_what_shows_whole_pixels_is_the_same(interpolation):
    image = patch("chelsea", 40, 40)
    steps = [{"op": "translate", "x": 0.1, "y": -0.2}, {"op": "affine", "degrees": 90, "scale": 1}]
    for step in steps:
        step = {"translate_x": 0, "translate_y": 0, **step} if step["op"] == "affine" else step
        shown = one([{**step, "interpolation": interpolation}, {"op": "gamma", "gamma": 1}], image, size=[40, 40])
        np.testing.assert_array_equal(shown, one([step], image, size=[40, 40]))


@pytest.mark.parametrize("degrees", [0, 90, 180])
def test_cubic_weights_stay_within_what_a_byte_holds_and_keep_a_plain_colour(degrees):
    step = {"op": "affine", "degrees": degrees, "scale": 0.3, "interpolation": "bicubic", "border": "reflect101"}
    assert (one([step], plain(255, 30, 40), size=[30, 30]) == 255).all()
    edges = np.zeros((40, 40, 3), np.uint8)
    edges[:, 20:] = 255
    shown = one([{**WHOLE, "interpolation": "bicubic"}], edges, size=[64, 64])
    assert shown[:, 0].max() == 0 and shown[:, -1].min() == 255


def test_a_constant_border_fades_with_cubic_weights_and_not_with_nearest_pixels():
    step = {"op": "translate", "x": 0.13, "y": 0, "border": "constant", "fill": 1.0}
    image = plain(100, 10, 10)
    cubic, nearest = (
        one([{**step, "interpolation": i}], image, size=[10, 10])[5, :, 0] for i in ("bicubic", "nearest")
    )
    np.testing.assert_array_equal(cubic, one([step], image, size=[10, 10])[5, :, 0])
    assert nearest.tolist() == [255] + [100] * 9


def passes(*steps):
    return Plan.of(parse_pipeline(steps), Canvas(8, 8, 3), "cover").passes


def test_one_pass_has_one_interpolation_and_flips_take_any():
    crop, flip = {"op": "random_resized_crop", "interpolation": "bicubic"}, {"op": "horizontal_flip"}
    turned = {"op": "rotation", "interpolation": "bicubic"}
    assert len(passes(crop, flip, turned)) == 1
    assert len(passes(crop, flip, {"op": "rotation"})) == 2
    assert len(passes(crop, turned, {"op": "elastic"})) == 2
    assert len(passes(flip, turned)) == 2, "the fit is bilinear"
    assert len(passes({"op": "random_crop"}, turned)) == 1, "a crop shows whole pixels"
    assert len(passes({"op": "random_crop", "p": 0.5}, turned)) == 2, "the fit of the others does not"


def test_policies_pass_their_interpolation_on():
    policy = parse_pipeline([{"op": "rand_augment", "interpolation": "bicubic"}])[0]
    assert {getattr(slot.step, "interpolation", "bicubic") for slot in policy.slots()} == {"bicubic"}


@pytest.mark.parametrize("interpolation", ["nearest", "bicubic"])
def test_a_sample_does_not_depend_on_its_batch_or_its_executor(interpolation):
    images = [patch("coffee", 200 + 30 * k, 180) for k in range(4)]
    pipeline = [
        {"op": "random_resized_crop", "interpolation": interpolation},
        {"op": "rotation", "p": 0.5, "interpolation": interpolation},
    ]
    stream = run(pipeline, images, size=[48, 40])
    together = stream.images()
    for k in range(4):
        np.testing.assert_array_equal(stream.images(start=k, count=1)[0], together[k])
    with using("kornia"):
        reference = run(pipeline, images, size=[48, 40]).images()
    agree(together, reference, most=1 if interpolation == "bicubic" else 255, mean=0.02)


def test_the_default_is_not_in_the_canonical_form_and_another_name_is_refused():
    step = parse_pipeline([{"op": "rotation", "interpolation": "bilinear", "mask_fill": 255}])[0]
    assert not {"interpolation", "mask_fill"} & set(step.model_dump())
    with pytest.raises(SpecInvalid, match="interpolation"):
        parse_pipeline([{"op": "rotation", "interpolation": "lanczos"}])
