"""Labels of mixed samples, judged by painted pixels: each sample is black with a block of its level."""

from dataclasses import replace

import numpy as np
import pytest

from augsvc.arrays import Sample
from tests.harness import ListSource, over

pytestmark = pytest.mark.usefixtures("each_executor")
N, HEIGHT, WIDTH = 24, 32, 40
EYES = np.array([[4.5, 4.5], [9.5, 4.5]], np.float32)


def block(row: int) -> tuple[int, int, int, int]:
    """x1 y1 x2 y2 of a sample's block: from one pixel to almost the whole image."""
    rng = np.random.default_rng(row)
    x1, x2 = np.sort(rng.choice(WIDTH + 1, 2, replace=False))
    y1, y2 = np.sort(rng.choice(HEIGHT + 1, 2, replace=False))
    return int(x1), int(y1), int(x2), int(y2)


def painted(row: int) -> Sample:
    """Two boxes: that of the block, and an empty row. Two keypoints: in the block's first pixel, and one that is not valid."""
    x1, y1, x2, y2 = block(row)
    image = np.zeros((HEIGHT, WIDTH, 1), np.uint8)
    image[y1:y2, x1:x2] = level(row)
    return Sample(
        image,
        row,
        boxes=np.array([[x1, y1, x2, y2], [0, 0, 0, 0]], np.float32),
        box_labels=np.array([100 + row, 7]),
        boxes_valid=np.array([True, False]),
        keypoints=np.array([[x1 + 0.5, y1 + 0.5], [1, 1]], np.float32),
        keypoints_valid=np.array([True, False]),
    )


def level(row: int) -> int:
    return 10 * row + 10


SAMPLES = [painted(row) for row in range(N)]


def hull(shown: np.ndarray) -> list[float]:
    """The bounding box of the true pixels."""
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    return [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]


@pytest.fixture
def mixed():
    return over(ListSource(SAMPLES), [{"op": "cutmix", "p": 0.8}], size=[HEIGHT, WIDTH], shuffle=False)


def test_boxes_of_a_cutmix_are_those_of_the_pixels_that_show(mixed):
    hidden = partly = 0
    for epoch in range(6):
        batch = mixed.batch(epoch=epoch)
        assert batch["boxes"].shape == (N, 4, 4) and batch["box_labels"].shape == (N, 4)
        for row in range(N):
            image, partner = batch["image"][row, ..., 0], int(batch["label2"][row])
            if partner == row:
                continue
            for index, first in ((row, 0), (partner, 2)):
                x1, y1, x2, y2 = block(index)
                shown = image == level(index)
                is_valid = shown.sum() >= 0.1 * (x2 - x1) * (y2 - y1)
                assert batch["boxes_valid"][row, first : first + 2].tolist() == [is_valid, False]
                assert batch["boxes"][row, first].tolist() == (hull(shown) if is_valid else [0, 0, 0, 0])
                assert batch["box_labels"][row, first : first + 2].tolist() == [100 + index, 7]
                hidden += not is_valid
                partly += is_valid and shown.sum() < (x2 - x1) * (y2 - y1)
    assert hidden > 10 and partly > 10


def test_keypoints_of_a_cutmix_are_valid_where_their_pixels_show(mixed):
    batch = mixed.batch()
    assert batch["keypoints"].shape == (N, 4, 2)
    for row in range(N):
        image, partner = batch["image"][row, ..., 0], int(batch["label2"][row])
        for index, first in ((row, 0), (partner, 2)) if partner != row else ((row, 0),):
            x, y = block(index)[:2]
            is_valid = image[y, x] == level(index)
            assert batch["keypoints_valid"][row, first : first + 2].tolist() == [is_valid, False]
            assert batch["keypoints"][row, first].tolist() == ([x + 0.5, y + 0.5] if is_valid else [0, 0])


def test_a_sample_that_is_not_mixed_has_its_own_labels_alone(mixed):
    batch = mixed.batch()
    plain = ~mixed.selected()
    assert 0 < plain.sum() < N
    for name in ("boxes_valid", "keypoints_valid", "boxes", "keypoints", "box_labels"):
        assert not batch[name][plain, 2:].any()
    np.testing.assert_array_equal(batch["boxes"][plain, 0], [block(row) for row in np.flatnonzero(plain)])


@pytest.mark.parametrize(("alpha", "valid"), [(64, (True, True)), (0.05, None)])
def test_a_mixup_has_the_boxes_of_both(alpha, valid):
    batch = over(ListSource(SAMPLES), [{"op": "mixup", "alpha": alpha}], size=[HEIGHT, WIDTH]).batch()
    for row, (index, partner) in enumerate(zip(batch["label"], batch["label2"], strict=True)):
        expected = valid or (batch["mix_weight"][row] > 0, batch["mix_weight"][row] < 1)
        boxes = [block(int(index)), (0, 0, 0, 0), block(int(partner)), (0, 0, 0, 0)]
        if all(expected):
            assert batch["boxes"][row].tolist() == [list(box) for box in boxes]
            assert batch["box_labels"][row].tolist() == [100 + index, 7, 100 + partner, 7]
        assert batch["boxes_valid"][row, [0, 2]].tolist() == list(expected)


def test_a_partners_labels_move_with_its_own_draws():
    """Through a flip that one of both may have: the keypoint stays on its pixel, and the box around the block."""
    steps = [{"op": "horizontal_flip"}, {"op": "vertical_flip"}, {"op": "cutmix"}]
    batch = over(ListSource(SAMPLES), steps, size=[HEIGHT, WIDTH], shuffle=False).batch()
    tested = 0
    for row, first in [(row, first) for row in range(N) for first in (0, 2)]:
        index = int(batch["label2"][row]) if first else row
        if batch["boxes_valid"][row, first] and batch["label2"][row] != row:
            assert batch["boxes"][row, first].tolist() == hull(batch["image"][row, ..., 0] == level(index))
            tested += 1
        if batch["keypoints_valid"][row, first]:
            x, y = np.floor(batch["keypoints"][row, first]).astype(int)
            assert batch["image"][row, y, x, 0] == level(index)
    assert tested > N


def test_mixed_labels_depend_on_the_address_alone(mixed):
    whole = mixed.batch()
    for position in range(N):
        for name, alone in mixed.batch(start=position, count=1).items():
            np.testing.assert_array_equal(alone[0], whole[name][position])


def test_a_mirrored_partner_swaps_its_eyes():
    samples = [
        Sample(np.zeros((16, 14, 1), np.uint8), row, keypoints=EYES, keypoints_valid=np.ones(2, bool))
        for row in range(8)
    ]
    source = ListSource(samples)
    source.info = replace(source.info, flip_pairs=((0, 1),))
    batch = over(source, [{"op": "horizontal_flip"}, {"op": "mixup", "alpha": 64}], size=[16, 14]).batch()
    assert batch["keypoints_valid"].all()
    for points in batch["keypoints"].reshape(-1, 2, 2):  # 4.5 and 9.5 trade places in an image 14 wide
        assert points.tolist() == EYES.tolist()
