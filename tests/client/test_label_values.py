"""Which labels may hold positions by their numbers; and several views of a sample."""

import numpy as np
import pytest
import torch

from augsvc_client.fields.label_values import holds_positions
from augsvc_client.fields.reader import Reader
from tests.client.test_fields import N, numbers, split

CORNERS = np.array([[2, 3, 20, 30], [5, 1, 9, 12], [0, 0, 32, 32], [1, 2, 18, 7]])
SIZES = np.array([[2, 3, 20, 20], [25, 1, 7, 12], [0, 0, 32, 32], [30, 2, 2, 7]])
POINTS = np.array([[2, 3, 20, 30, 5, 6, 31, 2, 4, 4], [9, 9, 1, 1, 2, 2, 3, 3, 4, 4]] * 2)
HERE = np.zeros((4, 32, 32, 3), np.uint8)


@pytest.mark.parametrize("name", ["label", "labels", "target", "y", "foo"])
@pytest.mark.parametrize(
    "values",
    [
        CORNERS,
        CORNERS.tolist(),
        torch.from_numpy(SIZES),
        list(torch.from_numpy(np.vstack([CORNERS, CORNERS[:1]])).T),
        POINTS,
        POINTS + 0.5,
        CORNERS[:, ::-1],
        CORNERS // 8,
        CORNERS * 100,
    ],
    ids=["corners", "list", "sizes", "columns", "points", "float points", "in no order", "near a corner", "not scaled"],
)
def test_labels_whose_numbers_are_positions_are_refused(name, values):
    images = np.zeros((5, 32, 32, 3), np.uint8) if isinstance(values, list) and len(values[0]) == 5 else HERE
    with pytest.raises(ValueError, match=rf"{name} may by its numbers.*passthrough=.'{name}'"):
        split({"image": images, name: values})
    assert split({"image": images, name: values}, passthrough=(name,))
    assert split({"image": images, name: values}, moves=lambda: False)


@pytest.mark.parametrize(
    "values",
    [
        CORNERS - 20,
        np.eye(4, dtype=np.int64),
        np.random.default_rng(3).normal(size=(4, 4)),
        np.eye(4, 10),
        POINTS[:, :9],
        POINTS - 10,
        POINTS * 100,
    ],
)
def test_labels_whose_numbers_are_none_are_handed_on(values):
    assert split({"image": HERE[: len(values)], "label": values})


@pytest.mark.parametrize("name", ["label", "target", "data"])
@pytest.mark.parametrize(("low", "high", "refused"), [(0, 2, 0), (0, 5, 1), (0, 30, 1), (0, 1000, 1), (-9, 9, 0)])
@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8])
def test_whether_integers_may_be_boxes_does_not_depend_on_the_batch(name, low, high, refused, kind):
    """12 to 62 % of batches were refused, by chance: a job died after an hour."""
    random = np.random.default_rng(7)
    batches = [random.integers(low, high, (8, 4)).astype(np.int64 if low < 0 else kind) for _ in range(50)]
    found = {bool(holds_positions(name, batch, 8, (32, 32))) for batch in batches}
    assert found == {bool(refused)}


@pytest.mark.parametrize("width", [4, 5, 6, 7, 8, 10, 16])
@pytest.mark.parametrize("high", [1.5, 9, 40, 200])
def test_a_label_that_passed_in_a_first_batch_passes_in_all(width, high):
    random = np.random.default_rng(8)
    for _ in range(20):
        reader = Reader(("image", "label"), "NHWC", None)
        first, *later = (random.uniform(-0.2 * high, high, (8, width)) for _ in range(6))
        try:
            reader.split({"image": EIGHT, "label": first})
        except ValueError:
            continue
        for batch in later:
            reader.split({"image": EIGHT, "label": batch})


def test_two_labels_of_one_class_each_are_no_rows_of_objects():
    """The first column of the second and the first class numbers a batch of two samples."""
    two = np.zeros((2, 32, 32, 3), np.uint8)
    assert split({"image": two, "labels": np.eye(5)[[3, 0]]})
    reader = Reader(("image", "label"), "NHWC", None)
    reader.split({"image": two, "labels": np.array([[1, 0, 1, 1, 0], [0, 0, 1, 1, 0]])})
    reader.split({"image": two, "labels": np.array([[0, 0, 1, 1, 0], [1, 0, 1, 1, 0]])})


def test_batches_without_an_object_decide_nothing():
    reader = Reader(("image", "label"), "NHWC", None)
    for nothing in (np.zeros((4, 4), np.int64), np.ones((4, 3), np.int64), np.arange(4)):
        reader.split({"image": HERE, "label": nothing})
    with pytest.raises(ValueError, match="label may by its numbers hold boxes"):
        reader.split({"image": HERE, "label": CORNERS})


def test_boxes_by_the_number_of_an_object_are_refused():
    for key, box in ((17, [1, 2, 30, 20]), ("17", (1.0, 2.0, 3.0, 4.0)), (3, np.array([5, 5, 9, 9]))):
        with pytest.raises(ValueError, match=r"^objects looks as if .*passthrough=\('objects',\)"):
            split({"objects": [{key: box}] * N})
        assert split({"objects": [{key: box}] * N}, passthrough=("objects",))
    assert split({"scores": [{1: [0.1, 0.2, 0.3, 0.4]}] * N, "votes": [{1: [1, 2, 3]}] * N, "none": [{}] * N})


