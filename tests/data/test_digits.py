"""The embedded digits against scikit-learn's own loader."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from augsvc.data.builtin.digits import Digits


@pytest.fixture(scope="module")
def table():
    return load_digits()


def rows(source):
    return [int(source.describe(index).removeprefix("row ")) for index in range(len(source))]


@pytest.mark.parametrize("split", ["train", "test"])
def test_every_sample_is_the_tables(table, split):
    source = Digits(split)
    for index, row in enumerate(rows(source)):
        sample = source.read(index)
        expected = [[(int(value) * 255 + 8) // 16 for value in line] for line in table.images[row]]
        np.testing.assert_array_equal(sample.image[:, :, 0], expected)
        assert sample.image.shape == (8, 8, 1) and sample.image.dtype == np.uint8
        assert sample.label == table.target[row] == source.labels()[index]


def test_the_split_is_disjoint_complete_and_stratified(table):
    train, test = rows(Digits("train")), rows(Digits("test"))
    assert sorted(train + test) == list(range(len(table.target)))
    assert train == sorted(train) and test == sorted(test)
    for label in range(10):
        of_class = [row for row, target in enumerate(table.target) if target == label]
        assert [row for row in test if table.target[row] == label] == of_class[3::4]


def test_info_and_purity():
    train, again, test = Digits("train"), Digits("train"), Digits("test")
    assert train.info == again.info
    assert train.info.version != test.info.version
    assert (train.info.name, train.info.channels, train.info.size) == ("digits/train", 1, (8, 8))
    assert train.info.classes == tuple(str(label) for label in range(10))
    np.testing.assert_array_equal(train.read(17).image, again.read(17).image)
    with pytest.raises(ValueError, match="read-only"):
        train.read(0).image[0, 0, 0] = 1
    train.labels()[:] = 0  # the caller's own copy
    np.testing.assert_array_equal(train.labels(), again.labels())
