"""COCO: boxes, keypoints and segmentations, with pycocotools as the reader to agree with; and damaged files."""

import json
import time
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as reference
from pycocotools.coco import COCO

from augsvc.arrays import count_planes
from augsvc.data.cache import DecodedCache
from augsvc.data.formats.coco import CocoSettings
from augsvc.data.formats.flip_pairs import find_flip_pairs
from augsvc.data.formats.segments import Segments, SegmentTable
from augsvc.errors import Undecodable
from augsvc_client import unpack_masks

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools

CATEGORIES = [{"id": 90, "name": "cat"}, {"id": 3, "name": "dog"}]
SKELETON = ["nose", "left_eye", "right_eye"]


def box(identity, image, xywh, category=3, **fields):
    area = xywh[2] * xywh[3]
    return {
        "id": identity,
        "image_id": image,
        "bbox": xywh,
        "category_id": category,
        "area": area,
        "iscrowd": 0,
    } | fields


def noise_image(seed, height=40, width=60):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def write(
    root, annotations, images=((7, "b.png"), (2, "deep/a.png"), (11, "empty.png")), split="train2017", document=()
):
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    listed = []
    for identity, name in images:
        path = root / split / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise_image(identity)).save(path)
        listed.append({"id": identity, "file_name": name, "width": 60, "height": 40})
    content = {"annotations": annotations, "images": listed, "categories": CATEGORIES} | dict(document)
    file = root / "annotations" / f"instances_{split}.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def opened(root, **options):
    return CocoSettings(format="coco", path=root, **options).open("things", DecodedCache(0))


def refusal(root, **options):
    with pytest.raises(ValueError, match="dataset 'things'") as refused:
        opened(root, **options)
    return str(refused.value)


def test_ids_that_are_texts_of_integers(tmp_path):
    write(tmp_path, [box(1, 7, [1, 2, 10, 10], 90)])
    (expected,) = opened(tmp_path)
    boxes = expected.read(1).boxes
    categories = [{**category, "id": f"0{category['id']}"} for category in CATEGORIES]
    file = write(tmp_path, [box("0001", "7", [1, 2, 10, 10], "90")], document={"categories": categories})
    (source,) = opened(tmp_path)
    assert source.info.classes == expected.info.classes and source.labels().tolist() == expected.labels().tolist()
    assert np.array_equal(source.read(1).boxes, boxes)
    file.write_text(file.read_text().replace('"090"', '"cat"'))
    assert "id 'cat': `id` must be an integer: number the images, categories" in refusal(tmp_path)


def test_boxes_of_an_image_are_those_of_pycocotools(tmp_path):
    file = write(tmp_path, [box(1, 7, [1.5, 2, 10, 20.25], 90), box(2, 2, [0, 0, 60, 40]), box(3, 7, [5, 5, 30, 30])])
    (source,) = opened(tmp_path)
    assert source.info.name == "things/train"
    assert source.info.classes == ("dog", "cat")  # by ascending id
    assert [source.describe(index) for index in range(3)] == [
        "train2017/deep/a.png",
        "train2017/b.png",
        "train2017/empty.png",
    ]
    coco = COCO(file)
    labels = {identity: label for label, identity in enumerate(sorted(coco.getCatIds()))}
    for index, identity in enumerate(sorted(coco.imgs)):
        sample = source.read(index)
        np.testing.assert_array_equal(sample.image, noise_image(identity))
        expected = coco.loadAnns(coco.getAnnIds(identity))
        assert sample.boxes.shape == (source.info.boxes, 4) == (2, 4)
        n = len(expected)
        assert sample.boxes_valid.tolist() == [True] * n + [False] * (2 - n)
        corners = [[x, y, x + w, y + h] for x, y, w, h in (one["bbox"] for one in expected)]
        np.testing.assert_array_equal(sample.boxes[:n], np.array(corners, np.float32).reshape(-1, 4))
        assert sample.box_labels[:n].tolist() == [labels[one["category_id"]] for one in expected]
    assert source.labels().tolist() == [0, 0, -1]  # of the largest box
    unit, counts = source.class_counts()
    assert (unit, counts.tolist()) == ("boxes", [2, 1])
    notes = "\n".join(source.notes())
    assert "3 boxes, at most 2 an image; 1 images have none" in notes
    assert "category ids 3 … 90 are the labels 0 … 1" in notes


