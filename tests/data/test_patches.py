"""The embedded photographs and textures against scikit-image's own loader, and train apart from test."""

import itertools

import numpy as np
import pytest
import skimage.data

from augsvc.data.builtin.photos import PHOTOS, SIDE, TEXTURES, CollectionImages, Patches


@pytest.fixture(scope="module", params=[PHOTOS, TEXTURES], ids=lambda collection: collection.name)
def collection(request):
    return request.param


@pytest.fixture(scope="module")
def images(collection):
    images = [getattr(skimage.data, name)() for name in collection.images]
    return [image.reshape(*image.shape[:2], collection.channels) for image in images]


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_patch_is_cut_from_its_image(collection, images, split):
    source = Patches(split, CollectionImages(collection))
    labels = source.labels()
    for index in range(len(source)):
        image_index, top, left = source.corner(index)
        sample = source.read(index)
        np.testing.assert_array_equal(sample.image, images[image_index][top : top + SIDE, left : left + SIDE])
        assert sample.image.shape == (64, 64, collection.channels) and sample.image.flags.c_contiguous
        assert sample.label == labels[index] == image_index
        assert source.describe(index) == f"{collection.images[image_index]} row {top} column {left}"


def test_no_pixel_is_in_train_and_in_test(collection, images):
    covered = {split: [np.zeros(image.shape[:2], dtype=bool) for image in images] for split in ("train", "test")}
    for split, masks in covered.items():
        source = Patches(split, CollectionImages(collection))
        for image_index, top, left in map(source.corner, range(len(source))):
            masks[image_index][top : top + SIDE, left : left + SIDE] = True
    for train, test in zip(covered["train"], covered["test"], strict=True):
        assert train.any() and test.any()
        assert not (train & test).any()
        assert not train[:, train.shape[1] * 3 // 4 :].any()


@pytest.mark.parametrize("split", ["train", "test"])
def test_patches_lie_on_a_grid_of_sixteen_and_none_is_twice(collection, split):
    source = Patches(split, CollectionImages(collection))
    corners = [source.corner(index) for index in range(len(source))]
    assert len(set(corners)) == len(corners)
    assert corners == sorted(corners)
    for image_index, group in itertools.groupby(corners, key=lambda corner: corner[0]):
        tops, lefts = zip(*((top, left) for _, top, left in group), strict=True)
        assert set(np.diff(sorted(set(tops)))) == {16}, image_index
        assert set(np.diff(sorted(set(lefts)))) == {16}, image_index


def test_info(collection):
    train, test = (Patches(split, CollectionImages(collection)).info for split in ("train", "test"))
    assert (train.name, train.channels) == (f"{collection.name}/train", collection.channels)
    assert (train.size, train.decoders) == ((64, 64), ("png",))
    assert train.classes == collection.images
    assert train.version == Patches("train", CollectionImages(collection)).info.version != test.version
