"""Whitening by the colours of a dataset, through the executor: its formula in float64, and what it is for."""

import numpy as np
import pytest

from augsvc.arrays import Sample
from augsvc.data.catalog import open_catalog
from augsvc.data.fit import fit
from augsvc.errors import NeedsStatistics, NotAvailable
from tests.harness import ListSource, grey, one, over, patch, run

COLOR = {"op": "whitening", "mode": "color"}
CATALOG = open_catalog({}, 0)


def fitted(images):
    """A source of these images with their statistics."""
    samples = [Sample(image, 0) for image in images]
    return ListSource(samples, fit(ListSource(samples)))


def whitened(values, strength, colors):
    """By the definition, with NumPy's eigenvectors: the blend with 0.5 + 0.25·Σ^(−1/2)·(v − μ)."""
    values_, vectors = np.linalg.eigh(np.array(colors.covariance()) + 1e-6 * np.eye(colors.channels))
    z = (values - np.array(colors.mean())) @ (vectors / np.sqrt(values_) @ vectors.T)
    return (1 - strength) * values + strength * (0.5 + 0.25 * z)


def near(found, values):
    """Levels are those of the values, rounded: matrices are held to 2⁻¹⁶, which is 0.004 of a level."""
    assert np.abs(found - 255 * values.clip(0, 1)).max() < 0.51


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_its_formula(channels):
    source = fitted([patch("astronaut", 40, 50, top=20 * k)[..., :channels] for k in range(16)])
    stream = over(source, [{**COLOR, "strength": [0, 1]}])
    for at, found in enumerate(stream.images()):
        expected = whitened(source.samples[at].image / 255, stream.draws(at)["strength"], source.info.colors)
        near(found, expected)
    for at, found in enumerate(over(source, [COLOR]).images()):
        near(found, whitened(source.samples[at].image / 255, 1, source.info.colors))
    for at, found in enumerate(over(source, [{**COLOR, "strength": 0}]).images()):
        np.testing.assert_array_equal(found, source.samples[at].image)


def test_the_colours_of_a_whole_dataset_come_out_uncorrelated_and_equally_wide():
    """A contrast of a quarter after it makes room for 8 standard deviations; the two are one matrix, without a clamp
    between them."""
    quarter = {"op": "color_jitter", "brightness": 1, "contrast": 0.25, "saturation": 1, "hue": 0}
    stream = over(CATALOG.get("photos/train"), [COLOR, quarter])
    assert len(stream.stream.plan.passes) == 1
    pixels = stream.images().reshape(-1, 3)
    assert ((pixels == 0) | (pixels == 255)).mean() < 1e-5
    np.testing.assert_allclose(pixels.mean(axis=0) / 255, 0.5, atol=1e-3)
    np.testing.assert_allclose(np.cov(pixels.T / 255), 0.0625**2 * np.eye(3), atol=0.01 * 0.0625**2)


def test_at_full_strength_they_are_placed_about_the_middle():
    """0.25 a standard deviation: what lies beyond two of them saturates, what does not is as wide as it should be."""
    source = CATALOG.get("photos/train")
    pixels = over(source, [COLOR]).images().reshape(-1, 3) / 255
    expected = np.concatenate([source.read(at).image.reshape(-1, 3) for at in range(len(source))]) / 255
    expected = whitened(expected, 1, source.info.colors)
    np.testing.assert_allclose(np.cov(expected.T), 0.25**2 * np.eye(3), atol=1e-4)
    inside = ((expected > 0) & (expected < 1)).all(axis=1)
    assert inside.mean() > 0.8
    np.testing.assert_allclose(np.cov(pixels[inside].T), np.cov(expected[inside].T), atol=1e-5)


def test_the_test_split_goes_through_the_map_of_the_training_split():
    train, test = (CATALOG.get(f"photos/{split}") for split in ("train", "test"))
    assert train.info.colors == test.info.colors
    image = test.read(3).image
    found = over(test, [COLOR]).images(start=3, count=1)[0]
    near(found, whitened(image / 255, 1, train.info.colors))


def test_a_grey_stream_over_colours():
    stream = over(CATALOG.get("photos/train"), [COLOR], channels=1)
    plain = over(CATALOG.get("photos/train"), [], channels=1).images(count=600) / 255
    fit_ = CATALOG.get("photos/train").info.colors.whitening(1)
    near(stream.images(count=600), 0.5 + 0.25 * (plain - fit_.mean) * fit_.matrix[0, 0])


def test_a_stream_in_colour_over_grey_is_the_grey_one_three_times():
    steps = [{"op": "rotation"}, {**COLOR, "strength": [0, 1]}]
    one, three = (over(CATALOG.get("digits/test"), steps, channels=c, size=[20, 20]).images() for c in (1, 3))
    np.testing.assert_array_equal(three, np.repeat(one, 3, axis=3))


def test_it_merges_with_its_neighbours():
    """Overshooting before it does not clip."""
    image = patch("coffee", 40, 40)
    source = fitted([image])
    values = whitened(image / 255 + 0.6, 0.5, source.info.colors) - 0.4
    steps = [
        {"op": "color_shift", "shift": 0.6},
        {**COLOR, "strength": 0.5},
        {"op": "color_shift", "shift": -0.4, "id": "x"},
    ]
    near(over(source, steps).images()[0], values)


def test_without_statistics_it_is_refused():
    with pytest.raises(NeedsStatistics, match=r"pipeline\.1 needs statistics.*augsvc fit list") as caught:
        run([{"op": "gamma"}, COLOR], [patch("coffee", 8, 8)])
    assert caught.value.field == "pipeline.1"
    one([{"op": "whitening"}], grey(patch("coffee", 8, 8)))  # mode image needs none


@pytest.mark.parametrize("mode", ["patch", "zca"])
def test_other_modes_come_later(mode):
    with pytest.raises(NotAvailable, match="image and color") as caught:
        run([{"op": "whitening", "mode": mode}], [patch("coffee", 8, 8)])
    assert caught.value.field == "pipeline.0.mode"