def test_crowds_and_boxes_without_area_are_left_out_and_counted(tmp_path):
    write(
        tmp_path,
        [
            box(1, 7, [50, 30, 20, 20]),  # beyond the image
            box(2, 7, [70, 50, 5, 5]),  # outside
            box(3, 7, [5, 5, 0, 5]),
            box(4, 7, [1, 1, 5, 5], iscrowd=1),
            box(5, 7, [2, 2, 5, 5], ignore=1),
        ],
    )
    (source,) = opened(tmp_path)
    sample = source.read(1)
    assert sample.boxes.tolist() == [[50, 30, 60, 40]]
    notes = "\n".join(source.notes())
    assert "2 crowds" in notes
    assert "2 boxes reach beyond" in notes
    assert "2 boxes without area" in notes


def test_a_dataset_without_any_box_has_the_tensors(tmp_path):
    write(tmp_path, [])
    (source,) = opened(tmp_path)
    assert source.info.boxes == 1
    assert not source.read(0).boxes_valid.any()


def test_keypoints_and_their_pairs(tmp_path):
    points = [10, 10, 2, 20, 5, 1, 0, 0, 0]
    file = write(
        tmp_path, [box(1, 7, [0, 0, 30, 30], keypoints=points), box(2, 7, [9, 9, 9, 9]), box(3, 2, [0, 0, 9, 9])]
    )
    content = json.loads(file.read_text())
    content["categories"] = [{"id": 3, "name": "person", "keypoints": SKELETON}]
    (tmp_path / "annotations" / "person_keypoints_train2017.json").write_text(json.dumps(content))
    (source,) = opened(tmp_path, keypoints=True)
    assert source.info.keypoints == 6
    assert source.info.flip_pairs == ((1, 2), (4, 5))
    sample = source.read(1)
    assert sample.keypoints.tolist() == [[10, 10], [20, 5], [0, 0], [0, 0], [0, 0], [0, 0]]
    assert sample.keypoints_valid.tolist() == [True, True, False, False, False, False]
    content["annotations"][0]["keypoints"] = points[:6]
    (tmp_path / "annotations" / "person_keypoints_train2017.json").write_text(json.dumps(content))
    assert "annotation 1 has 2 keypoints, its category 3" in refusal(tmp_path, keypoints=True)


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (["nose", "left_eye", "right_eye", "left_ear", "right_ear"], ((1, 2), (3, 4))),
        (["L_Hand", "R_Hand", "tail"], ((0, 1),)),
        (["bright spot", "leftover", "rightover"], ()),
        (["eye right", "eye left", "lone left"], ((0, 1),)),
        (["nose", "leftEye", "rightEye"], ((1, 2),)),
        (["LeftEye", "RightEye", "EyeLeftInner", "EyeRightInner"], ((0, 1), (2, 3))),
        (["eye_left", "eye_right", "l_eye", "r_eye", "lEar", "rEar", "LHip", "RHip"], ((0, 1), (2, 3), (4, 5), (6, 7))),
        (["eyeL", "eyeR", "UpperLEye", "UpperREye", "eye-l-2", "eye-r-2"], ((0, 1), (2, 3), (4, 5))),
        (["LEFT_EYE", "RIGHT_EYE", "left1", "right1", "left_bigToe", "right_bigtoe"], ((0, 1), (2, 3), (4, 5))),
        (["left_upright", "right_upright", "bright", "clear", "nail", "lean"], ((0, 1),)),
        (["left", "left", "right"], ((1, 2),)),
    ],
)
def test_flip_pairs_by_names(names, pairs):
    assert find_flip_pairs(names) == pairs


