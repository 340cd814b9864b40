"""Frames that look at labels, and those that resize at random, against loops of the documented laws, slicing and Pillow."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy.stats import kstest, truncnorm

from augsvc.arrays import Sample
from augsvc.errors import SpecInvalid
from augsvc.numerics.geometry import Canvas
from augsvc.numerics.rng import Address
from augsvc.ops.drawing import draw_operations
from augsvc.ops.kinds.image import Sources
from augsvc.ops.pipeline import parse_pipeline
from tests.harness import agree, labelled, patch, photo, run

pytestmark = pytest.mark.usefixtures("each_executor")
BILINEAR = {"most": 1, "mean": 0.25}  # Pillow rounds between rows and columns
MIDDLE = {"shift": 0, "scale": 1, "degrees": 0}


@pytest.mark.parametrize(("scale", "base"), [(1.0, None), (2.5, None), (1.0, [90, 30]), (1.7, [60, 200])])
def test_a_jittered_scale_is_pillows_resize_then_slicing(scale, base):
    images = [patch("coffee", 20, 34, top=5 * k) for k in range(8)]
    stream = run([{"op": "scale_jitter", "scale": scale, "base": base}], images, size=[40, 48], aug_seed=2)
    fits = min(40 / 20, 48 / 34) if base is None else min(max(base) / 34, min(base) / 20)
    height, width = (int(side * fits * scale) for side in (20, 34))
    for position, shown in enumerate(stream.images()):
        draws = stream.draws(position)
        resized = np.asarray(Image.fromarray(images[position]).resize((width, height), Image.Resampling.BILINEAR))
        top, left = (int(draws[f"place_{axis}"] * (max(side - canvas, 0) + 1)) for axis, side, canvas in
                     (("y", height, 40), ("x", width, 48)))  # fmt: skip
        expected = np.zeros((40, 48, 3), np.uint8)
        crop = resized[top : top + 40, left : left + 48]
        expected[: crop.shape[0], : crop.shape[1]] = crop
        agree(shown, expected, **BILINEAR)


def test_zooming_out_places_the_source_pixel_for_pixel():
    images = [patch("coffee", 20, 30, top=5 * k) for k in range(12)]
    stream = run([{"op": "zoom_out", "side": 2, "fill": 0.4}], images, size=[40, 60])
    places = set()
    for position, shown in enumerate(stream.images()):
        draws = stream.draws(position)
        top, left = int(20 * draws["place_y"]), int(30 * draws["place_x"])
        expected = np.full((40, 60, 3), 102, np.uint8)
        expected[top : top + 20, left : left + 30] = images[position]
        np.testing.assert_array_equal(shown, expected)
        places.add((top, left))
    assert len(places) > 8


def test_zooming_out_keeps_the_shape_where_it_should():
    image = np.full((20, 40, 1), 255, np.uint8)
    stretched, kept = (
        run([{"op": "zoom_out", "side": 1, "shape": shape}], [image], size=[40, 40]).images()[0, :, :, 0]
        for shape in ("stretch", "keep")
    )
    assert (stretched == 255).all()
    assert (kept[10:30] == 255).all() and (kept[:10] == 0).all() and (kept[30:] == 0).all()


def test_every_shortest_side_is_equally_likely_and_the_longest_is_bounded():
    image = np.full((30, 50, 1), 255, np.uint8)
    step = {"op": "shortest_side", "pixels": [12, 18, 24, 60], "longest": 70}
    shown = run([step], [image] * 1200, size=[64, 80]).images()[..., 0] > 0
    sizes = np.stack((shown[:, :, 0].sum(axis=1), shown[:, 0].sum(axis=1)), axis=1)
    values, counts = np.unique(sizes, axis=0, return_counts=True)
    assert values.tolist() == [[12, 20], [18, 30], [24, 40], [42, 70]]
    assert abs(counts - 300).max() < 4 * np.sqrt(1200 * 0.25 * 0.75)


def masked(image, mask):
    return replace(labelled(image), mask=mask)


def test_a_mask_crop_takes_the_first_trial_without_a_dominant_class():
    random = np.random.default_rng(3)
    samples = []
    for _ in range(40):
        mask = np.zeros((60, 80), np.uint8)
        top, left = random.integers(0, 50), random.integers(0, 70)
        mask[top : top + 30, left : left + 30] = 1
        mask[:, : random.integers(1, 40)] = 255
        samples.append(masked(patch("coffee", 60, 80), mask))
    stream = run([{"op": "mask_crop", "scale": 1, "base": [80, 60]}], samples, size=[24, 32], aug_seed=5)
    shown, chosen = stream.batch()["mask"], []
    for position, sample in enumerate(samples):
        draws = stream.draws(position)
        for trial in range(10):
            top, left = int(draws["place_y"][trial] * 37), int(draws["place_x"][trial] * 49)
            crop = sample.mask[top : top + 24, left : left + 32]
            classes, counts = np.unique(crop[crop != 255], return_counts=True)
            if len(classes) > 1 and counts.max() / counts.sum() < 0.75:
                break
        np.testing.assert_array_equal(shown[position], crop)
        chosen.append(trial)
    assert len(set(chosen)) > 4 and chosen.count(9) > 2  # early, late, and none at all


def overlap(box, crop):
    """Intersection over union of two x1 y1 x2 y2."""
    width = min(box[2], crop[2]) - max(box[0], crop[0])
    height = min(box[3], crop[3]) - max(box[1], crop[1])
    common = max(width, 0) * max(height, 0)
    return common / ((box[2] - box[0]) * (box[3] - box[1]) + (crop[2] - crop[0]) * (crop[3] - crop[1]) - common)


def documented_crop(draws, sizes, boxes, overlaps, ratio=(0.5, 2.0)):
    """The crop x1 y1 x2 y2 that torchvision's RandomIoUCrop takes with these draws, and the minimum that it met."""
    height, width = sizes
    scale, place = (np.array(draws[name]).reshape(3, 40, 2) for name in ("scale", "place"))
    for round_, minimum in enumerate(draws["choice"]):
        assert minimum in overlaps
        if minimum >= 1:
            break
        for trial in range(40):
            h, w = int(height * scale[round_, trial, 0]), int(width * scale[round_, trial, 1])
            if h == 0 or not ratio[0] <= w / h <= ratio[1]:
                continue
            top, left = int((height - h) * place[round_, trial, 0]), int((width - w) * place[round_, trial, 1])
            crop = (left, top, left + w, top + h)
            inside = [b for b in boxes if left < (b[0] + b[2]) / 2 < crop[2] and top < (b[1] + b[3]) / 2 < crop[3]]
            if inside and max(overlap(b, crop) for b in inside) >= minimum:
                return crop, minimum
    return (0, 0, width, height), None


