"""YOLO: normalised boxes, polygons and keypoints, the YAML file, and damaged labels."""

import numpy as np
import pytest
import yaml
from PIL import Image

from augsvc.data.cache import DecodedCache
from augsvc.data.formats.yolo import YoloSettings
from augsvc_client import unpack_masks

NAMES = ["cat", "dog"]


def write(root, labels, split="train", data=(), below="images/{}", size=(60, 40)):
    folder = root / below.format(split)
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in labels.items():
        Image.new("RGB", size, (9, 9, 9)).save(folder / f"{name}.png")
        file = root / below.format(split).replace("images", "labels") / f"{name}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        if lines is not None:
            file.write_text(lines, encoding="utf-8")
    content = {"path": "/elsewhere/set", "names": NAMES, split: below.format(split)} | dict(data)
    file = root / "data.yaml"
    before = yaml.safe_load(file.read_text()) if file.exists() else {}
    file.write_text(yaml.safe_dump(before | content))


def opened(root, **options):
    return YoloSettings(format="yolo", path=root, **options).open("set", DecodedCache(0))


def refusal(root, **options):
    with pytest.raises(ValueError, match="dataset 'set'") as refused:
        opened(root, **options)
    return str(refused.value)


def test_boxes_are_scaled_to_the_image(tmp_path):
    write(tmp_path, {"a": "1 0.5 0.5 0.5 0.25\n0 0.1 0.1 0.2 0.2\n", "b": "", "c": None, "d": "0 0.5 0.5 1 1\r\n\r\n"})
    (source,) = opened(tmp_path)
    assert (source.info.name, source.info.classes, source.info.boxes) == ("set/train", ("cat", "dog"), 2)
    sample = source.read(0)
    np.testing.assert_allclose(sample.boxes, [[15, 15, 45, 25], [0, 0, 12, 8]], atol=1e-5)
    assert sample.box_labels.tolist() == [1, 0]
    assert [int(source.read(index).boxes_valid.sum()) for index in range(4)] == [2, 0, 0, 1]
    assert source.labels().tolist() == [1, -1, -1, 0]
    notes = "\n".join(source.notes())
    assert "1 images have no file of labels" in notes
    assert "3 boxes, at most 2 an image; 2 images have none" in notes


def test_labels_with_another_extension_or_name(tmp_path):
    """1.TXT is read, and files of labels without an image are named where images have none."""
    write(tmp_path, {"a": "1 0.5 0.5 0.5 0.25\n", "b": None})
    folder = tmp_path / "labels" / "train"
    (folder / "a.txt").rename(folder / "a.TXT")
    (folder / "b.png.txt").write_text("0 0.5 0.5 0.5 0.25\n")
    (source,) = opened(tmp_path)
    assert source.labels().tolist() == [1, -1]
    notes = "\n".join(source.notes())
    assert "1 images have no file of labels" in notes and "named like no image: labels/train/b.png.txt" in notes


def test_polygons_are_boxes_and_masks(tmp_path):
    write(tmp_path, {"a": "1 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.5\n0 0.2 0.2 0.3 0.2 0.3 0.4 0.2 0.4"})
    (source,) = opened(tmp_path, masks="classes")
    sample = source.read(0)
    np.testing.assert_allclose(sample.boxes, [[6, 4, 30, 20], [12, 8, 18, 16]], atol=1e-5)
    expected = np.zeros((40, 60), np.uint8)
    expected[4:20, 6:30] = 2
    expected[8:16, 12:18] = 1
    np.testing.assert_array_equal(sample.mask, expected)
    (source,) = opened(tmp_path, masks="instances")
    assert np.unique(source.read(0).mask).tolist() == [0, 1, 2]
    write(tmp_path, {"a": "1 0.5 0.5 0.1 0.1"})
    for options in ({"masks": "classes"}, {"instance_masks": True}):
        assert "line 1: a box, and `masks` and `instance_masks` need polygons" in refusal(tmp_path, **options)


def test_each_polygon_has_its_mask(tmp_path):
    """Where they overlap, too; more than eight of them; and none."""
    corners = [(x / 60, y / 40) for x, y in ((0, 0), (20, 0), (20, 8), (0, 8))]
    shifts = [(2 * k, 3 * k) for k in range(10)]
    lines = ["0 " + " ".join(f"{x + dx / 60} {y + dy / 40}" for x, y in corners) for dx, dy in shifts]
    write(tmp_path, {"a": "\n".join(lines)})
    (source,) = opened(tmp_path, instance_masks=True, masks="classes")
    sample = source.read(0)
    assert sample.mask_bits.shape == (2, 40, 60)
    expected = np.zeros((10, 40, 60), np.uint8)
    for one, (dx, dy) in zip(expected, shifts, strict=True):
        one[dy : dy + 8, dx : dx + 20] = 1
    np.testing.assert_array_equal(unpack_masks(sample.mask_bits, range(10)), expected)
    np.testing.assert_array_equal(sample.mask, expected.max(axis=0))
    assert source.info.version != opened(tmp_path, masks="classes")[0].info.version


