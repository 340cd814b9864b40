"""The painted scenes: what the labels say, read back from the pixels alone."""

import hashlib

import numpy as np
import pytest

from augsvc.data.builtin.shapes import Shapes
from augsvc.data.cache import DecodedCache

TRAIN = Shapes("train")
INDICES = range(0, 3000, 7)


def painted(image):
    """The pixels brighter than any background, by their strongest channel."""
    return image.max(axis=2) >= 144


def dots(image):
    return (image == 255).all(axis=2)


def rows_of(sample):
    return np.flatnonzero(sample.boxes_valid)


def window(array, box):
    x1, y1, x2, y2 = box.astype(int)
    return array[y1:y2, x1:x2]


def test_the_mask_is_what_is_painted():
    for index in INDICES:
        sample = TRAIN.read(index)
        np.testing.assert_array_equal(sample.mask > 0, painted(sample.image))


def test_boxes_are_tight_disjoint_and_of_their_class():
    for index in INDICES:
        sample = TRAIN.read(index)
        rest = sample.mask.copy()
        for row in rows_of(sample):
            inside = window(sample.mask, sample.boxes[row])
            own = inside == sample.box_labels[row] + 1
            np.testing.assert_array_equal(inside > 0, own)  # no other object reaches into the box
            for edge in (own[0], own[-1], own[:, 0], own[:, -1]):
                assert edge.any()
            window(rest, sample.boxes[row])[:] = 0
        assert not rest.any()


def test_each_object_has_its_shape():
    filled = {0: (0.70, 0.85), 1: (1.0, 1.0), 2: (0.40, 0.60)}  # of the box: π/4, all, a half
    for index in INDICES:
        sample = TRAIN.read(index)
        for row in rows_of(sample):
            low, high = filled[int(sample.box_labels[row])]
            assert low <= (window(sample.mask, sample.boxes[row]) > 0).mean() <= high


def test_keypoints_are_the_centres_of_the_white_dots():
    for index in INDICES:
        sample = TRAIN.read(index)
        white = dots(sample.image)
        assert white.sum() == 4 * sample.keypoints_valid.sum()
        for row in rows_of(sample):
            y, x = np.nonzero(window(white, sample.boxes[row]))
            centre = np.array([x.mean() + 0.5, y.mean() + 0.5]) + sample.boxes[row, :2]
            np.testing.assert_array_equal(sample.keypoints[row], centre)


def test_absent_rows_are_zero_and_present_ones_first():
    counts = set()
    for index in INDICES:
        sample = TRAIN.read(index)
        n = int(sample.boxes_valid.sum())
        counts.add(n)
        np.testing.assert_array_equal(sample.boxes_valid, np.arange(3) < n)
        np.testing.assert_array_equal(sample.keypoints_valid, sample.boxes_valid)
        assert not sample.boxes[n:].any() and not sample.box_labels[n:].any() and not sample.keypoints[n:].any()
    assert counts == {1, 2, 3}


LABELS = ("mask", "boxes", "box_labels", "boxes_valid", "keypoints", "keypoints_valid")


def test_types_and_shapes_are_those_of_the_wire():
    sample = TRAIN.read(0)
    found = {name: (getattr(sample, name).dtype.name, getattr(sample, name).shape) for name in LABELS}
    assert found == {
        "mask": ("uint8", (64, 64)),
        "boxes": ("float32", (3, 4)),
        "box_labels": ("int64", (3,)),
        "boxes_valid": ("bool", (3,)),
        "keypoints": ("float32", (3, 2)),
        "keypoints_valid": ("bool", (3,)),
    }
    assert sample.image.shape == (64, 64, 3) and sample.image.dtype == np.uint8
    assert TRAIN.info.mask and TRAIN.info.boxes == TRAIN.info.keypoints == 3


@pytest.mark.parametrize("split", ["train", "test"])
def test_labels_are_balanced_and_the_largest_objects(split):
    source = Shapes(split)
    labels = source.labels()
    assert len(source) == len(labels) == {"train": 3000, "test": 600}[split]
    assert set(np.bincount(labels)) == {len(source) // 3}
    for index in range(0, len(source), 7):
        sample = source.read(index)
        assert sample.label == labels[index] == sample.box_labels[0]
        widths = sample.boxes[:, 2] - sample.boxes[:, 0]
        assert (widths[0] > widths[1:]).all()


def test_a_scene_depends_on_its_split_and_index_alone():
    backwards = [Shapes("train").read(index).image.tobytes() for index in reversed(range(40))]
    forwards = [TRAIN.read(index).image.tobytes() for index in range(40)]
    assert backwards[::-1] == forwards
    assert len(set(forwards)) == 40
    assert Shapes("test").read(0).image.tobytes() != forwards[0]


def test_the_cache_keeps_scenes_apart_and_unchanged():
    cache = DecodedCache(1 << 20)
    train, test = Shapes("train", cache), Shapes("test", cache)
    for _ in range(2):
        for source, plain in ((train, TRAIN), (test, Shapes("test"))):
            np.testing.assert_array_equal(source.read(3).image, plain.read(3).image)
    assert (cache.hits, cache.misses) == (2, 2)
    with pytest.raises(ValueError, match="read-only"):
        train.read(3).mask[0, 0] = 1


def test_the_painter_has_not_changed():
    """Another digest is another dataset: raise PAINTER with it."""
    digest = hashlib.sha256()
    for split in ("train", "test"):
        for index in range(32):
            sample = Shapes(split).read(index)
            for name in ("image", *LABELS):
                array = getattr(sample, name)
                digest.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    assert digest.hexdigest()[:32] == "a8ad68a5bbcb162d3e834b0d6ef69c10"
    assert TRAIN.info.version != Shapes("test").info.version