def test_masks_are_those_of_pycocotools(tmp_path):
    rng = np.random.default_rng(0)
    blob = np.zeros((40, 60), np.uint8)
    blob[10:20, 30:50] = 1
    counts = reference.encode(np.asfortranarray(blob))
    runs = {"size": [40, 60], "counts": counts["counts"].decode()}
    plain = {"size": [40, 60], "counts": [0, 40, 2360]}
    annotations = [
        box(1, 7, [0, 0, 60, 40], 90, segmentation=[rng.uniform(0, 60, 24).tolist(), [1, 1, 9, 1, 9, 9.5]], area=900.0),
        box(2, 7, [0, 0, 30, 30], 3, segmentation=[np.round(rng.uniform(-5, 70, 8), 1).tolist()], area=100.0),
        box(3, 7, [30, 10, 20, 10], 3, segmentation=runs, area=200.0),
        box(4, 7, [0, 0, 1, 40], 3, segmentation=plain, iscrowd=1),
    ]
    file = write(tmp_path, annotations)
    coco = COCO(file)
    masks = [coco.annToMask(one).astype(bool) for one in annotations]
    for kind, values in (("classes", [2, 1, 1, 255]), ("instances", [1, 2, 3, 255])):
        expected = np.zeros((40, 60), np.uint8)
        for row in (3, 0, 2, 1):  # crowds first, then from large to small
            expected[masks[row]] = values[row]
        (source,) = opened(tmp_path, masks=kind)
        assert source.info.mask
        np.testing.assert_array_equal(source.read(1).mask, expected)
        assert not source.read(2).mask.any()


def test_masks_of_objects_are_those_of_pycocotools_and_overlap(tmp_path):
    """In the order of the boxes; crowds and boxes without area have none. Their memory is counted."""
    rng = np.random.default_rng(1)

    def polygon():
        return [rng.uniform(-5, 65, 2 * int(rng.integers(3, 9))).round(1).tolist()]

    annotations = [
        box(k, 7 if k % 4 else 2, [k, 0, 30, 20], segmentation=polygon(), iscrowd=k == 5) for k in range(1, 16)
    ]
    annotations.append(box(16, 7, [70, 0, 5, 5], segmentation=polygon()))  # outside of its image
    coco = COCO(write(tmp_path, annotations))
    (source,) = opened(tmp_path, instance_masks=True)
    assert source.info.mask_bits and not source.info.mask
    for index, image in ((0, 2), (1, 7)):
        sample = source.read(index)
        own = [one for one in annotations if one["image_id"] == image and one["id"] not in (5, 16)]
        n = int(sample.boxes_valid.sum())
        assert sample.boxes[:n, 0].tolist() == [one["bbox"][0] for one in own]
        assert sample.mask_bits.shape == (count_planes(n), 40, 60) and not sample.mask_bits.flags.writeable
        np.testing.assert_array_equal(unpack_masks(sample.mask_bits, range(n)), [coco.annToMask(one) for one in own])
        assert not unpack_masks(sample.mask_bits, range(n, 8 * len(sample.mask_bits))).any()
        assert sample.n_bytes == replace(sample, mask_bits=None).n_bytes + sample.mask_bits.nbytes
    assert not source.read(2).mask_bits.any()
    assert source.info.version != opened(tmp_path)[0].info.version


def test_objects_without_a_segmentation_are_counted(tmp_path):
    write(
        tmp_path,
        [box(1, 7, [0, 0, 9, 9]), box(2, 7, [0, 0, 9, 9], segmentation=None), box(3, 7, [0, 0, 9, 9], segmentation=[])],
    )
    (source,) = opened(tmp_path, masks="classes")
    assert not source.read(1).mask.any()
    assert "3 objects have no segmentation" in "\n".join(source.notes())
    assert "segmentation" not in "\n".join(opened(tmp_path)[0].notes())


def test_boxes_of_any_size_are_clipped(tmp_path):
    write(tmp_path, [box(1, 7, [-1e308, -1e308, 1e309, 1e309], bbox=[0, 0, 1e308, 1e308])])
    (source,) = opened(tmp_path)
    assert source.read(1).boxes.tolist() == [[0, 0, 60, 40]]


