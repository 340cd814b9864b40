"""Colour augmentation along principal components, against NumPy's eigenvectors."""

import numpy as np
import pytest

from augsvc.arrays import Sample
from augsvc.errors import SpecInvalid
from augsvc.streams.probes import PROBES
from tests.harness import ListSource, agree, over, patch, run, to_levels

pytestmark = pytest.mark.usefixtures("each_executor")
COLORS = PROBES["probe"].info.colors
GREYS = PROBES["grey_probe"].info.colors


def streams(alpha, image, colors=COLORS, count=6, **fields):
    return over(ListSource([Sample(image, 0)] * count, colors), [{"op": "fancy_pca", "alpha": alpha}], **fields)


def test_it_adds_the_drawn_multiples_of_the_principal_components():
    image = patch("coffee", 20, 30)
    values, axes = np.linalg.eigh(np.array(COLORS.covariance()))
    stream = streams(0.8, image)
    for position, shown in enumerate(stream.images()):
        multiples = np.array(stream.draws(position)["alpha"]) * values[::-1]
        candidates = [  # the sign of an eigenvector is free
            to_levels(image / 255 + (axes[:, ::-1] * signs) @ multiples)
            for signs in np.stack(np.meshgrid([-1, 1], [-1, 1], [-1, 1]), axis=-1).reshape(-1, 3)
        ]
        closest = min(candidates, key=lambda candidate: np.abs(candidate - shown).max())
        agree(shown, closest, most=1, mean=0.01)


def test_greys_vary_as_greys():
    image = patch("coffee", 20, 30)
    added = streams(1.0, image // 2 + 60, GREYS).images().astype(int) - (image // 2 + 60)
    assert np.ptp(added, axis=(1, 2, 3)).max() <= 1, "the same in every channel of every pixel"
    assert np.abs(added).max() > 2


def test_one_channel_of_a_colour_dataset_is_its_luma():
    image = patch("coffee", 20, 30)
    stream = streams(1.0, image, channels=1)
    variance = np.array([0.299, 0.587, 0.114]) @ np.array(COLORS.covariance()) @ [0.299, 0.587, 0.114]
    plain = run([], [image], channels=1).images()[0].astype(int)
    for position, shown in enumerate(stream.images()):
        added = abs(stream.draws(position)["alpha"][0]) * variance
        agree(np.abs(shown.astype(int) - plain), np.full(plain.shape, np.floor(added * 255 + 0.5)), most=1, mean=1)


def test_a_dataset_without_statistics_is_refused():
    with pytest.raises(SpecInvalid) as refused:
        streams(0.1, patch("coffee", 20, 30), None)
    assert refused.value.field == "pipeline.0"
