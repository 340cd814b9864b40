"""Coordinates that are not pixels in the documented form are refused, and targets keep what is not of one object."""

from array import array
from collections import UserList, deque

import numpy as np
import pytest
import torch

from augsvc_client import Client
from augsvc_client.client.push import check_coordinates
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


@pytest.mark.parametrize("role", ["boxes", "keypoints"])
def test_tensors_of_push_mode_in_fractions_are_refused(role):
    shape = (N, 3, 4) if role == "boxes" else (N, 1, 3, 2)
    rows = np.random.default_rng(0).uniform(0, 1, shape).astype(np.float32)
    tensors = {"image": np.zeros((N, SIDE, SIDE, 3), np.uint8), "index": np.arange(N), role: rows}
    with Client("http://127.0.0.1:1") as client, pytest.raises(ValueError, match=rf"{role} is in pixels.*multiply"):
        client.augment(tensors, pipeline="light")
    check_coordinates(tensors | {role: rows * SIDE}, lambda: True)
    check_coordinates(tensors | {f"{role}_valid": np.zeros(shape[:-1], np.bool_)}, lambda: True)
    check_coordinates({name: array[:0] for name, array in tensors.items()}, lambda: True)


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


def written(target, kept=(0, 2), canvas=None, others=(), per_object=()):
    """The first target after object 1 of three has left."""
    given = [target, *others]
    (part,) = read_one(*given, per_object=per_object)
    boxes = part.arrays["boxes"]
    valid = part.arrays["boxes_valid"] & np.isin(np.arange(boxes.shape[1]), kept)
    response = {"image": None, "index": np.arange(len(given)), "boxes": boxes, "boxes_valid": valid}
    return part.restore(response, canvas)["target",][0]


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


def read_one(*targets, **options):
    images = np.zeros((len(targets), SIDE, SIDE, 3), np.uint8)
    return Reader((), "NHWC", None, **options).split({"image": images, "target": list(targets)})[0]


@pytest.mark.parametrize("counts", [(3, 1), (3, 3), (3, 0), (0, 0), (1,)])
@pytest.mark.parametrize("entries", [3, 2, "objects"])
def test_a_field_that_may_be_of_the_image_or_of_its_objects_is_refused_in_every_batch(counts, entries):
    targets = [
        {"boxes": THREE[:count], "difficulty": np.arange(count if entries == "objects" else entries)}
        for count in counts
    ]
    with pytest.raises(ValueError, match=r"difficulty.*per_object=.'difficulty'.*passthrough=.'difficulty'"):
        read_one(*targets)
    (part,) = read_one(*targets, passthrough=("difficulty",))
    assert part.targets.values == targets


@pytest.mark.parametrize(
    "value", [[7, 8, 9], np.arange(3), torch.arange(3), ("a", "b", "c"), np.ones((3, 5))], ids=type
)
@pytest.mark.parametrize("others", [[], [{"boxes": THREE[:1]}], [{"boxes": THREE}]])
def test_a_field_named_per_object_loses_the_entry_of_an_object_that_left(value, others):
    others = [{**other, "notes": value[: len(other["boxes"])]} for other in others]
    result = written({"boxes": THREE, "notes": value}, others=others, per_object=("notes",))["notes"]
    assert len(result) == 2
    np.testing.assert_array_equal(result[0], value[0])
    np.testing.assert_array_equal(result[1], value[2])


@pytest.mark.parametrize("value", [deque("abc"), range(3), array("i", [4, 5, 6]), UserList("abc")], ids=type)
@pytest.mark.parametrize("name", ["labels", "notes"])
def test_entries_in_any_sequence_leave_with_their_objects(name, value):
    assert written({"boxes": THREE, name: value}, per_object=("notes",))[name] == [value[0], value[2]]
    with pytest.raises(ValueError, match=r"topics.*per_object.*passthrough"):
        read_one({"boxes": THREE, "topics": value})


def test_a_set_has_no_entry_for_each_object():
    with pytest.raises(ValueError, match=r"labels is a set"):
        read_one({"boxes": THREE, "labels": {1, 2, 3}})
    assert read_one({"boxes": THREE, "topics": {1, 2, 3}})  # of the image


