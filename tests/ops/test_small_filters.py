"""Box and motion blur and sharpening, against SciPy and Pillow. SciPy's `mirror` does not repeat the edge pixel, nor do we."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter
from scipy import ndimage

from augsvc.arrays import I64
from augsvc.numerics.geometry import Canvas
from augsvc.numerics.rng import Address
from augsvc.ops.kinds.image import Filter
from augsvc.ops.operation import Draw
from augsvc.planning.image_plan import Plan
from tests.harness import agree, executor, grey, one, patch, photo, plain, run, to_levels

pytestmark = pytest.mark.usefixtures("each_executor")
SIZES = [(37, 50), (5, 40), (1, 9), (9, 1), (1, 1)]


def planes(function, image):
    """A function of one plane on the [0, 1] scale, for each channel."""
    return np.stack([function(plane) for plane in np.moveaxis(image / 255.0, 2, 0)], axis=-1)


def boxed(image, radius):
    """1 for each whole pixel of the radius, the rest at both ends."""
    whole = int(radius)
    weights = np.concatenate(([radius - whole], np.ones(2 * whole + 1), [radius - whole])) / (2 * radius + 1)
    across = planes(lambda plane: ndimage.correlate1d(plane, weights, axis=1, mode="mirror"), image) * 255
    return planes(lambda plane: ndimage.correlate1d(plane, weights, axis=0, mode="mirror"), across)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("radius", [0.25, 1, 2.75, 16])
def test_box_blur_is_scipys_even_where_the_kernel_is_larger_than_the_canvas(radius, size):
    image = patch("chelsea", *size)
    agree(one([{"op": "box_blur", "radius": radius}], image), to_levels(boxed(image, radius)), most=1, mean=0.2)


@pytest.mark.parametrize("radius", [0.5, 1, 3.3])
def test_box_blur_is_pillows_away_from_the_edge(radius):
    image = patch("astronaut", 80, 90)
    expected = np.asarray(Image.fromarray(image).filter(ImageFilter.BoxBlur(radius)))
    found = one([{"op": "box_blur", "radius": radius}], image)
    agree(found[8:-8, 8:-8], expected[8:-8, 8:-8], most=1, mean=0.3)  # Pillow rounds between rows and columns


def moved_and_summed(image, length, degrees, count=200):
    """The mean of the image at points along the line, interpolated by SciPy."""
    along = length * ((np.arange(count) + 0.5) / count - 0.5)
    rows, columns = -along * np.sin(np.deg2rad(degrees)), along * np.cos(np.deg2rad(degrees))
    wide = np.pad(image / 255.0, ((40, 40), (40, 40), (0, 0)), mode="reflect" if min(image.shape[:2]) > 1 else "edge")
    total = 0
    for down, across in zip(rows, columns, strict=True):
        total = total + ndimage.shift(wide, (down, across, 0), order=1)
    return total[40:-40, 40:-40] / count


@pytest.mark.parametrize(("length", "degrees"), [(1, 0), (3, 90), (5, 30), (9.5, -45), (32, 77)])
def test_motion_blur_is_the_mean_of_the_image_along_its_line(length, degrees):
    image = patch("coffee", 34, 40)
    found = one([{"op": "motion_blur", "length": length, "degrees": degrees}], image)
    agree(
        found, to_levels(moved_and_summed(image, length, degrees)), most=2, mean=0.2
    )  # of steps of a quarter of a pixel


def test_drawn_motion_is_that_of_the_receipt():
    images = [patch("astronaut", 30, 34, top=10 * k) for k in range(6)]
    stream = run([{"op": "motion_blur", "length": [0, 12], "degrees": [-180, 180]}], images)
    for at, found in enumerate(stream.images()):
        expected = moved_and_summed(images[at], stream.draws(at)["length"], stream.draws(at)["degrees"])
        agree(found, to_levels(expected), most=2, mean=0.2)


def test_motion_goes_counter_clockwise_from_level():
    image = plain(0, 41, 41, 1)
    image[20, 20] = 255
    bright = {d: one([{"op": "motion_blur", "length": 15, "degrees": d}], image)[..., 0] for d in (0, 45, 90)}
    assert np.flatnonzero(bright[0].any(axis=1)).tolist() == [20] and np.flatnonzero(
        bright[90].any(axis=0)
    ).tolist() == [20]
    assert bright[45][15, 25] > 0 and bright[45][25, 15] > 0 and bright[45][15, 15] == 0  # up to the right
    for light in bright.values():
        assert abs(int(light.sum()) - 255) <= 12  # some 30 pixels, each rounded
        np.testing.assert_array_equal(light, light[::-1, ::-1])


def sharp(image, amount):
    kernel = -amount / 13 * np.ones((3, 3))
    kernel[1, 1] = 1 + amount * 8 / 13
    return planes(lambda plane: ndimage.correlate(plane, kernel, mode="mirror"), image)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("amount", [0.3, 1, 8])
def test_sharpen_is_scipys_clamped_where_it_overshoots(amount, size):
    image = patch("chelsea", *size)
    agree(one([{"op": "sharpen", "amount": amount}], image), to_levels(sharp(image, amount)), most=1, mean=0.06)


@pytest.mark.parametrize("amount", [0.5, 1.0, 3.0])
def test_sharpen_is_pillows_away_from_the_edge(amount):
    image = patch("coffee", 60, 70)
    expected = np.asarray(ImageEnhance.Sharpness(Image.fromarray(image)).enhance(1 + amount))
    found = one([{"op": "sharpen", "amount": amount}], image)
    # Pillow rounds the smooth image to whole levels first, and truncates the sum
    agree(found[1:-1, 1:-1], expected[1:-1, 1:-1], most=np.ceil(amount / 2 + 1), mean=0.3 + amount / 4)


def test_what_overshoots_is_clamped_once_and_before_the_next_operation():
    """A bright line beside dark ones is white, not brighter, when it is blurred afterwards."""
    image = photo("astronaut")[:64, 200:264]
    found = one([{"op": "sharpen", "amount": 8}, {"op": "box_blur", "radius": 2}], image)
    agree(found, to_levels(boxed(np.clip(sharp(image, 8), 0, 1) * 255, 2)), most=1, mean=0.06)


@pytest.mark.parametrize(
    "step", [{"op": "box_blur", "radius": 0}, {"op": "motion_blur", "length": 0}, {"op": "sharpen", "amount": 0}]
)
def test_no_strength_is_the_identity(step):
    image = photo("chelsea")
    np.testing.assert_array_equal(one([step], image), image)


@pytest.mark.parametrize("op", ["box_blur", "motion_blur", "sharpen"])
def test_a_plain_plane_stays_as_it_is_and_who_is_not_selected_too(op):
    for level in (0, 1, 100, 255):
        assert (one([{"op": op}], plain(level, 20, 30)) == level).all()
    images = [grey(patch("coffee", 20, 24, top=8 * k)) for k in range(16)]
    stream = run([{"op": op, "p": 0.5}], images)
    for selected, found, image in zip(stream.selected(), stream.images(), images, strict=True):
        assert selected or (found == image).all()
    assert 0 < stream.selected().sum() < 16


class Askew(Filter):
    """A kernel without any symmetry, of both signs."""

    op: str = "askew"

    def kernels(self, draw: Draw, canvas: Canvas) -> I64:
        kernel = np.array([[3, 0, 0, -20, 0], [0, 0, 9, 0, 0], [0, 0, 70, 1, -8], [0, 5, 0, 0, 2], [11, 0, 0, 0, -9]])
        return np.tile(kernel * 1024, (len(draw.selected), 1, 1))


def test_a_kernels_rows_go_down_and_its_columns_to_the_right():
    image = patch("coffee", 30, 40)
    kernel = Askew().kernels(
        Plan.of([Askew()], Canvas(1, 1, 3), "cover").draw(0, Address(np.arange(1), 0, 0))[0], None
    )[0]
    assert kernel.sum() == 1 << 16
    plan = Plan.of([Askew()], Canvas(30, 40, 3), "cover")
    draws = plan.draw(0, Address(np.arange(1), 0, 0))
    found = np.empty((1, 3, 30, 40), np.uint8)
    cameras = [plan.cameras(part, draws, [(30, 40)]) for part in plan.passes]
    executor().render(plan, [image], cameras, draws, found, lambda: None)
    expected = planes(lambda plane: ndimage.correlate(plane, kernel / 65536, mode="mirror"), image)
    agree(found[0].transpose(1, 2, 0), to_levels(expected), most=1, mean=0.01)
