"""Annotated images, served: labels of each format in a batch, moved with the pixels, and what cannot be decoded among them."""

import json

import numpy as np
import pytest
from PIL import Image

SPEC = {"size": [40, 60], "shuffle": False, "pipeline": [{"op": "horizontal_flip", "p": 1.0}]}


def gradient(index):
    image = np.zeros((40, 60, 3), np.uint8)
    image[..., 0], image[..., 1], image[..., 2] = np.arange(60), np.arange(40)[:, None], index
    return image


@pytest.fixture(scope="module")
def annotated(serve, tmp_path_factory):
    root = tmp_path_factory.mktemp("annotated")
    for folder in ("images", "masks", "annotations"):
        (root / folder).mkdir()
    for index in range(3):
        Image.fromarray(gradient(index)).save(root / "images" / f"{index}.png")
        Image.fromarray(gradient(index)[..., 0] // 30).save(root / "masks" / f"{index}.png")
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(root / "masks" / "1.png")
    boxes = [[6, 4, 12, 20], [30, 10, 30, 30]]
    content = {
        "images": [{"id": k, "file_name": f"{k}.png", "width": 60, "height": 40} for k in range(3)],
        "categories": [{"id": 5, "name": "cat", "keypoints": ["left", "right"]}],
        "annotations": [
            {"id": k, "image_id": 2, "category_id": 5, "bbox": box, "keypoints": [7, 8, 2, 9, 10, 1]}
            for k, box in enumerate(boxes)
        ],
    }
    (root / "annotations" / "all.json").write_text(json.dumps(content))
    for folder in ("labels", "Annotations", "JPEGImages"):
        (root / folder).mkdir()
    for index in range(3):
        rows = boxes if index == 2 else []
        Image.fromarray(gradient(index)).save(root / "JPEGImages" / f"{index}.png")
        lines = [f"0 {(x + w / 2) / 60} {(y + h / 2) / 40} {w / 60} {h / 40}" for x, y, w, h in rows]
        (root / "labels" / f"{index}.txt").write_text("\n".join(lines))
        tags = [
            f"<object><name>cat</name><bndbox><xmin>{x + 1}</xmin><ymin>{y + 1}</ymin><xmax>{x + w}</xmax><ymax>{y + h}</ymax>"
            "</bndbox></object>"
            for x, y, w, h in rows
        ]
        (root / "Annotations" / f"{index}.xml").write_text(f"<annotation>{''.join(tags)}</annotation>")
    (root / "data.yaml").write_text("{names: [cat], val: images}")
    coco = {
        "format": "coco",
        "path": str(root),
        "annotations": "annotations/all.json",
        "images": "images",
        "keypoints": True,
    }
    (root / "metadata.csv").write_text(
        "file_name,tags,n,m,text\nimages/0.png,a|b,1,2,one\nimages/1.png,,3,4,two\nimages/2.png,b,5,6.5,three\n"
    )
    kinds = {"multi_label": "tags", "regression": ["n", "m"], "text": "text"}
    tables = {
        kind: {"format": "manifest", "path": str(root), "label_kind": kind, "label": label}
        for kind, label in kinds.items()
    }
    same = {"path": str(root)}
    pairs = {"format": "image_mask_pairs", "path": str(root), "classes": ["left", "right"]}
    return serve(
        datasets={"things": coco, "roads": pairs, "yolo": same | {"format": "yolo"}, "voc": same | {"format": "voc"}}
        | tables
    ).ready()


def test_boxes_and_keypoints_move_with_the_image(annotated):
    arrays = annotated.batch(annotated.open({**SPEC, "dataset": "things"}), 0, 0, 3).arrays
    assert arrays["valid"].all()
    np.testing.assert_array_equal(arrays["image"][2], gradient(2)[:, ::-1].transpose(2, 0, 1))
    assert arrays["boxes"].shape == (3, 2, 4)
    assert arrays["boxes_valid"].tolist() == [[False, False], [False, False], [True, True]]
    assert arrays["boxes"][2].tolist() == [[42, 4, 54, 24], [0, 10, 30, 40]]
    assert arrays["keypoints"][2].tolist() == [[51, 10], [53, 8]] * 2  # left and right are swapped
    assert arrays["label"].tolist() == [-1, -1, 0]


@pytest.mark.parametrize("dataset", ["yolo/val", "voc"])
def test_the_same_boxes_in_another_format_are_the_same(annotated, dataset):
    expected = annotated.batch(annotated.open({**SPEC, "dataset": "things"}), 0, 0, 3).arrays
    arrays = annotated.batch(annotated.open({**SPEC, "dataset": dataset}), 0, 0, 3).arrays
    for name in ("image", "boxes_valid", "box_labels", "label", "valid"):
        np.testing.assert_array_equal(arrays[name], expected[name], name)
    np.testing.assert_allclose(arrays["boxes"], expected["boxes"], atol=1e-4)


def test_masks_move_with_the_image_and_one_of_another_size_is_not_valid(annotated):
    stream = annotated.open({**SPEC, "dataset": "roads"})
    arrays = annotated.batch(stream, 0, 0, 3).arrays
    assert arrays["valid"].tolist() == [True, False, True]
    np.testing.assert_array_equal(arrays["mask"][0], (gradient(0)[..., 0] // 30)[:, ::-1])
    assert [annotated.batch(stream, 0, k, 1).arrays["mask"][0].tolist() for k in range(3)] == arrays["mask"].tolist()


def test_class_names_are_those_of_the_labels(annotated):
    entries = {entry["name"]: entry for entry in annotated.get("/v1/datasets").json["datasets"]}
    assert entries["things"]["classes"] == ["cat"]
    assert entries["roads"]["classes"] == ["left", "right"]


def test_a_subset_by_class_leaves_out_samples_without_one(annotated):
    stream = annotated.open({**SPEC, "dataset": "things", "subset": {"per_class": 1, "seed": 0}})
    assert annotated.batch(stream, 0, 0, 1).arrays["index"].tolist() == [2]
    spec = {**SPEC, "dataset": "roads", "subset": {"per_class": 1, "seed": 0}}
    annotated.post(spec).refused(422, "spec_invalid")


@pytest.mark.parametrize(
    ("kind", "dtype", "expected"),
    [
        ("multi_label", "uint8", [[1, 1], [0, 0], [0, 1]]),
        ("regression", "float32", [[1, 2], [3, 4], [5, 6.5]]),
        ("text", "uint8", [list(b"one\0\0"), list(b"two\0\0"), list(b"three")]),
    ],
)
def test_labels_that_are_not_one_class(annotated, kind, dtype, expected):
    stream = annotated.open({**SPEC, "dataset": kind})
    label = annotated.batch(stream, 0, 0, 3).arrays["label"]
    assert label.dtype == dtype
    assert label.tolist() == expected
    assert annotated.batch(stream, 0, 2, 1).arrays["label"].tolist() == expected[2:]
    entries = {entry["name"]: entry for entry in annotated.get("/v1/datasets").json["datasets"]}
    assert entries[kind]["label"] == kind
    error = annotated.post({**SPEC, "dataset": kind, "pipeline": [{"op": "mixup"}]}).refused(422, "spec_invalid")
    assert "labels of one class" in error["message"]