def test_an_iou_crop_is_the_documented_one():
    overlaps = [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0]
    boxes = np.array([[10, 10, 50, 40], [60, 20, 110, 75], [0, 0, 0, 0]], np.float32)
    image = np.zeros((80, 120, 3), np.uint8)
    image[..., 0], image[..., 1] = np.mgrid[:80, :120]
    sample = Sample(image, 0, boxes=boxes, box_labels=np.zeros(3, int), boxes_valid=np.array([True, True, False]))
    stream = run([{"op": "iou_crop", "overlaps": overlaps}], [sample] * 60, size=[16, 16], fit="stretch")
    met = []
    for position, shown in enumerate(stream.images()):
        crop, minimum = documented_crop(stream.draws(position), (80, 120), boxes[:2].tolist(), overlaps)
        box = (crop[0], crop[1], crop[2], crop[3])
        expected = Image.fromarray(image).resize((16, 16), Image.Resampling.BOX, box=box)
        agree(shown[..., :2], np.asarray(expected)[..., :2], most=3, mean=1.0)
        met.append(minimum)
    assert {0.0, 0.3, 0.7, None} <= set(met)


def test_an_iou_crop_without_boxes_is_the_whole_source():
    sample = replace(labelled(patch("coffee", 20, 30)), boxes_valid=np.zeros(1, bool))
    shown = run([{"op": "iou_crop", "overlaps": [0.1, 0.5]}], [sample] * 3, size=[20, 30]).images()
    np.testing.assert_array_equal(shown, np.stack([sample.image] * 3))


def person(points=None):
    """A sample with a box and 12 keypoints, the first six above."""
    if points is None:
        points = np.array([[60 + 4 * (k % 3), 30 + 6 * k] for k in range(12)])
    image = np.zeros((120, 160, 3), np.uint8)
    image[..., 0], image[..., 1] = np.mgrid[:120, :160]
    return Sample(
        image,
        0,
        boxes=np.array([[40, 20, 80, 100]], np.float32),
        box_labels=np.zeros(1, int),
        boxes_valid=np.ones(1, bool),
        keypoints=points.astype(np.float32),
        keypoints_valid=np.ones(len(points), bool),
    )


