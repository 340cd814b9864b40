"""Right angles and reflections, against NumPy: exact bytes; labels move along."""

import numpy as np
import pytest
from scipy.stats import chisquare

from augsvc.arrays import Sample
from tests.harness import one, patch, photo, run

pytestmark = pytest.mark.usefixtures("each_executor")
SQUARE = photo("chelsea")[60:97, 100:137]


def symmetry(image, number):
    turned = np.rot90(image, number % 4)
    return turned if number < 4 else np.fliplr(turned)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("number", range(8))
def test_a_square_keeps_its_bytes(number, channels):
    image = SQUARE[..., :channels]
    shown = one([{"op": "dihedral", "symmetry": number}], image)
    np.testing.assert_array_equal(shown, symmetry(image, number))
    if number < 4:
        np.testing.assert_array_equal(one([{"op": "rotate90", "turns": number}], image), shown)


def test_a_transposed_square_is_numpys():
    np.testing.assert_array_equal(one([{"op": "transpose", "p": 1}], SQUARE), SQUARE.transpose(1, 0, 2))


def test_a_canvas_that_is_not_square_turns_about_its_centre():
    image = patch("coffee", 20, 30)
    middle = np.zeros_like(image)
    middle[:, 5:25] = np.rot90(image[:, 5:25])
    np.testing.assert_array_equal(one([{"op": "rotate90", "turns": 1}], image), middle)
    middle[:, 5:25] = image[:, 5:25].transpose(1, 0, 2)
    np.testing.assert_array_equal(one([{"op": "transpose", "p": 1}], image), middle)


@pytest.mark.parametrize(("op", "field", "outcomes"), [("rotate90", "turns", 4), ("dihedral", "symmetry", 8)])
def test_every_outcome_is_equally_probable(op, field, outcomes):
    stream = run([{"op": op}], [SQUARE[:2, :2]] * 400)
    drawn = [stream.draws(position)[field] for position in range(400)]
    assert chisquare(np.bincount(np.array(drawn, int), minlength=outcomes)).pvalue > 1e-3


@pytest.mark.parametrize("number", range(8))
def test_masks_boxes_and_keypoints_move_along(number):
    """A painted rectangle: its mask, its box and its corner."""
    mask = np.zeros((32, 32), np.uint8)
    mask[4:9, 10:27] = 1
    box, corner = np.array([[10, 4, 27, 9]], np.float32), np.array([[10, 4]], np.float32)
    sample = Sample(mask[..., None] * 255, 0, mask=mask, boxes=box, box_labels=np.zeros(1, np.int64),
                    boxes_valid=np.ones(1, bool), keypoints=corner, keypoints_valid=np.ones(1, bool))  # fmt: skip
    batch = run([{"op": "dihedral", "symmetry": number}], [sample]).batch()
    np.testing.assert_array_equal(batch["mask"][0], symmetry(mask, number))
    rows, columns = np.nonzero(batch["image"][0, :, :, 0])
    bounds = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_array_equal(batch["boxes"][0, 0], bounds)
    x, y = batch["keypoints"][0, 0]
    assert x in (bounds[0], bounds[2]) and y in (bounds[1], bounds[3])
