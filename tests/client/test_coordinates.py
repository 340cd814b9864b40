"""Coordinates that are not pixels in the documented form are refused, and targets keep what is not of one object."""

import numpy as np
import pytest
import torch

from augsvc_client.fields.objects import update_size
from augsvc_client.fields.reader import Reader

N, SIDE = 2, 64
BOX = [[10.0, 20, 30, 50], [4, 4, 20, 22]]


def parts_of(fields, side=SIDE, **options):
    images = np.zeros((N, side, side, 3), np.uint8)
    return Reader(("image", "label"), "NHWC", None, **options).split({"image": images, **fields})[0]


def targets(boxes, **more):
    return [{"boxes": torch.tensor(boxes), "labels": torch.arange(len(boxes)), **more} for _ in range(N)]


FRACTIONS = {
    "detr": targets([[0.5, 0.5, 0.2, 0.3], [0.2, 0.3, 0.1, 0.1]]),
    "xyxy": targets([[0.1, 0.2, 0.5, 0.6]]),
    "beyond the edge": targets([[-0.02, 0.2, 1.04, 0.6]]),
    "coco": [[{"bbox": [0.1, 0.2, 0.3, 0.4], "category_id": 3}]] * N,
    "coco keypoints": [[{"bbox": [10, 20, 30, 40], "keypoints": [0.1, 0.2, 2, 0.5, 0.5, 1]}]] * N,
    "keypoints": [{"keypoints": torch.tensor([[[0.25, 0.5, 1.0]]])}] * N,
}


@pytest.mark.parametrize("form", FRACTIONS)
def test_targets_in_fractions_of_the_image_are_refused(form):
    with pytest.raises(ValueError, match=r"target.*in pixels.*multiply"):
        parts_of({"target": FRACTIONS[form]})


@pytest.mark.parametrize(
    "fields",
    [
        {"keypoints": np.array([[[0.25, 0.5]], [[0.75, 0.5]]])},
        {"keypoints": np.array([[[-0.5, 0.5]], [[1.0, -1.0]]])},
        {"landmarks": np.array([[[0.25, 0.5, 2]], [[0.0, 0.0, 0]]])},
        {"boxes": np.array([[[0.1, 0.2, 0.5, 1.02]], [[0, 0, 0, 0]]])},
        {"bbox": np.array([[0.6, 0.2, 0.4, 0.8], [-1.0] * 4])},
        {"boxes": np.array([[[0.1, 0.2, 0.5, 0.6], [2, 3, 9, 9]]] * N), "boxes_valid": np.array([[1, 0]] * N)},
    ],
)
def test_fields_in_fractions_of_the_image_are_refused(fields):
    with pytest.raises(ValueError, match=r"in pixels.*multiply"):
        parts_of(fields, box_format="xywh")


def test_small_coordinates_are_pixels_beside_larger_ones_and_in_tiny_images():
    parts_of({"boxes": np.array([[[0, 0, 1, 1]], [[0, 0, 2, 2]]], np.float32)})
    parts_of({"target": targets([[0.0, 0, 1, 1]])}, side=1)
    parts_of({"keypoints": np.array([[[0.5, 0.5]], [[1.0, 1.5]]])}, side=2)
    parts_of({"keypoints": np.zeros((N, 3, 2)), "boxes": np.full((N, 3, 4), -1.0)})
    parts_of({"keypoints": np.full((N, 1, 2), 0.5)}, moves=lambda: False)


@pytest.mark.parametrize(
    "fields",
    [
        {"target": targets([[40.0, 30, 10, 12]])},
        {"target": targets([*BOX, [10.0, 10, 10, 20]])},
        {"target": [[{"bbox": [10, 10, -4, 5]}]] * N},
        {"boxes": np.array([[[40.0, 30, 10, 12]]] * N)},
        {"bboxes": np.array([[[40.0, 30, -10, 12]]] * N)},
        {"boxes": np.array([BOX, [[1, 2, 3, 4], [9, 9, 8, 10]]]), "boxes_valid": np.ones((N, 2), bool)},
    ],
)
def test_boxes_without_area_are_refused_with_their_form(fields):
    with pytest.raises(ValueError, match=r"above 0|x1 < x2"):
        parts_of(fields, box_format="xywh")