def test_an_instance_crop_shows_the_padded_box_in_the_canvas_shape():
    batch = run([{"op": "instance_crop", **MIDDLE}], [person()], size=[100, 60]).batch()
    # 80 × 1.25 = 100 rows from 10 on, and 60 columns about 60, from 30 on: pixel for pixel
    np.testing.assert_array_equal(batch["image"][0], person().image[10:110, 30:90])
    np.testing.assert_allclose(batch["boxes"][0, 0], [10, 10, 50, 90])
    np.testing.assert_allclose(batch["keypoints"][0], person().keypoints - [30, 10])


def test_an_instance_crop_turns_about_the_box():
    step = {"op": "instance_crop", **MIDDLE, "degrees": 90, "degrees_p": 1.0}
    shown = run([step], [person()], size=[60, 60]).images()[0]
    expected = np.rot90(person().image[10:110, 10:110])  # counter-clockwise, 100 pixels on 60
    small = np.asarray(Image.fromarray(np.ascontiguousarray(expected)).resize((60, 60), Image.Resampling.BOX))
    agree(shown[4:-4, 4:-4, :2], small[4:-4, 4:-4, :2], most=2, mean=1.0)


def test_half_a_body_is_the_hull_of_its_keypoints():
    step = {"op": "instance_crop", **MIDDLE, "upper_body": list(range(6)), "half_body_p": 1.0}
    points = person().keypoints
    stream = run([step], [person()] * 200, size=[80, 60])
    moved, valid = stream.batch()["keypoints"], stream.batch()["keypoints_valid"]
    halves = {"upper": points[:6], "lower": points[6:]}
    count = {"upper": 0, "lower": 0}
    for row in range(200):
        for name, half in halves.items():
            height = (half[:, 1].max() - half[:, 1].min()) * 1.5
            width = max((half[:, 0].max() - half[:, 0].min()) * 1.5, height * 60 / 80)
            expected = (points - half.mean(axis=0)) * 60 / width + [30, 40]
            count[name] += bool(np.allclose(moved[row][valid[row]], expected[valid[row]], atol=1e-3))
    assert sum(count.values()) == 200
    assert abs(count["upper"] - 140) < 4 * np.sqrt(200 * 0.7 * 0.3)
    few = replace(person(), keypoints_valid=np.arange(12) < 8)
    whole = run([step], [few], size=[80, 60]).batch()["boxes"][0, 0]
    np.testing.assert_allclose(
        whole, run([{"op": "instance_crop", **MIDDLE}], [few], size=[80, 60]).batch()["boxes"][0, 0]
    )


def test_the_law_of_an_instance_crop_is_a_truncated_normal():
    stream = run([{"op": "instance_crop"}], [person()] * 400, size=[8, 6])
    draws = [stream.draws(position) for position in range(400)]
    for name, low, high in (("scale", 0.5, 1.5), ("degrees", -80, 80)):
        values = (np.array([draw[name] for draw in draws]) - (low + high) / 2) / ((high - low) / 2)
        assert kstest(values, truncnorm(-1, 1).cdf).pvalue > 1e-3
        assert abs(values).max() <= 1


def test_a_sample_without_a_box_is_shown_whole():
    sample = replace(person(), boxes_valid=np.zeros(1, bool))
    shown = run([{"op": "instance_crop", **MIDDLE}], [sample], size=[120, 160]).images()[0]
    np.testing.assert_array_equal(shown, sample.image)


class Ended(Exception):
    """Raised by a check."""


def end():
    raise Ended


