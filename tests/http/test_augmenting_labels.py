"""Labels under other names and in other forms move with the pixels, or are refused."""

from contextlib import ExitStack

import numpy as np
import pytest
import torch

from augsvc_client import AugmentingDataLoader, RequestRefused, pack_masks, unpack_masks

FLIP = [{"op": "horizontal_flip", "p": 1.0}]
BRIGHT = [{"op": "color_jitter", "brightness": [0.9, 1.1]}]
N, H, W = 4, 10, 12


@pytest.fixture
def augment(server):
    """The first batch of a loader over one batch."""
    with ExitStack() as stack:

        def build(batch, **more):
            arguments = {"pipeline": FLIP, "scale": None, "wait_s": 60, **more}
            return next(iter(stack.enter_context(AugmentingDataLoader([batch], server.url, **arguments))))

        yield build


def images(n=N, height=H, width=W):
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (n, height, width, 3), dtype=np.uint8))


def masks(n=N, height=H, width=W, most=4):
    return torch.from_numpy(np.random.default_rng(1).integers(0, most, (n, height, width), dtype=np.uint8))


def flipped(boxes, width=W):
    return torch.stack([width - boxes[..., 2], boxes[..., 1], width - boxes[..., 0], boxes[..., 3]], dim=-1)


BOXES = torch.tensor([[1.0, 2.0, 5.0, 6.0], [3.0, 3.0, 9.0, 8.0]]).expand(N, 2, 4)


@pytest.mark.parametrize("name", ["mask", "masks", "Mask", "segmentation", "seg_mask"])
def test_a_mask_under_another_name_moves(augment, name):
    batch = augment({"image": images(), name: masks()})
    assert torch.equal(batch[name], masks().flip(2))
    assert torch.equal(batch["image"], images().permute(0, 3, 1, 2).flip(3))


def test_a_mask_with_an_axis_of_one_channel_keeps_it(augment):
    assert torch.equal(augment({"image": images(), "mask": masks()[:, None]})["mask"], masks()[:, None].flip(3))
    assert torch.equal(augment({"image": images(), "mask": masks()[..., None]})["mask"], masks()[..., None].flip(2))


@pytest.mark.parametrize("name", ["bboxes", "bbox", "BBoxes", "box"])
def test_boxes_under_another_name_move_in_the_named_format(augment, name):
    batch = augment({"image": images(), name: BOXES}, box_format="xyxy")
    assert torch.equal(batch[name], flipped(BOXES))
    assert batch[f"{name}_valid"].all()
    corner_size = torch.cat([BOXES[..., :2], BOXES[..., 2:] - BOXES[..., :2]], dim=-1)
    moved = augment({"image": images(), name: corner_size}, box_format="xywh")[name]
    assert torch.equal(torch.cat([moved[..., :2], moved[..., :2] + moved[..., 2:]], dim=-1), flipped(BOXES))
    both = augment({"image": images(), "boxes": BOXES}, box_format="xywh")
    assert torch.equal(both["boxes"], flipped(BOXES))  # the name says which format it has
    with pytest.raises(ValueError, match="box_format"):
        augment({"image": images(), name: BOXES})


def test_one_box_for_each_sample(augment):
    batch = augment({"image": images(), "box": BOXES[:, 0]}, box_format="xyxy")
    assert torch.equal(batch["box"], flipped(BOXES[:, 0]))
    assert batch["box_valid"].tolist() == [True] * N


def test_boxes_as_fractions_of_the_image_are_refused(augment):
    with pytest.raises(ValueError, match="in pixels"):
        augment({"image": images(), "boxes": BOXES / 12})


def test_keypoints_with_visibility(augment):
    points = torch.tensor([[[2.0, 3.0, 2.0], [4.0, 4.0, 0.0], [1.0, 1.0, 1.0]]]).repeat(N, 1, 1)
    moved = augment({"image": images(), "landmarks": points})["landmarks"]
    assert torch.equal(moved[..., 2], points[..., 2])
    assert torch.equal(moved[:, [0, 2], 0], W - points[:, [0, 2], 0])