@pytest.mark.parametrize("seed", range(60))
def test_any_polygon_is_rasterised_as_by_pycocotools(tmp_path, seed):
    rng = np.random.default_rng(seed)
    polygon = rng.uniform(-10, 80, 2 * int(rng.integers(3, 12)))
    polygon = np.round(polygon, seed % 3) if seed % 2 else polygon
    write(tmp_path, [box(1, 7, [0, 0, 60, 40], segmentation=[polygon.tolist()])])
    (source,) = opened(tmp_path, masks="classes")
    expected = reference.decode(reference.frPyObjects([polygon.tolist()], 40, 60))[..., 0]
    np.testing.assert_array_equal(source.read(1).mask, expected)


@pytest.mark.parametrize("scale", [30, 1000, 20_000])
@pytest.mark.parametrize("seed", range(20))
def test_polygons_far_beyond_the_image_are_rasterised_as_by_pycocotools(seed, scale):
    rng = np.random.default_rng(seed)
    polygon = np.round(rng.uniform(-scale, scale, 2 * int(rng.integers(3, 14))), seed % 4)
    table = SegmentTable()
    table.add([polygon.tolist()])
    one = np.ones(1)
    segments = Segments.of(np.zeros(1, np.int64), 1, one, one.astype(np.uint8), table)
    expected = reference.decode(reference.frPyObjects([polygon.tolist()], 40, 60))[..., 0]
    np.testing.assert_array_equal(segments.paint(0, 40, 60), expected)
    assert segments.painting_bytes(0, 40, 60) < 1 << 20


def drawn(height, width, *segmentations):
    """The mask of one image with these objects."""
    table = SegmentTable()
    for segmentation in segmentations:
        table.add(segmentation)
    n = len(segmentations)
    segments = Segments.of(np.zeros(n, np.int64), 1, np.ones(n), np.ones(n, np.uint8), table)
    return segments.paint(0, height, width)


FAR = [-100_000, 0, 100, 0, 100, 50.0]
STRIPES = {"size": [1024, 1024], "counts": [1, 1] * (1 << 19)}


@pytest.mark.parametrize(
    "segmentations",
    [
        pytest.param([[[0, 0, 1, 0, 1, 1]] * 20_000], id="parts"),
        pytest.param([[[0, 0, 1, 0, 1, 1]]] * 20_000, id="objects", marks=pytest.mark.slow),
        pytest.param([STRIPES] * 10, id="runs", marks=pytest.mark.slow),
        pytest.param([[[0, 0, 1023, 0] * 1000]] * 10, id="zigzags", marks=pytest.mark.slow),
        pytest.param([[[0, 0, 1023, 0] * 4000]], id="zigzag"),
        pytest.param([{"size": [1024, 1024], "counts": [0, 1 << 20]}] * 6000, id="pixels"),
    ],
)
def test_masks_that_would_take_long_are_undecodable(segmentations):
    """One object of 100 triangles, wide of its image, took 11 s: decoding cannot be interrupted."""
    began = time.thread_time()
    with pytest.raises(Undecodable, match="too long"):
        drawn(1024, 1024, *segmentations)
    assert time.thread_time() - began < 10  # 2 at most, alone


def test_what_reaches_beyond_the_image_costs_nothing():
    """It was walked point by point: 0.1 s and 65 MB a triangle."""
    began = time.thread_time()
    tracemalloc.start()
    try:
        mask = drawn(64, 64, [FAR] * 100)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert time.thread_time() - began < 1
    np.testing.assert_array_equal(mask, reference.decode(reference.frPyObjects([FAR], 64, 64))[..., 0])


