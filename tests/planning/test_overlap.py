"""Boxes under a rectangle that covers them in part, judged by pixel centres."""

import numpy as np
import pytest

from augsvc.numerics.geometry import Canvas
from augsvc.planning.labels import Boxes
from augsvc.planning.overlap import cover_boxes

SIDE = 24
CANVAS = Canvas(SIDE, SIDE, 3)


def covered(box, rectangle):
    """What is left of one box."""
    boxes = Boxes.of(np.array([[box]], np.float64), np.ones((1, 1), bool))
    return cover_boxes(boxes, np.array([rectangle]), CANVAS)


def pixels(x1, y1, x2, y2):
    """The pixels of the canvas whose centres lie inside: as nearest sampling marks them in a mask."""
    centres = np.arange(SIDE) + 0.5
    return ((y1 <= centres) & (centres < y2))[:, None] & ((x1 <= centres) & (centres < x2))


@pytest.mark.parametrize(("first_row", "left"), [(22, 16), (23, 16), (24, 64)])
def test_a_box_shrinks_where_all_its_pixels_are_covered(first_row, left):
    boxes = Boxes.of(np.array([[[0, 22.67, 64, 37.33]]]), np.ones((1, 1), bool))
    rest = cover_boxes(boxes, np.array([[16, first_row, 64, 64]]), Canvas(64, 64, 3))
    assert rest.on(Canvas(64, 64, 3)).round(2).tolist() == [[[0, 22.67, left, 37.33]]]


@pytest.mark.parametrize(("last_row", "left"), [(36, 64), (37, 16), (38, 16)])
def test_a_box_shrinks_likewise_at_its_far_end(last_row, left):
    boxes = Boxes.of(np.array([[[0, 22.67, 64, 37.33]]]), np.ones((1, 1), bool))
    rest = cover_boxes(boxes, np.array([[16, 0, 64, last_row]]), Canvas(64, 64, 3))
    assert rest.on(Canvas(64, 64, 3)).round(2).tolist() == [[[0, 22.67, left, 37.33]]]


@pytest.mark.parametrize("scale", [1.0, 2.0, 100.0])  # coordinates in wholes, halves, and hundredths of pixels
def test_what_is_left_of_a_box_is_the_hull_of_its_pixels_that_show(scale):
    rng, hidden, shrunk = np.random.default_rng(0), 0, 0
    for _ in range(3000):
        (x1, x2), (y1, y2) = np.sort(rng.integers(0, int(SIDE * scale) + 1, (2, 2)) / scale, axis=1)
        (left, right), (top, bottom) = np.sort(rng.integers(0, SIDE + 1, (2, 2)), axis=1)
        shown = pixels(x1, y1, x2, y2) & ~pixels(left, top, right, bottom)
        rest = covered((x1, y1, x2, y2), (left, top, right, bottom))
        if not shown.any() and pixels(x1, y1, x2, y2).any():
            assert not rest.valid[0, 0]
            hidden += 1
        elif shown.any() and rest.valid[0, 0]:
            rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
            hull = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
            assert np.abs(rest.on(CANVAS)[0, 0] - hull).max() <= 0.5
            shrunk += shown.sum() < pixels(x1, y1, x2, y2).sum()
    assert hidden > 10 and shrunk > 100


@pytest.mark.parametrize("rectangle", [(0, 0, 0, 0), (5, 5, 5, 5), (5, 0, 5, 24)])
def test_an_empty_rectangle_covers_nothing(rectangle):
    for box in [(0, 0, 0.4, 0.4), (4.8, 4.8, 5.1, 5.1), (4.7, 4.7, 9, 9)]:
        rest = covered(box, rectangle)
        assert rest.valid[0, 0] and rest.on(CANVAS)[0, 0].tolist() == list(box)