def test_a_mapping_of_stacked_labels(augment):
    target = {"boxes": BOXES, "labels": torch.ones(N, 2), "inner": {"masks": masks()}, "name": ["a"] * N}
    moved = augment({"image": images(), "target": target})["target"]
    assert torch.equal(moved["boxes"], flipped(BOXES))
    assert torch.equal(moved["inner"]["masks"], masks().flip(2))
    assert torch.equal(moved["labels"], target["labels"])
    assert moved["name"] == target["name"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("depth", torch.zeros(N, H, W)),
        ("flow", np.zeros((N, 2, H, W))),
        ("heatmaps", torch.zeros(N, 5, H // 2, W // 2)),
        ("points", torch.zeros(N, 7, 2)),
        ("polygons", [[[1, 2], [3, 4]]] * N),
        ("centers", torch.zeros(N, 2)),
        ("rotated", [torch.zeros(m, 5) for m in (1, 2, 3, 4)]),
        ("label", torch.zeros(N, H, W)),
        ("extra", {"normals": torch.zeros(N, 3, H, W)}),
    ],
)
def test_what_looks_geometric_is_refused_unless_named(augment, name, value):
    key = "normals" if name == "extra" else name
    with pytest.raises(ValueError, match=f"passthrough=.'{key}'"):
        augment({"image": images(), name: value})
    kept = augment({"image": images(), name: value}, passthrough=(key,))[name]
    assert kept is value or kept["normals"] is value["normals"]
    assert augment({"image": images(), name: value}, pipeline="none")[name] is not None
    assert augment({"image": images(), name: value}, pipeline=BRIGHT)[name] is not None


def test_what_does_not_look_geometric_passes(augment):
    rest = {"tokens": torch.zeros(N, 9), "attention_mask": torch.ones(N, 9), "path": ["a"] * N, "weight": [0.5] * N}
    rest["empty"], rest["numbered"] = {}, {0: "b", 1: {2: ["a"] * N}}
    batch = augment({"image": images(), **rest})
    assert batch.pop("numbered") == rest.pop("numbered")
    assert all(batch[name] is value for name, value in rest.items())


def test_two_fields_of_one_kind_are_refused(augment):
    with pytest.raises(ValueError, match="mask and segmentation"):
        augment({"image": images(), "mask": masks(), "segmentation": masks()})


def torchvision_target(count, height=H, width=W):
    rng = np.random.default_rng(count)
    corner = rng.integers(0, 4, (count, 2))
    boxes = torch.from_numpy(np.concatenate([corner, corner + rng.integers(2, 5, (count, 2))], 1)).float()
    return {
        "boxes": boxes,
        "labels": torch.arange(count),
        "masks": torch.from_numpy(rng.integers(0, 2, (count, height, width), dtype=np.uint8)),
        "area": (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]),
        "iscrowd": torch.zeros(count, dtype=torch.int64),
        "image_id": torch.tensor([count]),
    }


def test_torchvisions_targets_with_images_of_several_sizes(augment):
    sizes = [(10, 12), (8, 9), (10, 12), (8, 9)]
    counts = [2, 0, 9, 1]
    given = [images(1, *size)[0].permute(2, 0, 1) for size in sizes]
    targets = [torchvision_target(count, *size) for count, size in zip(counts, sizes, strict=True)]
    batch = augment((tuple(given), tuple(targets)), fields=("image", "target"), layout="NCHW")
    assert [tuple(image.shape) for image in batch["image"]] == [(3, *size) for size in sizes]
    for (_, width), before, moved in zip(sizes, targets, batch["target"], strict=True):
        assert moved.keys() == before.keys()
        assert torch.equal(moved["boxes"], flipped(before["boxes"], width))
        assert torch.equal(moved["masks"], before["masks"].flip(2))
        for name in ("labels", "iscrowd", "image_id"):
            assert torch.equal(moved[name], before[name])
        torch.testing.assert_close(moved["area"], before["area"])
    assert all(torch.equal(a, b.flip(2)) for a, b in zip(batch["image"], given, strict=True))


def test_masks_of_objects_come_with_another_mask_and_without_boxes(augment):
    own = [torchvision_target(count) for count in (9, 2)]
    batch = augment({"image": images(2), "mask": masks(2), "target": own})
    assert torch.equal(batch["mask"], masks(2).flip(2))
    targets = [{"masks": target["masks"]} for target in own]
    alone = augment({"image": images(2), "target": targets})["target"]
    for before, moved, without in zip(own, batch["target"], alone, strict=True):
        assert torch.equal(moved["masks"], before["masks"].flip(2)) and torch.equal(moved["masks"], without["masks"])
    with pytest.raises(ValueError, match="give all targets of a batch boxes"):
        augment({"image": images(2), "target": [own[0], targets[1]]})


def test_planes_of_masks_are_sent_as_they_are(augment):
    target = torchvision_target(9)
    bits = torch.from_numpy(pack_masks(target["masks"].numpy()))[None]
    batch = augment({"image": images(1), "boxes": target["boxes"][None], "mask_bits": bits})
    assert torch.equal(unpack_masks(batch["mask_bits"], range(9))[0], target["masks"].flip(2))
    with pytest.raises(RequestRefused, match="2 planes for 9 boxes"):
        augment({"image": images(1), "boxes": target["boxes"][None], "mask_bits": bits[:, :1]})


def test_an_object_that_leaves_the_image_leaves_the_target(augment):
    shift = [{"op": "affine", "degrees": 0, "scale": 1, "translate_x": 0.5, "translate_y": 0}]
    target = {"boxes": torch.tensor([[0.0, 0, 4, 4], [8, 1, 11, 5]]), "labels": torch.tensor([5, 6])}
    moved = augment({"image": images(1), "target": [target]}, pipeline=shift)["target"][0]
    assert moved["labels"].tolist() == [5]
    torch.testing.assert_close(moved["boxes"], torch.tensor([[6.0, 0, 10, 4]]))