def test_keypoints_with_and_without_visibility(tmp_path):
    data = {"kpt_shape": [3, 3], "flip_idx": [0, 2, 1]}
    write(tmp_path, {"a": "0 0.5 0.5 1 1 0.5 0.5 2 0.25 0.5 0 0 0 0"}, data=data)
    (source,) = opened(tmp_path, keypoints=True)
    assert source.info.flip_pairs == ((1, 2),)
    assert source.read(0).keypoints.tolist() == [[30, 20], [15, 20], [0, 0]]
    assert source.read(0).keypoints_valid.tolist() == [True, False, False]
    write(tmp_path, {"a": "0 0.5 0.5 1 1 0.5 0.5 0 0"}, data={"kpt_shape": [2, 2], "flip_idx": []})
    (source,) = opened(tmp_path, keypoints=True)
    assert source.read(0).keypoints_valid.tolist() == [True, False]


def test_splits_lists_and_paths(tmp_path):
    write(tmp_path, {"a": "0 0.5 0.5 1 1"})
    write(tmp_path, {"b": "1 0.5 0.5 1 1"}, split="val")
    assert [source.info.name for source in opened(tmp_path)] == ["set/train", "set/val"]
    write(tmp_path, {"c\u2028d": "1 0.5 0.5 1 1"}, split="val")
    names = ["images/train/a.png", "images/val/b.png", "images/val/c\u2028d.png"]
    (tmp_path / "list.txt").write_bytes("./{}\r\n{}\n\n{}".format(*names).encode())
    write(tmp_path, {}, data={"train": "list.txt", "val": None})
    (source,) = opened(tmp_path)
    assert list(source.describe_all()) == names
    write(tmp_path, {}, data={"train": ["images/train", "images/val"], "names": {0: "cat", 1: "dog"}})
    assert len(opened(tmp_path)[0]) == 3


def test_exports_of_roboflow(tmp_path):
    write(tmp_path, {"a": "0 0.5 0.5 1 1"}, below="{}/images", data={"train": "../train/images", "nc": 2})
    (source,) = opened(tmp_path)
    assert source.read(0).boxes.tolist() == [[0, 0, 60, 40]]


def test_labels_beside_the_images(tmp_path):
    write(tmp_path, {"a": "0 0.5 0.5 1 1"}, below="{}")
    assert opened(tmp_path)[0].read(0).boxes_valid.tolist() == [True]


def test_what_is_changed_is_counted(tmp_path):
    write(tmp_path, {"a": "0 0.9 0.9 0.4 0.4\n0 0.9 0.9 0.4 0.4\n1 0.5 0.5 0 0.5"})
    (source,) = opened(tmp_path)
    np.testing.assert_allclose(source.read(0).boxes, [[42, 28, 60, 40]], atol=1e-5)
    notes = "\n".join(source.notes())
    for note in ("1 boxes reach beyond", "1 boxes without area", "1 lines that repeat"):
        assert note in notes


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2 0.5 0.5 1 1", "line 1: the class 2 is none of `names`, 0 … 1"),
        ("-1 0.5 0.5 1 1", "the class -1"),
        ("0.5 0.5 0.5 1 1", "the class 0.5"),
        ("nan 0.5 0.5 1 1", "the class nan"),
        ("0 0.5 0.5 1", "3 numbers after the class"),
        ("0 0.5 0.5 1 1 1", "5 numbers after the class"),
        ("0", "0 numbers after the class"),
        ("0 0.5 0.5 1 x", "no numbers"),
        ("0 30 20 10 10", "fractions of the image"),
        ("0 0.5 -0.5 1 1", "fractions of the image"),
        ("0 0.5 nan 1 1", "fractions of the image"),
        ("\0\xff", "no numbers"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    write(tmp_path, {"a": line})
    refused = refusal(tmp_path)
    assert message in refused
    assert "labels/train/a.txt" in refused


def test_all_bad_lines_are_named_together(tmp_path):
    write(tmp_path, {"a": "2 0.5 0.5 1 1\n0 0.5 0.5 1 1\nx", "b": "0 0.5 0.5 1"})
    write(tmp_path, {"c": "0 30 20 10 10"}, "val")
    lines = refusal(tmp_path).split("\n")
    expected = ["train/a.txt, line 1: ", "train/a.txt, line 3: ", "train/b.txt, line 1: ", "val/c.txt, line 1: "]
    assert len(lines) == 4
    assert all(text in line for text, line in zip(expected, lines, strict=True))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"names": None}, "`names`"),
        ({"names": {0: "a", 2: "b"}}, "without gaps"),
        ({"names": ["a", "a"]}, "twice"),
        ({"names": [False, True]}, "in quotes"),  # no and yes in YAML
        ({"names": ["a", None]}, "in quotes"),
        ({"names": {0: ["a"]}}, "in quotes"),
        ({"nc": 3}, "`nc` is 3"),
        ({"train": "../../../etc"}, "neither a folder"),
        ({"train": "/etc"}, "/etc"),
        ({"train": 5}, "must be a folder"),
        ({"train": "nothing"}, "neither a folder"),
        ({"train": None}, "has no splits: name folders or lists in `train`"),
    ],
)
def test_a_bad_yaml_file_is_refused(tmp_path, data, message):
    write(tmp_path, {"a": "0 0.5 0.5 1 1"}, data=data)
    refused = refusal(tmp_path)
    assert message in refused and "data.yaml" in refused


