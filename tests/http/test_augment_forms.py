"""`Client.augment` takes the names and forms that AugmentingDataLoader takes, and returns arrays in these forms."""

import numpy as np
import pytest
import torch

FLIP = [{"op": "horizontal_flip", "p": 1.0}]
N, H, W = 4, 10, 12
INDEX = np.arange(N) * 3 + 1
SIZES = [(10, 12), (8, 9), (10, 12), (8, 9)]


@pytest.fixture
def augment(server):
    with server.client() as client:
        yield lambda fields, pipeline=FLIP, **more: client.augment(fields, pipeline=pipeline, **more).arrays


def images(n=N, height=H, width=W):
    return np.random.default_rng(0).integers(0, 256, (n, height, width, 3), dtype=np.uint8)


def masks(n=N, height=H, width=W):
    return np.random.default_rng(1).integers(0, 4, (n, height, width), dtype=np.uint8)


BOXES = np.array([[[1, 2, 5, 6], [3, 3, 9, 8]]] * N, np.float32)
POINTS = np.array([[[2, 3, 2], [4, 4, 0], [1, 1, 1]]] * N, np.float32)
CORNER_SIZE = np.concatenate((BOXES[..., :2], BOXES[..., 2:] - BOXES[..., :2]), axis=2)


def flipped(boxes, width=W):
    return np.stack((width - boxes[..., 2], boxes[..., 1], width - boxes[..., 0], boxes[..., 3]), axis=-1)


@pytest.mark.parametrize(
    ("fields", "options", "expected"),
    [
        ({"masks": masks()}, {}, {"masks": masks()[:, :, ::-1]}),
        ({"Segmentation": masks()[:, None].astype(np.int64)}, {}, {"Segmentation": masks()[:, None, :, ::-1]}),
        ({"bboxes": BOXES}, {"box_format": "xyxy"}, {"bboxes": flipped(BOXES), "bboxes_valid": np.ones((N, 2), bool)}),
        ({"bbox": CORNER_SIZE}, {"box_format": "xywh"}, {"bbox": np.stack(
            (W - BOXES[..., 2], BOXES[..., 1], CORNER_SIZE[..., 2], CORNER_SIZE[..., 3]), axis=-1)}),
        ({"box": BOXES[:, 0].astype(np.float64)}, {"box_format": "xyxy"}, {"box": flipped(BOXES[:, 0])}),
        ({"landmarks": POINTS}, {}, {"landmarks": np.stack(
            (np.where(POINTS[..., 2] > 0, W - POINTS[..., 0], 0), np.where(POINTS[..., 2] > 0, POINTS[..., 1], 0),
             POINTS[..., 2]), axis=-1)}),
        ({"boxes": torch.from_numpy(BOXES)}, {}, {"boxes": flipped(BOXES)}),
        ({"target": {"boxes": BOXES, "masks": masks()}}, {}, {"target": {"boxes": flipped(BOXES)}}),
        ({"name": ["a"] * N, "weight": np.ones(N), "label": np.arange(N)}, {}, {"name": ["a"] * N, "weight": np.ones(N)}),
        ({"depth": np.zeros((N, H, W))}, {"passthrough": ("depth",)}, {"depth": np.zeros((N, H, W))}),
    ],
)  # fmt: skip
def test_other_names_and_forms(augment, fields, options, expected):
    result = augment({"image": images(), "index": INDEX, **fields}, **options)
    assert (result["image"] == images().transpose(0, 3, 1, 2)[..., ::-1]).all()
    assert (result["index"] == INDEX).all()
    compare(result, expected)


def compare(result, expected):
    for name, value in expected.items():
        if isinstance(value, dict):
            compare(result[name], value)
        elif isinstance(value, np.ndarray):
            assert isinstance(result[name], np.ndarray)
            np.testing.assert_array_equal(result[name], value)
        else:
            assert result[name] is value or result[name] == value


def test_floats_and_channels_first(augment):
    given = {"image": (images() / 255).astype(np.float32).transpose(0, 3, 1, 2), "index": INDEX.astype(np.int32)}
    assert (augment(given, layout="NCHW")["image"] == given_flipped(images())).all()


def given_flipped(pixels):
    return pixels.transpose(0, 3, 1, 2)[..., ::-1]


def target(count, height, width):
    rng = np.random.default_rng(count)
    corner = rng.integers(0, 4, (count, 2))
    boxes = np.concatenate([corner, corner + rng.integers(2, 5, (count, 2))], 1).astype(np.float32)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    binary = rng.integers(0, 2, (count, height, width), dtype=np.uint8)
    return {"boxes": boxes, "labels": np.arange(count), "masks": binary, "area": area}