def test_cocos_annotations(augment):
    annotation = {"bbox": [1.0, 2.0, 4.0, 3.0], "category_id": 7, "area": 12.0, "keypoints": [2.0, 3.0, 2, 0, 0, 0]}
    polygons = {"segmentation": [[1, 2, 5, 2, 5, 5]]}
    batch = {"image": images(2), "target": [[annotation], []]}
    moved, empty = augment(batch)["target"]
    assert empty == []
    assert moved == [{**annotation, "bbox": [W - 5.0, 2.0, 4.0, 3.0], "keypoints": [W - 2.0, 3.0, 2, 0, 0, 0]}]
    with pytest.raises(ValueError, match=r"passthrough=.'segmentation'"):
        augment({"image": images(1), "target": [[{**annotation, **polygons}]]})
    kept = augment({"image": images(1), "target": [[{**annotation, **polygons}]]}, passthrough=("segmentation",))
    assert kept["target"][0][0]["segmentation"] == polygons["segmentation"]


def test_left_and_right_keypoints_trade_places_in_mirrored_images(augment):
    """With their visibilities; each object has its own."""
    points = torch.tensor([[[2.0, 3, 2], [4, 4, 0], [1, 1, 1]]]).repeat(N, 1, 1)
    moved = augment({"image": images(), "landmarks": points}, flip_pairs=np.array([[1, 2]]))
    expected = points[:, [0, 2, 1]] * torch.tensor([-1.0, 1, 1]) + torch.tensor([float(W), 0, 0])
    expected[:, 2, :2] = 0  # it is not visible, so it is nowhere
    assert torch.equal(moved["landmarks"], expected)
    assert moved["landmarks_valid"].tolist() == [[True, True, False]] * N
    assert "keypoint_rows" not in moved
    kept = augment({"image": images(), "landmarks": points}, flip_pairs=[[1, 2]], pipeline="none")["landmarks"]
    assert torch.equal(kept[..., 2], points[..., 2])


def test_each_object_of_a_target_swaps_its_own_keypoints(augment):
    objects = torch.tensor([[[1.0, 1, 2], [2, 2, 1]], [[5, 6, 1], [7, 8, 0]]])
    target = {"boxes": torch.tensor([[0.0, 0, 3, 3], [4, 5, 8, 9]]), "keypoints": objects}
    none = {"boxes": torch.zeros(0, 4), "keypoints": torch.zeros(0, 2, 3)}
    moved, empty = augment({"image": images(2), "target": [target, none]}, flip_pairs=[(0, 1)])["target"]
    assert moved["keypoints"].tolist() == [[[W - 2, 2, 1], [W - 1, 1, 2]], [[0, 0, 0], [W - 5, 6, 1]]]
    assert empty["keypoints"].shape == (0, 2, 3)
    annotation = {"bbox": [0.0, 0, 3, 3], "keypoints": [1.0, 1, 2, 2, 2, 1]}
    (coco,), nothing = augment({"image": images(2), "target": [[annotation], []]}, flip_pairs=[(0, 1)])["target"]
    assert (coco["keypoints"], nothing) == ([W - 2, 2, 1, W - 1, 1, 2], [])
    without = augment({"image": images(1), "target": [[]]}, flip_pairs=[(0, 1)])  # no object in the whole batch
    assert without["target"] == [[]]


def test_pairs_of_keypoints_beside_sound_are_refused(augment):
    with pytest.raises(RequestRefused, match="flip_pairs does not apply to audio"):
        augment({"audio": np.zeros((2, 800), np.float32)}, pipeline="none", flip_pairs=[(0, 1)])


def test_images_of_several_sizes_on_one_canvas(augment):
    given = [images(1, *size)[0] for size in ((10, 12), (8, 9), (10, 12))]
    labels = [torch.zeros(*size, dtype=torch.uint8) for size in ((10, 12), (8, 9), (10, 12))]
    batch = augment({"image": given, "masks": labels, "label": [1, 2, 3]}, size=(6, 6))
    assert batch["image"].shape == (3, 3, 6, 6)
    assert batch["masks"].shape == (3, 6, 6)
    assert batch["label"].tolist() == [1, 2, 3]
    assert batch["index"].tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="given twice"):
        augment({"image": given, "id": [1, 1, 2]}, index_key="id")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ([{"bbox": torch.zeros(1, 4)}], "passthrough|boxes"),
        ([{"boxes": torch.zeros(1, 4), "masks": torch.zeros(2, H, W)}], "one entry for each object"),
        ([[{"bbox": [1, 2, 3, 4, 5]}]], "COCO"),
        ([{"boxes": torch.zeros(1, 4), "depth": torch.zeros(H, W)}], "passthrough=.'depth'"),
    ],
)
def test_targets_that_cannot_be_read(augment, target, message):
    with pytest.raises(ValueError, match=message):
        augment({"image": images(1), "target": target})