def test_the_memory_of_painting_is_counted(tmp_path):
    write(tmp_path, [box(1, 7, [0, 0, 9, 9], segmentation=[[0, 0, 59, 39] * 300])])
    cache = DecodedCache(0)
    counted, decoding = [], cache.decoding
    cache.decoding = lambda n_bytes: (counted.append(n_bytes), decoding(n_bytes))[1]
    (source,) = CocoSettings(format="coco", path=tmp_path, masks="classes").open("things", cache)
    tracemalloc.start()
    try:
        source.read(1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < sum(counted)
    assert counted[1] > 1 << 20


def test_run_lengths_of_another_size_make_a_sample_undecodable(tmp_path):
    write(tmp_path, [box(1, 7, [0, 0, 9, 9], segmentation={"size": [60, 40], "counts": [2400]})])
    (source,) = opened(tmp_path, masks="classes")
    with pytest.raises(Undecodable, match="run lengths are for 40 × 60, the image is 60 × 40"):
        source.read(1)


def test_an_image_of_another_size_than_annotated_is_undecodable(tmp_path):
    write(tmp_path, [])
    Image.new("RGB", (40, 60)).save(tmp_path / "train2017" / "b.png")
    (source,) = opened(tmp_path)
    with pytest.raises(Undecodable, match="the image is 40 × 60, its annotation is for 60 × 40"):
        source.read(1)
    assert "40 × 60" in source.defect(1)


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (box(1, 99, [0, 0, 9, 9]), "annotation 1 has the image 99, which is not in the file; such annotations: 1"),
        (box(1, 7, [0, 0, 9, 9], category=4), "annotation 1 has the category 4"),
        (box(1, 7, [0, 0, 9, 9], bbox=[0, 0, 9]), "`annotations`, id 1: `bbox` must be a list of 4 numbers"),
        (box(1, 7, [0, 0, 9, 9], bbox=[0, 0, "9", 9]), "`bbox` must be a list of 4 numbers"),
        (box(1, 7, [0, 0, 9, float("nan")]), "annotation 1: `bbox` must be finite numbers"),
        (box(1, 7, [0, 0, 9, 9], bbox=None), "`bbox`"),
        ({"id": 1}, "`image_id` must be an integer"),
        ([1], "`annotations` must be a list of objects"),
        (box("x", 7, [0, 0, 9, 9]), "`id` must be an integer"),
        (box(1, 7, [0, 0, 9, 9], segmentation=[[1, 2, 3, 4]]), "three corners"),
        (box(1, 7, [0, 0, 9, 9], segmentation=[[1, 2, 3, 4, 1e300, 6]]), "a corner further"),
        (box(1, 7, [0, 0, 9, 9], segmentation={"size": [4, 4], "counts": [3]}), "add up to 3 pixels"),
        (box(1, 7, [0, 0, 9, 9], segmentation={"size": [4, 4], "counts": [-1, 17]}), "integers from 0"),
        (box(1, 7, [0, 0, 9, 9], segmentation={"size": [4, 4], "counts": "\x00"}), "damaged"),
        (box(1, 7, [0, 0, 9, 9], segmentation={"size": [4, 4], "counts": "o"}), "end early"),
        (box(1, 7, [0, 0, 9, 9], segmentation={"counts": "1"}), "`size`: [height, width]"),
        (box(1, 7, [0, 0, 9, 9], segmentation="1"), "polygons or run lengths"),
    ],
)
def test_a_bad_annotation_is_named(tmp_path, annotation, message):
    write(tmp_path, [annotation])
    refused = refusal(tmp_path, masks="classes")
    assert message in refused
    assert "instances_train2017.json" in refused