@pytest.mark.parametrize("numbers_", [[3, 0, 2, 5], [0, 0, 0, 2], [7, 7, 0, 0]])
def test_four_numbers_of_a_target_are_refused_whatever_they_are(numbers_):
    with pytest.raises(ValueError, match="passthrough="):
        split({"target": [{"data": np.array(numbers_)}] * N})


RNG = np.random.default_rng(5)
FRACTIONS = np.stack([RNG.integers(0, 3, 8), *RNG.uniform(0.3, 0.7, (2, 8)), *RNG.uniform(0.05, 0.5, (2, 8))], axis=1)
OWNERS = np.array([[0], [0], [1], [2], [2], [4], [6], [7]])
EIGHT = np.zeros((8, 64, 64, 3), np.uint8)
IN_PIXELS = FRACTIONS * (1, 64, 64, 64, 64)


@pytest.mark.parametrize("name", ["labels", "label", "target", "y", "foo"])
@pytest.mark.parametrize(
    "rows",
    [
        FRACTIONS,
        FRACTIONS.astype(np.float32).tolist(),
        IN_PIXELS,
        IN_PIXELS.astype(np.int64),
        np.hstack([IN_PIXELS[:, 1:3], IN_PIXELS[:, 1:3] + 9, IN_PIXELS[:, :1]]),  # the class behind its box
        np.hstack([OWNERS, FRACTIONS]),  # as many objects as images, so that only their numbers tell
        torch.from_numpy(np.hstack([OWNERS, FRACTIONS])),
    ],
    ids=["fractions", "list", "centres", "integers", "class last", "owners", "tensor"],
)
def test_a_class_with_its_box_in_a_row_is_refused(name, rows):
    with pytest.raises(ValueError, match=rf"{name} (looks|may) .*passthrough=.'{name}'"):
        split({"image": EIGHT, name: rows})
    assert split({"image": EIGHT, name: rows}, passthrough=(name,))
    assert split({"image": EIGHT, name: rows}, moves=lambda: False)


@pytest.mark.parametrize("weight", [0.3, 0.123456, 0.5, 0.99])
def test_mixed_labels_of_several_classes_are_handed_on(weight):
    """Of 600 batches of two samples with 5 to 7 classes 7 to 20 % were refused, by chance."""
    random = np.random.default_rng(6)
    for n, classes in [(n, classes) for n in (2, 3) for classes in (5, 6, 7)] * 25:
        first, second = (random.random((2, n, classes)) < 0.3).astype(np.float32)
        labels = first * np.float32(weight) + second * np.float32(1 - weight)
        assert not holds_positions("labels", labels, n, (64, 64))


@pytest.mark.parametrize(
    "rows",
    [
        RNG.dirichlet(np.ones(5), 8),
        RNG.integers(0, 2, (8, 5)).astype(np.float32),
        np.eye(8, 5),
        np.eye(8, 6),
        RNG.normal(size=(8, 5)),
        RNG.integers(0, 100, (8, 5)),
        np.ones((8, 5)),
    ],
)
def test_soft_and_multiple_labels_are_handed_on(rows):
    assert split({"image": EIGHT, "labels": rows})


VIEW = np.zeros((4, 32, 32, 3), np.uint8)


@pytest.mark.parametrize(
    ("batch", "found"),
    [
        (([VIEW, VIEW], numbers(4)), "image is a list of 2 batches"),
        (((torch.from_numpy(VIEW),) * 8, numbers(4)), "image is a list of 8 batches"),
        ({"image": VIEW, "image1": VIEW}, "image and image1 are"),
        ({"image": VIEW, "view_2": VIEW, "label": numbers(4)}, "image and view_2 are"),
    ],
)
def test_a_list_of_views_names_the_loader_that_draws_them(batch, found):
    with pytest.raises(ValueError, match=rf"{found}.*views of the same samples.*views=2.*MultiViewLoader"):
        Reader(("image", "label"), "NHWC", None).name_fields(batch)


@pytest.mark.parametrize("images", [VIEW, [np.zeros((side, 8, 3), np.uint8) for side in range(8, 12)]])
@pytest.mark.parametrize("name", ["view_1", "views", "crops", "img2"])
@pytest.mark.parametrize(
    "values", [np.arange(4), list("abcd"), [[1, 2], [3], [4], [5]], [np.zeros(2), np.zeros(3)] * 2]
)
def test_what_is_named_like_a_view_and_has_another_form_is_none(images, name, values):
    """NumPy's words for lists of several lengths ended the job."""
    batch = {"image": images, name: values}
    assert Reader((), "NHWC", None).name_fields(batch) == batch


def test_images_of_several_sizes_are_no_views():
    images = [np.zeros((side, side, 3), np.uint8) for side in (8, 9)]
    assert Reader((), "NHWC", None).name_fields({"image": images})
    assert Reader((), "NHWC", None).name_fields({"image": []})
