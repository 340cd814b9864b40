"""Channel dropout, against slicing: exact bytes."""

import numpy as np
import pytest
from scipy.stats import chisquare

from tests.harness import grey, one, patch, run

pytestmark = pytest.mark.usefixtures("each_executor")


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_exactly_count_channels_become_the_value(count):
    image = np.maximum(patch("coffee", 12, 16), 1)
    stream = run([{"op": "channel_dropout", "count": count, "value": [0, 1]}], [image] * 30)
    for position, shown in enumerate(stream.images()):
        draws = stream.draws(position)
        lost = np.argsort(draws["ranks"], kind="stable")[:count]
        expected = image.copy()
        expected[..., lost] = np.floor(draws["value"] * 255 + 0.5)
        np.testing.assert_array_equal(shown, expected)


def test_every_channel_is_equally_often_lost():
    shown = run([{"op": "channel_dropout"}], [np.full((1, 1, 3), 9, np.uint8)] * 600).images()
    assert chisquare((shown == 0).sum(axis=(0, 1, 2))).pvalue > 1e-3
    assert ((shown == 0).sum(axis=3) == 1).all()


def test_a_grey_canvas_stays_as_it_is():
    image = grey(patch("coffee", 30, 40))
    np.testing.assert_array_equal(one([{"op": "channel_dropout", "count": 3}], image), image)
