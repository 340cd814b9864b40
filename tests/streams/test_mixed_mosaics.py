"""Mosaics that are mixed with another sample, as in YOLOX: against arithmetic on both, and the labels of all five."""

import numpy as np
import pytest

from augsvc.arrays import Sample
from tests.harness import ListSource, over, patch, run
from tests.streams.test_mosaics import MOVES, PAINTED

pytestmark = pytest.mark.usefixtures("each_executor")
N, SIDE = 12, 32
IMAGES = [Sample(patch("coffee", SIDE, SIDE, top=12 * k, left=14 * k), k) for k in range(N)]
FIELDS = {"size": [SIDE, SIDE], "shuffle": False}


def mix_of(stream, row):
    return stream.stream.receipt(0, row, 0).get("mix", {})


def test_a_mixed_mosaic_is_the_weighted_average_of_a_mosaic_and_a_sample():
    steps = [{"op": "mosaic", "p": 0.5}]
    mosaics = run(steps, IMAGES, **FIELDS).batch()
    stream = run([*steps, {"op": "mixup", "alpha": 1.0, "p": 0.5}], IMAGES, **FIELDS)
    batch, kinds = stream.batch(), set()
    assert batch["tile_labels"].shape == (N, 5)
    assert "label2" not in batch
    for row in range(N):
        mix = mix_of(stream, row)
        kinds.add(("partners" in mix, "partner" in mix))
        weight, partner = mix.get("weight", 1.0), mix.get("partner", {"index": row})["index"]
        expected = weight * mosaics["image"][row] + (1 - weight) * IMAGES[partner].image.astype(float)
        assert abs(batch["image"][row] - expected).max() <= 0.51
        assert batch["tile_labels"][row].tolist() == [*mosaics["tile_labels"][row], partner]
        weights = [*weight * mosaics["tile_weights"][row], 1 - weight]
        np.testing.assert_allclose(batch["tile_weights"][row], weights, atol=1e-5)
    assert kinds == {(mosaic, mixed) for mosaic in (False, True) for mixed in (False, True)}


def test_a_partner_goes_through_all_but_the_mosaic_with_its_own_draws():
    """A sample of a weight below a thousandth shows its partner."""
    steps = [{"op": "vertical_flip", "p": 0.5}, {"op": "mosaic"}, {"op": "horizontal_flip", "p": 0.5}]
    stream = run([*steps, {"op": "mixup", "alpha": 0.05}], IMAGES, **FIELDS)
    batch, flips = stream.batch(), set()
    for row in range(N):
        mix = mix_of(stream, row)
        if mix["weight"] < 1e-3:
            image = IMAGES[mix["partner"]["index"]].image
            choices = {(v, h): image[:: 1 - 2 * v, :: 1 - 2 * h] for v in (0, 1) for h in (0, 1)}
            flips |= {
                key for key, flipped in choices.items() if abs(batch["image"][row] - flipped.astype(int)).max() <= 1
            }
    assert len(flips) >= 2


def test_labels_of_all_five_lie_on_their_pixels():
    steps = [{"op": "letterbox"}, {"op": "mosaic", "p": 0.7}, *MOVES, {"op": "cutmix", "p": 0.7}]
    stream = over(ListSource(PAINTED), steps, size=[128, 128], shuffle=False)
    batch, tested = stream.batch(), np.zeros(5, int)
    assert batch["boxes"].shape == (N, 5, 4)
    assert batch["keypoints"].shape == (N, 5, 2)
    for row in range(N):
        labels, mask = batch["tile_labels"][row].tolist(), batch["mask"][row]
        for slot in np.flatnonzero(batch["boxes_valid"][row]).tolist():
            assert batch["box_labels"][row, slot] == labels[slot]
            if labels.count(labels[slot]) > 1:
                continue
            rows, columns = np.nonzero(mask == labels[slot] + 1)
            hull = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], float)
            assert abs(batch["boxes"][row, slot] - hull).max() <= 1.0
            tested[slot] += 1
    assert (tested > 0).all()


@pytest.mark.parametrize("mix", ["mixup", "cutmix"])
def test_mixed_mosaics_depend_on_their_address_alone(mix):
    steps = [{"op": "mosaic", "p": 0.7}, {"op": "gamma"}, {"op": mix, "p": 0.7}]
    stream = run(steps, IMAGES, **FIELDS)
    whole = stream.batch(epoch=5)
    for position in range(0, N, 3):
        for name, alone in stream.batch(epoch=5, start=position, count=1).items():
            np.testing.assert_array_equal(alone[0], whole[name][position])


def test_a_mix_and_a_mosaic_may_exclude_each_other_in_either_order():
    for ops in (("mosaic", "mixup"), ("mixup", "mosaic")):
        stream = run(
            [{"op": "one_of", "of": [{"op": op} for op in ops]}, {"op": "gamma", "p": 0}][:1], IMAGES, **FIELDS
        )
        stream.batch()
        kinds = {tuple(sorted(mix_of(stream, row))) for row in range(N)}
        assert kinds == {("partners",), ("partner", "weight")}
