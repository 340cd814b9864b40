"""Masks: the class that the centre of a pixel falls on, against fractions, which round nowhere."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from augsvc.arrays import Sample
from augsvc.errors import SpecInvalid
from augsvc.numerics.geometry import FORESHORTENED, MATRIX_BITS, Camera, Canvas
from augsvc.ops.kinds.border import Padding
from augsvc.ops.pipeline import parse_pipeline
from tests.harness import executor, patch, run

pytestmark = pytest.mark.usefixtures("each_executor")
NOTHING = 255
BORDERS = ("constant", "reflect", "reflect101", "edge")
SIDES = st.sampled_from([(1, 1), (1, 17), (13, 1), (5, 9), (16, 16), (40, 23)])
NUMBERS = st.integers(-24, 24).map(lambda eighths: eighths / 8)


@st.composite
def matrices(draw):
    """Enlarging, shrinking, turning, mirroring, leaning, far off: whatever has an inverse."""
    matrix = np.eye(3)
    matrix[:2, :2] += [[draw(NUMBERS), draw(NUMBERS)], [draw(NUMBERS), draw(NUMBERS)]]
    matrix[:2, 2] = 8 * draw(NUMBERS), 8 * draw(NUMBERS)
    if draw(st.booleans()):
        matrix[2, :2] = draw(NUMBERS) / 64, draw(NUMBERS) / 64
    return matrix if abs(np.linalg.det(matrix)) > 0.01 else np.eye(3)


def looked_up(mask, camera, row, border, canvas):
    """Pixel by pixel; a mirrored image repeats itself after twice its length."""
    unit = Fraction(1, 1 << MATRIX_BITS)
    matrix = [[int(number) * unit for number in line] for line in (*camera.backward[row], camera.depth[row])]
    found = np.full((canvas.height, canvas.width), NOTHING, np.uint8)
    for v in range(canvas.height):
        for u in range(canvas.width):
            point = (u + Fraction(1, 2), v + Fraction(1, 2), 1)
            x, y, depth = (sum(a * b for a, b in zip(line, point, strict=True)) for line in matrix)
            if depth < 1 / Fraction(FORESHORTENED):
                continue
            place = []
            for at, length in ((floor(y / depth), mask.shape[0]), (floor(x / depth), mask.shape[1])):
                if border == "reflect":
                    place.append([*range(length), *reversed(range(length))][at % (2 * length)])
                elif border == "reflect101":
                    place.append([*range(length), *reversed(range(1, length - 1))][at % max(1, 2 * length - 2)])
                elif border == "edge" or 0 <= at < length:
                    place.append(sorted((0, at, length - 1))[1])
            if len(place) == 2:
                found[v, u] = mask[tuple(place)]
    return found


@given(
    st.lists(SIDES, min_size=1, max_size=3),
    st.lists(st.tuples(st.lists(matrices(), min_size=3, max_size=3), st.sampled_from(BORDERS)), min_size=1, max_size=3),
    st.sampled_from([(1, 1), (1, 6), (7, 5), (9, 16)]),
)  # fmt: skip
def test_a_mask_is_what_its_pixels_centres_fall_on(sides, steps, size):
    canvas = Canvas(*size, 1)
    masks = [((np.arange(h)[:, None] * 7 + np.arange(w) * 3) % 251).astype(np.uint8) for h, w in sides]
    moves, expected, seen = [], masks, [mask.shape for mask in masks]
    for matrix, border in steps:
        camera = Camera.of(np.stack(matrix[: len(masks)]), canvas, seen)
        moves.append((camera, Padding(border)))
        expected = [looked_up(mask, camera, row, border, canvas) for row, mask in enumerate(expected)]
        seen = [size] * len(masks)
    out = np.full((len(masks), *size), 77, np.uint8)
    executor().move_masks(masks, moves, out, lambda: None)
    np.testing.assert_array_equal(out, np.stack(expected))


def test_masks_may_lie_in_memory_in_any_way_and_be_read_only():
    masks = [np.arange(60, dtype=np.uint8).reshape(6, 10)] * 2
    views = [np.asfortranarray(masks[0]), np.repeat(np.repeat(masks[1], 2, axis=0), 3, axis=1)[::2, ::3]]
    for view in views:
        view.setflags(write=False)
    camera = Camera.of(np.tile(np.diag([-1.0, 1.0, 1.0]), (2, 1, 1)), Canvas(6, 10, 1), [(6, 10)] * 2)
    out = np.empty((2, 2, 6, 10), np.uint8)
    for found, given_masks in zip(out, (masks, views), strict=True):
        executor().move_masks(given_masks, [(camera, Padding("reflect"))], found, lambda: None)
    np.testing.assert_array_equal(out[0], out[1])
    np.testing.assert_array_equal(out[0], np.stack(masks)[:, :, :])


@pytest.mark.parametrize("border", ["zeros", "constant"])
def test_a_border_has_its_class_of_masks(border):
    """As MMSegmentation's seg_pad_val; each pass its own."""
    steps = [{"op": "translate", "x": 0.5, "y": 0, "border": border, "mask_fill": 7}, {"op": "horizontal_flip"}]
    image = patch("coffee", 8, 8)
    sample = Sample(image, 0, mask=np.full((8, 8), 3, np.uint8))
    shown = run(steps, [sample], size=[8, 8]).batch()["mask"][0]
    np.testing.assert_array_equal(shown, np.repeat([[7] * 4 + [3] * 4], 8, axis=0)[:, ::-1])
    again = [*steps, {"op": "gaussian_noise"}, {"op": "translate", "x": 0, "y": 0.5}]
    shown = run(again, [sample], size=[8, 8]).batch()["mask"][0]
    assert (shown[:4] == 255).all() and set(np.unique(shown[4:])) == {3, 7}


def test_only_a_constant_border_has_a_class_of_masks():
    for step in ({"op": "rotation", "border": "edge"}, {"op": "letterbox", "border": "reflect"}):
        with pytest.raises(SpecInvalid, match="mask_fill"):
            parse_pipeline([{**step, "mask_fill": 0}])


def test_a_frame_pads_masks_with_its_class():
    sample = Sample(patch("coffee", 4, 8), 0, mask=np.full((4, 8), 3, np.uint8))
    shown = run([{"op": "letterbox", "mask_fill": 0}], [sample], size=[8, 8]).batch()["mask"][0]
    assert shown[:, 0].tolist() == [0, 0, 3, 3, 3, 3, 0, 0]
