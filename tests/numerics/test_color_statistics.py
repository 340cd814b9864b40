"""Sums of colours against NumPy in float64, the whitening matrix against its definition, SciPy and Kornia; the file."""

import json

import kornia
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import inv, sqrtm

from augsvc.arrays import Sample
from augsvc.data.fit import color_sums, fit
from augsvc.errors import Undecodable
from augsvc.numerics.color_statistics import EPSILON, ColorStatistics, parse_statistics, read_statistics
from augsvc.streams.drawn_images import with_channels
from tests.harness import ListSource, grey, photo

NAMES = ("astronaut", "chelsea", "coffee")


def fitted(*images):
    return fit(ListSource([Sample(image, 0) for image in images]))


def colours(*images):
    """All pixels on the [0, 1] scale (P, C)."""
    return np.concatenate([image.reshape(-1, image.shape[2]) for image in images]) / 255


def root(covariance):
    return inv(sqrtm(covariance + EPSILON * np.eye(len(covariance)))).real


# --- sums


@given(st.integers(0, 2**32 - 1), st.integers(1, 90), st.sampled_from([1, 3]))
def test_sums_are_those_of_the_integers(seed, side, channels):
    image = np.random.default_rng(seed).integers(0, 256, (side, side + 1, channels), dtype=np.uint8)
    pixels = [(1, *map(int, pixel)) for pixel in image.reshape(-1, channels)]
    expected = [[sum(p[i] * p[j] for p in pixels) for j in range(channels + 1)] for i in range(channels + 1)]
    assert color_sums(image).tolist() == expected


def test_sums_of_an_image_larger_than_a_band():
    image = np.full((300, 700, 3), 255, dtype=np.uint8)
    assert color_sums(image)[0].tolist() == [210_000, *[210_000 * 255] * 3]
    assert color_sums(image)[1:, 1:].tolist() == [[210_000 * 255**2] * 3] * 3


def test_mean_and_covariance_are_numpys():
    images = [photo(name) for name in NAMES]  # of three sizes: each pixel counts alike
    found, pixels = fitted(*images), colours(*images)
    assert (found.samples, found.left_out, found.count) == (3, 0, len(pixels))
    np.testing.assert_allclose(found.mean(), pixels.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.covariance(), np.cov(pixels.T, bias=True), rtol=1e-11)


def test_nothing_cancels():
    """10^12 pixels of 254, one of 255: in float64, mean² − mean of squares would have no digit left."""
    n = 10**12
    found = ColorStatistics(
        dataset="d", dataset_version="1", samples=1, left_out=0, channels=1,
        count=n + 1, sums=(254 * n + 255,), products=((254**2 * n + 255**2,),),
    )  # fmt: skip
    assert found.covariance()[0][0] == pytest.approx(1e-12 / 255**2, rel=1e-11)


class Torn(ListSource):
    """Every other sample cannot be decoded."""

    def read(self, index):
        if index % 2:
            raise Undecodable
        return super().read(index)


def test_what_cannot_be_decoded_is_left_out_and_counted():
    images = [photo("coffee")[10 * k : 10 * k + 8] for k in range(9)]
    steps = []
    found = fit(Torn([Sample(image, 0) for image in images]), steps.append)
    assert (found.samples, found.left_out) == (5, 4)
    assert found.sums == fitted(*images[::2]).sums
    assert sum(steps) == 9


class Ruined(ListSource):
    """No sample can be decoded."""

    def read(self, index):
        raise Undecodable


def test_a_dataset_without_a_sample_that_can_be_decoded_has_no_statistics():
    with pytest.raises(ValueError, match="no sample of the dataset 'list' can be decoded"):
        fit(Ruined([Sample(photo("coffee"), 0)]))


# --- the whitening matrix


@pytest.mark.parametrize("images", [NAMES, NAMES[:1], NAMES[1:2]], ids=str)
def test_whitened_colours_have_the_identity_as_their_covariance(images):
    images = [photo(name) for name in images]
    found = fitted(*images).whitening(3)
    white = (colours(*images) - found.mean) @ found.matrix.T
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-10)
    values = np.linalg.eigvalsh(np.cov(colours(*images).T, bias=True))
    shrunk = values / (values + EPSILON)  # what ε takes away: some thousandths of the narrowest axis
    np.testing.assert_allclose(np.linalg.eigvalsh(np.cov(white.T, bias=True)), np.sort(shrunk), atol=1e-10)
    assert shrunk.min() > 0.995


def test_the_matrix_is_kornias():
    """The same pixels as samples of dimension 3, in float64."""
    images = [photo(name) for name in NAMES]
    found = fitted(*images).whitening(3)
    pixels = torch.from_numpy(colours(*images))
    zca = kornia.enhance.ZCAWhitening(eps=EPSILON, unbiased=False).fit(pixels)
    np.testing.assert_allclose(found.matrix, zca.transform_matrix.numpy(), rtol=1e-9)
    np.testing.assert_allclose(found.mean, zca.mean_vector.numpy().ravel(), rtol=1e-12)
    some = pixels[::997]
    white = (some.numpy() - found.mean) @ found.matrix.T
    np.testing.assert_allclose(white, zca(some).numpy(), rtol=0, atol=1e-9)


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(0, 255))
def test_the_matrix_is_scipys_root(seed, pixels, low):
    generator = np.random.default_rng(seed)
    image = generator.integers(low, 256, (1, pixels, 3), dtype=np.uint8)
    if seed % 3 == 0:
        image[..., 2] = image[..., 1]  # a covariance without full rank
    found = fitted(image)
    matrix = found.whitening(3).matrix
    assert (matrix == matrix.T).all()
    np.testing.assert_allclose(matrix, root(np.array(found.covariance())), rtol=0, atol=1e-6 * np.abs(matrix).max())