def test_rows_that_are_empty_or_marked_invalid_may_hold_anything():
    inverted = [[9.0, 9, 3, 3], [1, 2, 30, 40]]
    parts_of({"boxes": np.array([inverted] * N), "boxes_valid": np.array([[0, 1]] * N)})
    parts_of({"boxes": np.array([[[0.0] * 4, BOX[0]], [[-1.0] * 4, [np.nan] * 4]])})
    parts_of({"target": [[{"bbox": [10, 10, 0, 5]}, {"bbox": [1, 1, 9, 9]}]] * N})  # COCO has such boxes


def written(target, kept=(0, 2), canvas=None, others=()):
    """The first target after object 1 of three has left."""
    given = [target, *others]
    (part,) = parts_of({"target": given}) if len(given) == N else one_part(given)
    boxes = part.requests[0]["boxes"]
    valid = part.requests[0]["boxes_valid"] & np.isin(np.arange(boxes.shape[1]), kept)
    response = {"image": None, "index": np.arange(len(given)), "boxes": boxes, "boxes_valid": valid}
    return part.restore([response], canvas)["target",][0]


def one_part(given):
    images = np.zeros((len(given), SIDE, SIDE, 3), np.uint8)
    return Reader((), "NHWC", None).split({"image": images, "target": given})[0]


THREE = np.array([[50.0, 0, 64, 64], [0, 0, 10, 10], [0, 20, 10, 30]], np.float32)
OF_THE_IMAGE = {
    "img_shape": (64, 64, 3), "mean_rgb": np.array([0.4, 0.5, 0.6]), "image_id": np.array([5]), "num_keypoints": 3,
    "orig_size": [64, 64, 3], "std": np.ones(3), "scale_factor": np.ones(3), "file_names": "a",
}  # fmt: skip
OF_THE_OBJECTS = {
    "labels": np.array([1, 2, 3]), "class_labels": [1, 2, 3], "iscrowd": np.zeros(3), "scores": np.ones(3),
    "track_ids": [4, 5, 6], "difficult": [0, 1, 0], "area": np.ones(3), "names": ["a", "b", "c"],
}  # fmt: skip


def test_only_fields_of_objects_lose_the_entry_of_one_that_left():
    result = written({"boxes": THREE, **OF_THE_IMAGE, **OF_THE_OBJECTS})
    for name, value in OF_THE_IMAGE.items():
        assert result[name] is value, name
    for name, value in OF_THE_OBJECTS.items():
        assert len(result[name]) == 2, name
        assert list(result[name]) == [value[0], value[2]] or name == "area"


def test_a_field_whose_length_follows_the_objects_is_theirs():
    other = {"boxes": THREE[:1], "notes": ["d"], "rgb": [1, 2, 3]}
    result = written({"boxes": THREE, "notes": ["a", "b", "c"], "rgb": [1, 2, 3]}, others=[other])
    assert result["notes"] == ["a", "c"]
    assert result["rgb"] == [1, 2, 3]


def test_a_field_that_may_be_of_the_image_or_of_its_objects_is_refused():
    target = {"boxes": THREE, "rgb": [1, 2, 3]}
    with pytest.raises(ValueError, match=r"rgb.*passthrough=.'rgb'"):
        one_part([target])
    (part,) = Reader((), "NHWC", None, ("rgb",)).split({"image": np.zeros((1, 9, 9, 3), np.uint8), "t": [target]})[0]
    assert part.targets.values == [target]


def test_the_size_of_the_image_becomes_that_of_the_canvas():
    given = {"size": torch.tensor([64, 64]), "img_shape": (64, 64, 3), "orig_size": torch.tensor([64, 64])}
    result = written({"boxes": THREE, **given}, canvas=(32, 48))
    assert result["size"].tolist() == [32, 48] and result["size"].dtype == torch.int64
    assert result["img_shape"] == (32, 48, 3)
    assert result["orig_size"].tolist() == [64, 64]
    kept = written({"boxes": THREE, "size": [640, 480]}, canvas=(32, 48))
    assert kept["size"] == [640, 480]  # of something else
    assert update_size({"size": [64, 64]}, (64, 64), (32, 48), ("size",)) == {"size": [64, 64]}