def test_all_bad_annotations_are_named_together(tmp_path):
    bad = [
        box(1, 99, [0, 0, 9, 9]),
        box(2, 7, [0, 0, 9, 9], category=4),
        box(3, 7, [0, 0, 9, 9], bbox=[0, 0, 9]),
        box(4, 7, [0, 0, 9, 9]),
        box(4, 7, [0, 0, 9, 9]),
        box(5, "x", [0, 0, 9, 9]),
    ]
    for split in ("train2017", "val2017"):
        write(tmp_path, bad, split=split)
    lines = refusal(tmp_path).split("\n")
    expected = [
        "id 3: `bbox`",
        "id 5: `image_id`",
        "two annotations have the id 4",
        "annotation 1 has",
        "annotation 2 has",
    ]
    assert len(lines) == 2 * len(expected)
    assert all(text in line for text, line in zip(expected * 2, lines, strict=True))


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"annotations": [box(1, 7, [0, 0, 9, 9]), box(1, 7, [0, 0, 9, 9])]}, "two annotations have the id 1"),
        ({"categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}, "there are two of this id"),
        ({"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]}, "two categories have the same name"),
        ({"images": [{"id": 1, "file_name": "../x.png", "width": 1, "height": 1}]}, "'../x.png'"),
        ({"images": [{"id": 1, "file_name": "/etc/passwd", "width": 1, "height": 1}]}, "/etc/passwd"),
        ({"images": [{"id": 1, "file_name": "x.png", "width": 0, "height": 1}]}, "0 × 1"),
        ({"images": [{"id": 1, "file_name": "no.png", "width": 1, "height": 1}]}, "1 of 1 files are missing"),
        ({"images": [{"id": 1, "file_name": "b.png", "width": 1, "height": 1}] * 2}, "two images have the id 1"),
        ({"images": []}, "`images`"),
        ({"images": [{"id": 1, "file_name": "\ud800.png", "width": 1, "height": 1}]}, "ud800.png': give a path below"),
        ({"categories": [{"id": 3, "name": "\ud800"}]}, "ud800'…: a name is text"),
        ({"categories": [{"id": 3, "name": "a" * 1001}]}, "at most 1,000 characters"),
        ({"categories": [{"id": 3, "name": "a", "keypoints": 5}]}, "`keypoints` must be a list of names"),
        ({"categories": [{"id": 3, "name": "a", "keypoints": [[]]}]}, "`keypoints` must be a list of names"),
    ],
)
def test_a_bad_file_is_refused(tmp_path, document, message):
    write(tmp_path, [], document=document)
    assert message in refusal(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        *[b"", b"[]", b"{", b'{"images": [', b'{"images": [{"id": 1', b"\xff\xfe{}", b"{} x"],
        b'{"images": [{"id": ' + b"1" * 5000 + b"}]}",
    ],
)
def test_a_damaged_file_is_refused(tmp_path, damage):
    write(tmp_path, []).write_bytes(damage)
    assert "instances_train2017.json" in refusal(tmp_path)


def test_every_truncation_is_refused(tmp_path):
    file = write(tmp_path, [box(1, 7, [0, 0, 9, 9])])
    whole = file.read_bytes()
    for length in range(0, len(whole), 37):
        file.write_bytes(whole[:length])
        assert "instances_train2017.json" in refusal(tmp_path)


def test_links_out_are_refused_and_links_below_are_followed(tmp_path):
    write(tmp_path / "set", [])
    image = tmp_path / "set" / "train2017" / "b.png"
    image.rename(tmp_path / "outside.png")
    image.symlink_to(tmp_path / "outside.png")
    assert "follow_links" in refusal(tmp_path / "set")
    (source,) = opened(tmp_path / "set", follow_links=[tmp_path])
    np.testing.assert_array_equal(source.read(1).image, noise_image(7))
    (tmp_path / "set" / "annotations").rename(tmp_path / "elsewhere")
    (tmp_path / "set" / "annotations").symlink_to(tmp_path / "elsewhere")
    assert "follow_links" in refusal(tmp_path / "set")


def test_the_version_covers_the_annotations_and_the_settings(tmp_path):
    write(tmp_path, [box(1, 7, [0, 0, 9, 9])])
    (first,), (same,), (masked,) = opened(tmp_path), opened(tmp_path), opened(tmp_path, masks="classes")
    write(tmp_path, [box(1, 7, [0, 0, 9, 8])])
    (other,) = opened(tmp_path)
    assert first.info.version == same.info.version
    assert len({first.info.version, masked.info.version, other.info.version}) == 3


def test_splits_and_named_files(tmp_path):
    write(tmp_path, [box(1, 7, [0, 0, 9, 9])])
    write(tmp_path, [box(1, 7, [0, 0, 9, 9])], split="val2017")
    assert [source.info.name for source in opened(tmp_path)] == ["things/train", "things/val"]
    (one,) = opened(tmp_path, annotations="annotations/instances_val2017.json", images="train2017")
    assert (one.info.name, one.describe(0)) == ("things", "train2017/deep/a.png")
    write(tmp_path, [], split="test2017", document={"categories": CATEGORIES[:1]})
    assert "classes of train and test differ: only in one of them dog" in refusal(tmp_path)


def test_roboflow_keeps_annotations_beside_the_images(tmp_path):
    write(tmp_path, [box(1, 7, [0, 0, 9, 9])], split="valid").rename(tmp_path / "valid" / "_annotations.coco.json")
    (source,) = opened(tmp_path)
    assert source.info.name == "things/val"
    assert source.read(1).boxes.tolist() == [[0, 0, 9, 9]]


def test_a_file_of_more_than_one_chunk(tmp_path):
    boxes = [box(identity, 7, [identity % 50, 0, 9, 9], segmentation=[[0.5] * 60]) for identity in range(1, 8000)]
    write(tmp_path, boxes)
    (source,) = opened(tmp_path)
    assert source.info.boxes == 7999
    assert source.read(1).boxes[:, 0].tolist() == [identity % 50 for identity in range(1, 8000)]


@pytest.mark.parametrize(
    ("before", "after", "name"),
    [
        ('"bbox": [1', '"bbox": [5, 5, 20, 20], "bbox": [1', "'bbox' is repeated in the object with the id 1"),
        ('"category_id"', '"category_id" : 90, "category_id"', "'category_id' is repeated in the object with the id 1"),
        ('"counts"', '"counts": [5], "counts"', "'counts' is repeated"),
        ('"categories"', '"images": [], "categories"', "'images' is repeated"),
        ('"width"', '"width": 1, "width"', "'width' is repeated in the object with the id 7"),
        ('"width"', '"note": "a\\":b", "width": 1, "width"', "'width' is repeated in the object with the id 7"),
    ],
)
@pytest.mark.parametrize("n", [1, 3])  # together, and one by one
def test_a_repeated_name_is_refused(tmp_path, before, after, name, n):
    segmentation = {"counts": [10, 2390], "size": [40, 60]}
    boxes = [box(1 + k, 7, [1, 2, 10, 20], segmentation=segmentation) for k in range(n)]
    file = write(tmp_path, boxes)
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after, 1))
    assert name in refusal(tmp_path)