def test_one_colour_alone_is_held_back_by_epsilon():
    found = fitted(np.full((4, 5, 3), (10, 128, 255), dtype=np.uint8)).whitening(3)
    np.testing.assert_array_equal(found.matrix, np.eye(3) / np.sqrt(EPSILON))
    np.testing.assert_array_equal(found.mean, [10 / 255, 128 / 255, 1.0])


def test_a_grey_stream_over_colours_is_whitened_by_their_luma():
    images = [photo(name) for name in NAMES]
    found, own = fitted(*images).whitening(1), fitted(*(with_channels(image, 1) for image in images)).whitening(1)
    weights = np.array([0.299, 0.587, 0.114])
    variance = weights @ np.array(fitted(*images).covariance()) @ weights
    np.testing.assert_allclose(found.matrix, [[1 / np.sqrt(variance + EPSILON)]], rtol=1e-12)
    np.testing.assert_allclose(found.matrix, own.matrix, rtol=1e-4)  # luma is rounded to whole levels there
    np.testing.assert_allclose(found.mean, own.mean, atol=1e-4)


def test_a_stream_in_colour_over_grey_is_whitened_as_the_grey_is():
    image = grey(photo("coffee"))
    one, three = (fitted(image).whitening(channels) for channels in (1, 3))
    np.testing.assert_array_equal(three.mean, np.repeat(one.mean, 3))
    np.testing.assert_array_equal(three.matrix, np.eye(3) * one.matrix[0, 0])


# --- the file


def damaged(**changes):
    """A file's text with other values, its digest made to fit."""
    fields = json.loads(fitted(photo("coffee")).text()) | changes
    fields.pop("digest")
    try:
        digest = ColorStatistics.model_construct(**fields).digest
    except Exception:
        digest = "0" * 64
    return json.dumps(fields | {"digest": digest})


def test_a_file_is_read_as_it_was_written(tmp_path):
    found = fitted(*(photo(name) for name in NAMES))
    (tmp_path / "colours.json").write_text(found.text(), encoding="utf-8")
    again = read_statistics(tmp_path / "colours.json")
    assert again == found
    assert again.digest == found.digest == json.loads(found.text())["digest"]
    assert hash(again) == hash(found)


@pytest.mark.parametrize("field", ["dataset", "dataset_version", "samples", "left_out", "count", "sums", "products"])
def test_the_digest_is_of_everything(field):
    found = fitted(photo("coffee"))
    fields = found.model_dump()
    other = {"dataset": "x", "dataset_version": "x", "sums": (*found.sums[:2], 9999999)}
    other["products"] = (*found.products[:2], (*found.products[2][:2], found.products[2][2] + 1))
    assert ColorStatistics(**fields | {field: other.get(field, 250_000)}).digest != found.digest


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "not a file"),
        ("[]", "not a file"),
        ("{}", "not a file"),
        ("[" * 100_000, "not a file"),
        ('{"digest": 1}', r"statistics\.dataset is required"),
        (damaged(format="augsvc-color-statistics-2"), r"statistics\.format must be"),
        (damaged(channels=2), r"statistics\.channels must be one of 1 or 3"),
        (damaged(channels=1), "one sum per channel"),
        (damaged(count=0), r"statistics\.count must be at least 1"),
        (damaged(count=1), "values from 0 to 255"),
        (damaged(count=1.5), "count"),
        (damaged(samples=-1), "samples"),
        (damaged(sums=[1, 2]), "one sum per channel"),
        (damaged(sums=[1, 2, "3"]), "sums"),
        (damaged(sums=[1, 2, 10**9]), "values from 0 to 255"),
        (damaged(products=[[1, 2, 3]] * 3), "same product"),
        (damaged(products=[[0] * 3] * 3), "values from 0 to 255"),
        (damaged(surprise=1), "surprise"),
        (fitted(photo("coffee")).text().replace('"samples": 1', '"samples": 2'), "was edited"),
    ],
)
def test_what_is_no_such_file_is_refused(text, match, tmp_path):
    path = tmp_path / "colours.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=match) as caught:
        read_statistics(path)
    assert str(path) in str(caught.value)
    assert "augsvc fit" in str(caught.value)


def test_a_file_that_is_not_there_or_is_no_text(tmp_path):
    with pytest.raises(ValueError, match="cannot be opened"):
        read_statistics(tmp_path / "nothing.json")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="not a file"):
        read_statistics(tmp_path / "bytes")


def test_integers_beyond_doubles_are_kept():
    n = 2**60 + 1
    found = ColorStatistics(
        dataset="d", dataset_version="1", samples=1, left_out=0, channels=1, count=n, sums=(n,), products=((n,),)
    )
    assert parse_statistics(found.text()).count == n
