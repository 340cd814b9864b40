"""Masks of objects move with the image as one mask does, eight in a byte, and leave with their boxes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from augsvc.arrays import Sample
from augsvc.errors import SpecInvalid
from augsvc_client import pack_masks, unpack_masks
from tests.harness import ListSource, over, using

SIZES = ((32, 40), (25, 31), (48, 20))
OBJECTS = 11  # the rows of boxes: more than one plane
MOVES = (
    {"op": "horizontal_flip", "p": 0.5},
    {"op": "affine", "degrees": 40, "scale": [0.5, 2.0], "border": "reflect"},
    {"op": "perspective", "p": 0.7},
    {"op": "elastic", "p": 0.7},
    {"op": "rotation", "degrees": 90, "border": "constant", "mask_fill": 3},
)
FRAMES = ({"op": "random_resized_crop", "scale": [0.1, 1.0]}, {"op": "iou_crop"}, {"op": "letterbox"})


def sample(row: int) -> tuple[Sample, np.ndarray]:
    """A sample with up to OBJECTS overlapping objects of any form, its masks in planes; and the masks (M, H, W)."""
    rng = np.random.default_rng(row)
    height, width = SIZES[row % len(SIZES)]
    n = (OBJECTS, 3, 0, 8, 9)[row % 5]
    boxes = np.zeros((OBJECTS, 4), np.float32)
    masks = np.zeros((n, height, width), np.uint8)
    for k in range(n):
        (x1, x2), (y1, y2) = (np.sort(rng.choice(side + 1, 2, replace=False)) for side in (width, height))
        boxes[k] = x1, y1, x2, y2
        masks[k, y1:y2, x1:x2] = rng.integers(0, 4, (y2 - y1, x2 - x1)) > 0
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    labels = {"boxes": boxes, "box_labels": np.zeros(OBJECTS, np.int64), "boxes_valid": np.arange(OBJECTS) < n}
    return Sample(image, 0, **labels, mask_bits=pack_masks(masks)), masks


SAMPLES = [sample(row) for row in range(5)]


def with_mask(row: int, k: int) -> Sample:
    """A sample whose one mask is that of its object k."""
    own, masks = SAMPLES[row]
    mask = masks[k] if k < len(masks) else np.zeros(own.image.shape[:2], np.uint8)
    return Sample(own.image, 0, mask, own.boxes, own.box_labels, own.boxes_valid)


@settings(max_examples=6, deadline=None)
@given(
    st.sampled_from(("fused", "kornia")),
    st.lists(st.sampled_from(FRAMES), max_size=1),
    st.lists(st.sampled_from(MOVES), max_size=2),
    st.integers(0, 1000),
)
def test_each_mask_is_the_one_that_moves_alone(name, frames, moves, seed):
    pipeline, fields = [*frames, *moves], {"size": [24, 28], "aug_seed": seed}
    with using(name):
        batch = over(ListSource([own for own, _ in SAMPLES]), pipeline, **fields).batch()
        bits, valid = batch["mask_bits"], batch["boxes_valid"]
        assert bits.shape == (len(SAMPLES), 2, 24, 28)
        for k in (0, 2, 7, 8, OBJECTS - 1):
            alone = over(ListSource([with_mask(row, k) for row in range(len(SAMPLES))]), pipeline, **fields).batch()
            np.testing.assert_array_equal(batch["boxes"], alone["boxes"])
            expected = (alone["mask"] == 1) & valid[:, k, None, None]
            np.testing.assert_array_equal(unpack_masks(bits, [k])[:, 0], expected)
        assert not unpack_masks(bits, range(OBJECTS, 16)).any()


def test_a_mask_leaves_with_its_box():
    """With half of the image: also a mask whose own pixels would still show."""
    whole = np.ones((2, 20, 20), np.uint8)
    boxes = np.array([[0, 0, 20, 20], [0, 0, 10, 20]], np.float32)
    labels = {"boxes": boxes, "box_labels": np.zeros(2, np.int64), "boxes_valid": np.ones(2, np.bool_)}
    source = ListSource([Sample(np.zeros((20, 20, 3), np.uint8), 0, **labels, mask_bits=pack_masks(whole))])
    shift = [{"op": "translate", "x": -0.5, "y": 0, "p": 1}]
    batch = over(source, shift, size=[20, 20]).batch()
    assert batch["boxes_valid"].tolist() == [[True, False]]
    first, second = unpack_masks(batch["mask_bits"], range(2))[0]
    assert first[:, :10].all() and not first[:, 10:].any() and not second.any()


def test_the_second_view_has_its_own_masks():
    source = ListSource([own for own, _ in SAMPLES[::3]])  # of one size
    flip = [{"op": "horizontal_flip", "p": 1, "views": [1]}]
    batch = over(source, flip, size=list(SIZES[0]), views=2).batch()
    assert batch["mask_bits"].any()
    np.testing.assert_array_equal(batch["mask_bits"][..., ::-1], batch["mask_bits1"])


@pytest.mark.parametrize("op", ["cutmix", "mixup", "mosaic"])
def test_mixes_are_refused(op):
    with pytest.raises(SpecInvalid, match="cannot carry the masks of this dataset's objects"):
        over(ListSource([own for own, _ in SAMPLES]), [{"op": op}], size=[24, 28])


def test_packing_and_unpacking_are_inverse_for_tensors_too():
    import torch

    masks = np.random.default_rng(0).integers(0, 2, (19, 5, 7), dtype=np.uint8)
    bits = pack_masks(masks)
    assert bits.shape == (3, 5, 7)
    np.testing.assert_array_equal(unpack_masks(bits, range(19)), masks)
    tensor = unpack_masks(torch.from_numpy(bits)[None], torch.tensor([18, 3]))
    assert tensor.dtype == torch.uint8 and torch.equal(tensor, torch.from_numpy(masks[None, [18, 3]]))
    assert unpack_masks(bits, ()).shape == (0, 5, 7) and pack_masks(masks[:0]).shape == (1, 5, 7)
    assert torch.equal(unpack_masks(torch.from_numpy(bits), torch.arange(19)[:, None]), torch.from_numpy(masks))
    with pytest.raises(ValueError, match="rows are 0 to 23"):
        unpack_masks(bits, [24])
    for valid in (torch.tensor([True, False]), np.array([False, True]), [True, False], list(np.ones(2, np.bool_))):
        with pytest.raises(ValueError, match="rows are numbers"):
            unpack_masks(bits, valid)


@pytest.mark.parametrize(
    ("bits", "rows", "words"),
    [
        (np.zeros((1, 4, 4), np.uint8), [1.7], "integers, got 1.7"),
        (np.zeros((1, 4, 4), np.uint8), np.array([1.0]), "integers, got 1.0"),
        (np.zeros((1, 4, 4), np.uint8), "12", "integers, got '1'"),
        (np.zeros((1, 4, 4), np.float32), [1], r"uint8 \(…, P, H, W\), got float32"),
        (np.zeros((1, 4, 4), np.int64), [1], "got int64"),
        (np.zeros((4, 4), np.uint8), [1], r"of the shape \(4, 4\)"),
    ],
)
def test_what_are_no_rows_or_planes_is_refused(bits, rows, words):
    with pytest.raises(ValueError, match=words):
        unpack_masks(bits, rows)
