"""The embedded photographs and textures against scikit-image's own loader, and train apart from test."""

import itertools

import numpy as np
import pytest
import skimage.data

from augsvc.data.builtin.photos import PHOTOS, SIDE, TEXTURES, Patches, Pictures


@pytest.fixture(scope="module", params=[PHOTOS, TEXTURES], ids=lambda collection: collection.name)
def collection(request):
    return request.param


@pytest.fixture(scope="module")
def pictures(collection):
    found = [getattr(skimage.data, name)() for name in collection.pictures]
    return [picture.reshape(*picture.shape[:2], collection.channels) for picture in found]


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_patch_is_cut_from_its_picture(collection, pictures, split):
    source = Patches(split, Pictures(collection))
    labels = source.labels()
    for index in range(len(source)):
        place, top, left = source.corner(index)
        sample = source.read(index)
        np.testing.assert_array_equal(sample.image, pictures[place][top : top + SIDE, left : left + SIDE])
        assert sample.image.shape == (64, 64, collection.channels) and sample.image.flags.c_contiguous
        assert sample.label == labels[index] == place
        assert source.describe(index) == f"{collection.pictures[place]} row {top} column {left}"


def test_no_pixel_is_in_train_and_in_test(collection, pictures):
    seen = {split: [np.zeros(picture.shape[:2], dtype=bool) for picture in pictures] for split in ("train", "test")}
    for split, masks in seen.items():
        source = Patches(split, Pictures(collection))
        for place, top, left in map(source.corner, range(len(source))):
            masks[place][top : top + SIDE, left : left + SIDE] = True
    for train, test in zip(seen["train"], seen["test"], strict=True):
        assert train.any() and test.any()
        assert not (train & test).any()
        assert not train[:, train.shape[1] * 3 // 4 :].any()


@pytest.mark.parametrize("split", ["train", "test"])
def test_patches_lie_on_a_grid_of_sixteen_and_none_is_twice(collection, split):
    source = Patches(split, Pictures(collection))
    corners = [source.corner(index) for index in range(len(source))]
    assert len(set(corners)) == len(corners)
    assert corners == sorted(corners)
    for place, group in itertools.groupby(corners, key=lambda corner: corner[0]):
        tops, lefts = zip(*((top, left) for _, top, left in group), strict=True)
        assert set(np.diff(sorted(set(tops)))) == {16}, place
        assert set(np.diff(sorted(set(lefts)))) == {16}, place


def test_info(collection):
    train, test = (Patches(split, Pictures(collection)).info for split in ("train", "test"))
    assert (train.name, train.channels) == (f"{collection.name}/train", collection.channels)
    assert (train.size, train.decoders) == ((64, 64), ("png",))
    assert train.classes == collection.pictures
    assert train.version == Patches("train", Pictures(collection)).info.version != test.version