def test_images_of_several_sizes_with_torchvisions_targets(augment):
    given = [images(1, *size)[0] for size in SIZES]
    targets = [target(count, *size) for count, size in zip([2, 0, 9, 1], SIZES, strict=True)]
    result = augment({"image": given, "target": targets, "index": INDEX})
    assert isinstance(result["image"], list)
    for image, before, moved, own in zip(result["image"], targets, result["target"], given, strict=True):
        assert (image == own.transpose(2, 0, 1)[..., ::-1]).all()
        compare(moved, {
            "boxes": flipped(before["boxes"], own.shape[1]), "masks": before["masks"][..., ::-1],
            "labels": before["labels"], "area": before["area"],
        })  # fmt: skip
    assert result["index"].tolist() == INDEX.tolist()


def test_a_sample_is_the_same_in_any_company(augment):
    """The draws are keyed by the index, so images of other sizes in the call change nothing."""
    given = [images(1, *size)[0] for size in SIZES]
    whole = augment({"image": given, "index": INDEX}, pipeline="strong", aug_seed=4)["image"]
    for row, image in enumerate(given):
        alone = augment({"image": image[None], "index": INDEX[row : row + 1]}, pipeline="strong", aug_seed=4)
        assert alone["image"][0].tobytes() == whole[row].tobytes()


def test_a_list_stays_a_list_unless_there_is_one_canvas(augment):
    same = list(images())
    result = augment({"image": same, "mask": list(masks()), "index": INDEX})
    assert isinstance(result["image"], list) and isinstance(result["mask"], list)
    assert (np.stack(result["mask"]) == masks()[..., ::-1]).all()
    several = {"image": [images(1, *size)[0] for size in SIZES], "index": INDEX}
    assert augment(several, size=(6, 6))["image"].shape == (N, 3, 6, 6)


def test_cocos_annotations(augment):
    annotation = {"bbox": [1.0, 2.0, 4.0, 3.0], "category_id": 7, "area": 12.0, "keypoints": [2.0, 3.0, 2, 0, 0, 0]}
    moved = augment({"image": images(2), "target": [[annotation], []], "index": INDEX[:2]})["target"]
    expected = {**annotation, "bbox": [W - 5.0, 2.0, 4.0, 3.0], "keypoints": [W - 2.0, 3.0, 2, 0, 0, 0]}
    assert moved == [[expected], []]


def test_clips_of_several_lengths(augment):
    clips = [np.random.default_rng(n).normal(0, 0.2, n).astype(np.float32) for n in (400, 300, 400)]
    padded = np.zeros((3, 400), np.float32)
    for row, clip in zip(padded, clips, strict=True):
        row[: len(clip)] = clip
    given = {"index": INDEX[:3], "name": ["a", "b", "c"]}
    result = augment({"audio": clips, **given}, pipeline="sound")["audio"]
    whole = augment({"audio": padded, "length": [400, 300, 400], **given}, pipeline="sound")
    assert isinstance(result, list) and whole["length"].tolist() == [400, 300, 400]
    for row, clip in enumerate(result):
        assert whole["audio"][row, : len(clip)].tobytes() == clip.tobytes()
        assert not whole["audio"][row, len(clip) :].any()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"depth": np.zeros((N, H, W))}, r"passthrough=.'depth'"),
        ({"bboxes": BOXES}, "box_format"),
        ({"mask": masks(), "masks": masks()}, "passthrough="),
        ({"image": images().astype(np.int16)}, "uint8"),
        ({"image": [images(1, *size)[0] for size in SIZES], "index": INDEX * 0}, "given twice"),
        ({"index": None}, "index is None"),
        ({"image": [images(1, *size)[0] for size in SIZES], "index": INDEX[:3]}, "one row for each sample: index"),
        ({"image": [images(1, *size)[0] for size in SIZES], "label": [1] * 5}, "one row for each sample: label"),
        ({"image": [images(1, *size)[0] for size in SIZES], "keypoints": [np.ones((m, 2)) for m in (1, 2, 1, 3)]},
         "keypoints cannot be one array"),
        ({"audio": np.zeros((N, 9), np.float32), "name": []}, "exactly one"),
    ],
)  # fmt: skip
def test_what_cannot_be_augmented_is_refused_with_its_cure(augment, fields, message):
    with pytest.raises(ValueError, match=message):
        augment({"image": images(), "index": INDEX, **fields})


def test_images_of_one_and_three_channels_are_a_list_but_not_one_array(augment):
    given = {"image": [images(1)[0], images(1)[0, ..., :1]], "index": INDEX[:2]}
    assert [len(image) for image in augment(given)["image"]] == [3, 1]
    with pytest.raises(ValueError, match="number of channels"):
        augment(given, size=(6, 6))


def test_a_still_pipeline_moves_nothing(augment):
    depth = np.zeros((N, H, W))
    result = augment({"image": images(), "depth": depth, "index": INDEX}, pipeline=[{"op": "gamma"}])
    assert result["depth"] is depth