def test_frames_that_look_at_many_labels_can_be_cancelled_and_hold_little():
    random = np.random.default_rng(0)
    corners = random.uniform(0, 60, (1, 200_000, 2))
    boxes = np.concatenate((corners, corners + 1e-3), axis=2)  # no crop overlaps one of them by 0.9
    many = Sources(np.array([[64, 64]]), boxes=boxes, boxes_valid=np.ones((1, 200_000), bool), check=end)
    masks = Sources(np.array([[64, 64]]), masks=[np.zeros((64, 64), np.uint8)], check=end)
    for step, sources in (({"op": "iou_crop", "overlaps": [0.9]}, many), ({"op": "mask_crop"}, masks)):
        pipeline = parse_pipeline([step])
        draw = draw_operations(pipeline, [77], 5, Address(np.arange(1), 0, 0))[0]
        with pytest.raises(Ended):
            pipeline[0].matrix(draw, sources, Canvas(8, 8, 3))
    calls = []
    tracemalloc.start()
    pipeline = parse_pipeline([{"op": "iou_crop", "overlaps": [0.9]}])
    draw = draw_operations(pipeline, [77], 5, Address(np.arange(1), 0, 0))[0]
    pipeline[0].matrix(draw, replace(many, check=lambda: calls.append(1)), Canvas(8, 8, 3))
    assert len(calls) > 100 and tracemalloc.get_traced_memory()[1] < 40 << 20  # of boxes alone 6.4 MB
    tracemalloc.stop()


def test_a_large_mask_is_counted_in_part():
    mask = np.zeros((3000, 3000), np.uint8)
    mask[:, 1500:] = 1
    sample = masked(np.zeros((3000, 3000, 1), np.uint8), mask)
    shown = run([{"op": "mask_crop", "scale": 1, "max_fraction": 0.6}], [sample], size=[8, 8]).batch()["mask"][0]
    assert np.unique(shown).tolist() == [0, 1]


def test_with_a_fraction_of_one_the_first_trial_is_taken():
    samples = [masked(patch("coffee", 60, 80), np.zeros((60, 80), np.uint8))] * 8
    fields = {"size": [24, 32], "aug_seed": 5}
    step = {"op": "mask_crop", "scale": 1, "base": [80, 60]}
    stream = run([{**step, "max_fraction": 1.0}], samples, **fields)
    for position, shown in enumerate(stream.images()):
        top, left = (int(stream.draws(position)[f"place_{axis}"][0] * most) for axis, most in (("y", 37), ("x", 49)))
        np.testing.assert_array_equal(shown, samples[0].image[top : top + 24, left : left + 32])


@pytest.mark.parametrize(("op", "label"), [("mask_crop", "mask"), ("iou_crop", "boxes"), ("instance_crop", "boxes")])
def test_a_frame_without_its_labels_is_refused_by_name(op, label):
    samples = [Sample(photo("coffee"), 0)]
    with pytest.raises(
        SpecInvalid, match=f"{op} looks at the {label} of each sample, and this dataset has none"
    ) as err:
        run([{"op": op}], samples, size=[8, 8])
    assert err.value.field == "pipeline.0.op"


BAD = [
    ({"op": "scale_jitter", "scale": [2, 1]}, "scale"),
    ({"op": "scale_jitter", "base": [10]}, "base"),
    ({"op": "scale_jitter", "base": [10, 0]}, "base"),
    ({"op": "mask_crop", "max_fraction": 0}, "max_fraction"),
    ({"op": "mask_crop", "ignore": 256}, "ignore"),
    ({"op": "zoom_out", "side": 0.5}, "side"),
    ({"op": "zoom_out", "shape": "cover"}, "shape"),
    ({"op": "shortest_side", "pixels": []}, "pixels"),
    ({"op": "shortest_side", "pixels": [0]}, "pixels"),
    ({"op": "shortest_side", "pixels": list(range(1, 99))}, "pixels"),
    ({"op": "iou_crop", "overlaps": [1.5]}, "overlaps"),
    ({"op": "iou_crop", "overlaps": []}, "overlaps"),
    ({"op": "iou_crop", "overlaps": ["0.5"]}, "overlaps"),
    ({"op": "iou_crop", "ratio": [1, True]}, "ratio"),
    ({"op": "instance_crop", "padding": "1.25"}, "padding"),
    ({"op": "iou_crop", "ratio": [2.0, 0.5]}, ""),
    ({"op": "instance_crop", "half_body_p": 2}, "half_body_p"),
    ({"op": "instance_crop", "upper_body": [-1]}, "upper_body"),
]


@pytest.mark.parametrize(("step", "field"), BAD, ids=str)
def test_a_wrong_field_is_refused_by_name(step, field):
    with pytest.raises(SpecInvalid) as refused:
        parse_pipeline([step])
    assert refused.value.field.startswith(f"pipeline.0.{field}".rstrip("."))