def test_texts_that_look_like_names_are_no_repeated_names(tmp_path):
    note = {"note": 'a": 1, "a": "\\\\', "more": [{"a": 1}, {"a": 2, "b": {"a": "http://x"}}], "empty": {}}
    write(tmp_path, [box(1 + k, 7, [1, 2, 10, 20], **note) for k in range(3)])
    assert opened(tmp_path)[0].read(1).boxes_valid.sum() == 3


@pytest.mark.parametrize(
    ("names", "lone"),
    [
        (["nose", "leftEye", "rigthEye"], "leftEye"),
        (["l_ear", "r_eye", "nose"], "l_ear, r_eye"),
        (["nose", "left_eye", "right_eye"], ""),
        (["lefteye", "righteye", "earleft"], "lefteye, righteye, earleft"),
        (["nose", "bright", "upright"], ""),
    ],
)
def test_sides_without_a_partner_are_noted(tmp_path, names, lone):
    points = {"keypoints": [5, 5, 2, 10, 10, 2, 15, 10, 2]}
    categories = [category | {"keypoints": names} for category in CATEGORIES]
    write(tmp_path, [box(1, 7, [1, 1, 20, 20], **points)], document={"categories": categories})
    (tmp_path / "annotations" / "instances_train2017.json").rename(
        tmp_path / "annotations" / "person_keypoints_train2017.json"
    )
    (source,) = opened(tmp_path, keypoints=True)
    notes = [note for note in source.notes() if "no partner" in note]
    assert len(notes) == bool(lone)
    assert all(f"the keypoints {lone} have" in note for note in notes)
