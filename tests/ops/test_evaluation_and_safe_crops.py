"""Five crops against slicing, crop and pad against NumPy, and crops that lose no box."""

import numpy as np
import pytest
from PIL import Image

from augsvc.arrays import Sample
from tests.harness import agree, patch, photo, run

pytestmark = pytest.mark.usefixtures("each_executor")


def five_slices(image, size):
    """torchvision's FiveCrop, by slicing."""
    height, width = image.shape[:2]
    middle = round((height - size) / 2), round((width - size) / 2)
    corners = [(0, 0), (0, width - size), (height - size, 0), (height - size, width - size), middle]
    return [image[top : top + size, left : left + size] for top, left in corners]


def test_five_crops_are_slices_and_ten_have_their_mirror_images():
    image = patch("coffee", 41, 61)
    stream = run([{"op": "five_crop", "flip": True}], [image], size=[32, 32], views=10)
    batch = stream.batch()
    for view, expected in enumerate(five_slices(image, 32)):
        np.testing.assert_array_equal(batch[f"image{view or ''}"][0], expected)
        np.testing.assert_array_equal(batch[f"image{view + 5}"][0], expected[:, ::-1])
    turns = run([{"op": "five_crop"}], [image], size=[32, 32], views=10).batch()
    np.testing.assert_array_equal(turns["image7"], turns["image2"])


def test_five_crops_of_a_resized_image_are_pillows():
    batch = run([{"op": "five_crop", "pixels": 256}], [photo("coffee")], size=[224, 224], views=5).batch()
    resized = np.asarray(Image.fromarray(photo("coffee")).resize((384, 256), Image.Resampling.BILINEAR))
    for view, expected in enumerate(five_slices(resized, 224)):
        assert abs(batch[f"image{view or ''}"][0].astype(int) - expected).mean() < 1.5


def test_five_crops_of_a_small_source_are_padded():
    images = run([{"op": "five_crop", "fill": 0.5}], [np.zeros((20, 40, 1), np.uint8)], size=[32, 32], views=5).batch()
    assert [int((images[f"image{view or ''}"] == 128).sum()) for view in range(5)] == [12 * 32] * 5


def test_crop_and_pad_is_numpys_pad_and_slicing():
    images = [patch("coffee", 40, 60, top=5 * k) for k in range(20)]
    step = {"op": "crop_and_pad", "percent": [-0.3, 0.4], "border": "edge"}
    stream, changed = run([step], images, size=[80, 120]), set()
    for position, shown in enumerate(stream.images()):
        sides = [side * length for side, length in zip(stream.draws(position)["percent"], (40, 60) * 2, strict=True)]
        top, right, bottom, left = (int(side) for side in sides)
        padded = np.pad(images[position], ((40, 40), (60, 60), (0, 0)), "edge")
        crop = padded[40 - top : 80 + bottom, 60 - left : 120 + right]
        expected = np.asarray(Image.fromarray(crop).resize((120, 80), Image.Resampling.BILINEAR))
        inner = slice(4, -4), slice(4, -4)  # Pillow repeats the crop's edge, a frame interpolates with what is around
        if min(crop.shape[0] / 80, crop.shape[1] / 120) <= 1:
            agree(shown[inner], expected[inner], most=12, mean=1.0)
        changed.add((top, left))
    assert len(changed) > 10


def boxed(row):
    rng = np.random.default_rng(row)
    corners = rng.uniform(0, 1, (3, 2, 2)) * [60, 40]
    boxes = np.concatenate((corners.min(axis=1), corners.max(axis=1)), axis=1).astype(np.float32)
    valid = np.array([True, True, False]) if row else np.zeros(3, bool)
    return Sample(patch("coffee", 40, 60), 0, boxes=boxes, boxes_valid=valid, box_labels=np.zeros(3, int))


def test_a_safe_crop_loses_no_box():
    samples = [boxed(row) for row in range(60)]
    stream = run([{"op": "box_safe_crop"}], samples, size=[40, 60])
    batch, crops = stream.batch(), []
    assert not batch["boxes_valid"][0].any() and batch["boxes_valid"][1:, :2].all()
    np.testing.assert_array_equal(batch["image"][0], samples[0].image)
    for row in range(1, 60):
        source, moved = samples[row].boxes[:2], batch["boxes"][row, :2]
        scale = (moved[:, 2:] - moved[:, :2]) / (source[:, 2:] - source[:, :2])
        np.testing.assert_allclose(scale[0], scale[1], rtol=1e-2)  # nothing of either is clipped
        crops.append(1 / scale[0])
    assert np.min(crops) < 0.9 and np.max(crops) <= 1.001


def test_an_eroded_safe_crop_cuts_boxes_at_the_rim():
    samples = [boxed(row) for row in range(1, 60)]
    eroded = run([{"op": "box_safe_crop", "erosion": 0.8}], samples, size=[40, 60]).batch()
    whole = run([{"op": "box_safe_crop"}], samples, size=[40, 60]).batch()
    touching = [((b["boxes"][:, :2] <= 0) | (b["boxes"][:, :2] >= [60, 40, 60, 40])).sum() for b in (eroded, whole)]
    assert touching[0] > 2 * touching[1]