def test_keypoints_need_their_shape(tmp_path):
    write(tmp_path, {"a": "0 0.5 0.5 1 1"})
    assert "`kpt_shape`" in refusal(tmp_path, keypoints=True)
    write(tmp_path, {}, data={"kpt_shape": [3, 3], "flip_idx": [1, 2, 0]})
    assert "in pairs" in refusal(tmp_path, keypoints=True)


def test_files_that_are_missing_or_lead_out(tmp_path):
    write(tmp_path / "set", {"a": "0 0.5 0.5 1 1"})
    (tmp_path / "set" / "list.txt").write_text("../outside.png\n")
    write(tmp_path / "set", {}, data={"train": "list.txt"})
    assert "'../outside.png'" in refusal(tmp_path / "set")
    (tmp_path / "set" / "list.txt").write_text("images/train/none.png\n")
    assert "1 of 1 files are missing" in refusal(tmp_path / "set")
    write(tmp_path / "set", {}, data={"train": "images/train"})
    (tmp_path / "set" / "labels" / "train" / "a.txt").rename(tmp_path / "a.txt")
    (tmp_path / "set" / "labels" / "train" / "a.txt").symlink_to(tmp_path / "a.txt")
    assert "follow_links" in refusal(tmp_path / "set")
    (tmp_path / "set" / "b.yaml").write_text("{")
    assert "2 YAML files" in refusal(tmp_path / "set")
    assert "no valid YAML" in refusal(tmp_path / "set", data="b.yaml")


def test_the_version_covers_the_labels(tmp_path):
    write(tmp_path, {"a": "0 0.5 0.5 1 1"})
    first = opened(tmp_path)[0].info.version
    write(tmp_path, {"a": "0 0.5 0.5 1 1.0"})
    assert opened(tmp_path)[0].info.version != first


POSE = "1 0.5 0.5 0.2 0.2 0.45 0.45 0.55 0.45 0.55 0.55 0.45 0.5\n"  # of an even number of numbers, as a polygon


def test_keypoints_that_are_not_served_are_no_polygon(tmp_path):
    write(tmp_path, {"a": POSE, "b": "0 0.5 0.5 1 1\n"}, data={"kpt_shape": [4, 2]})
    (source,) = opened(tmp_path)
    np.testing.assert_allclose(source.read(0).boxes, [[24, 16, 36, 24]], atol=1e-4)
    assert (source.info.keypoints, source.read(0).keypoints) == (0, None)
    assert any("`keypoints: true`" in note for note in source.notes())
    write(tmp_path, {"b": "0 0.5 0.5 1 1" + " 0.5" * 8})
    (with_points,) = opened(tmp_path, keypoints=True)
    np.testing.assert_array_equal(with_points.read(0).boxes, source.read(0).boxes)
    assert any("`flip_idx`" in note for note in with_points.notes())


def test_the_version_covers_the_shape_of_keypoints(tmp_path):
    write(tmp_path, {"a": POSE})
    versions = {opened(tmp_path)[0].info.version}
    write(tmp_path, {}, data={"kpt_shape": [4, 2]})
    versions |= {opened(tmp_path, keypoints=keypoints)[0].info.version for keypoints in (False, True)}
    assert len(versions) == 3


@pytest.mark.parametrize(
    ("options", "line", "message"),
    [
        ({}, "0 0.1 0.1 0.5 0.1 0.5 0.5", "6 numbers after the class, 12 are needed by `kpt_shape`"),
        ({"masks": "classes"}, POSE, "a box, and `masks` and `instance_masks` need polygons"),
        ({"keypoints": True}, "0 0.5 0.5 1 1", "4 numbers after the class, 12 are needed by `kpt_shape`"),
    ],
)
def test_lines_of_another_shape_of_keypoints_are_refused(tmp_path, options, line, message):
    write(tmp_path, {"a": line}, data={"kpt_shape": [4, 2]})
    assert message in refusal(tmp_path, **options)


def test_a_bad_shape_of_keypoints_is_refused(tmp_path):
    write(tmp_path, {"a": POSE}, data={"kpt_shape": "4, 2"})
    assert "`kpt_shape` must be" in refusal(tmp_path)