@pytest.mark.parametrize("name", ["scene_attributes", "crop_sizes", "gps", "captions", "object_scale"])
def test_what_only_resembles_a_known_name_is_refused(name):
    with pytest.raises(ValueError, match=rf"{name}.*per_object.*passthrough"):
        read_one({"boxes": THREE, name: [1, 2, 3]})
    with pytest.raises(ValueError, match=r"meta.*passthrough"):
        read_one({"boxes": THREE, "meta": {"of": {name: [1, 2, 3]}}})
    assert read_one({"boxes": THREE, "meta": {"scale": 2, "path": "a", "img_shape": (64, 64)}})


@pytest.mark.parametrize(
    ("name", "value"), [("labels", [1, 2]), ("area", np.ones(4)), ("area", 16.0), ("notes", [1, 2])]
)
def test_a_field_of_the_objects_with_another_number_of_entries_is_refused(name, value):
    with pytest.raises(ValueError, match=rf"{name}.*3 objects.*passthrough=.'{name}'"):
        read_one({"boxes": THREE, name: value}, per_object=("notes",))
    assert read_one({"boxes": THREE, name: value}, passthrough=(name,))


@pytest.mark.parametrize("value", [np.full(3, 16.0), np.full(5, 16.0), 16.0, [16.0, 16.0, 16.0], None])
def test_an_area_in_passthrough_stays_whole(value):
    grown = {"boxes": THREE, "area": value}
    (part,) = read_one(grown, passthrough=("area",))
    response = {"image": None, "index": np.arange(1), "boxes": 2 * THREE[None], "boxes_valid": np.ones((1, 3), bool)}
    assert part.restore(response, None)["target",][0]["area"] is value


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_an_area_grows_with_its_box(shape):
    (part,) = read_one({"boxes": THREE, "area": np.full(shape, 16.0)}, per_object=("area",))
    valid = np.array([[True, False, True]])
    response = {"image": None, "index": np.arange(1), "boxes": 2 * THREE[None], "boxes_valid": valid}
    np.testing.assert_array_equal(part.restore(response, None)["target",][0]["area"], np.full((2, *shape[1:]), 64))


@pytest.mark.parametrize("name", ["area", "bbox", "keypoints"])
def test_what_passthrough_names_in_cocos_annotations_stays_whole(name):
    given = [{"bbox": [0, 0, 4, 4], "area": 16.0, "keypoints": [9.0, 9.0, 2.0], "category_id": 7}]
    (part,) = read_one(given, passthrough=(name,))
    moved = {key: 2 * value for key, value in part.arrays.items() if value.dtype == np.float32}
    valid = {key: value for key, value in part.arrays.items() if value.dtype == np.bool_}
    (annotation,) = part.restore({**moved, **valid, "image": None, "index": np.arange(1)}, None)["target",][0]
    doubled = {"bbox": [0, 0, 8, 8], "area": 64.0, "keypoints": [18.0, 18.0, 2.0]}
    expected = {**given[0], **doubled, name: given[0][name]} | ({"area": 16.0} if name == "bbox" else {})
    assert annotation == expected


def test_a_name_in_both_arguments_is_refused():
    with pytest.raises(ValueError, match="per_object and passthrough both name notes"):
        Reader((), "NHWC", None, passthrough=("notes",), per_object=("notes",))
    for names in ("notes", None, iter(("notes",))):
        with pytest.raises(ValueError, match="per_object is a tuple"):
            Reader((), "NHWC", None, per_object=names)
        with pytest.raises(ValueError, match="passthrough is a tuple"):
            Reader((), "NHWC", None, passthrough=names)
        with pytest.raises(ValueError, match="fields is a tuple"):
            Reader(names, "NHWC", None)


def test_the_size_of_the_image_becomes_that_of_the_canvas():
    given = {"size": torch.tensor([64, 64]), "img_shape": (64, 64, 3), "orig_size": torch.tensor([64, 64])}
    result = written({"boxes": THREE, **given}, canvas=(32, 48))
    assert result["size"].tolist() == [32, 48] and result["size"].dtype == torch.int64
    assert result["img_shape"] == (32, 48, 3)
    assert result["orig_size"].tolist() == [64, 64]
    kept = written({"boxes": THREE, "size": [640, 480]}, canvas=(32, 48))
    assert kept["size"] == [640, 480]  # of something else
    assert update_size({"size": [64, 64]}, (64, 64), (32, 48), ("size",)) == {"size": [64, 64]}
