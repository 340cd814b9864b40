"""Channel shuffle, against np.take: exact bytes."""

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import chisquare

from tests.harness import grey, one, patch, run

pytestmark = pytest.mark.usefixtures("each_executor")
ORDERS = list(permutations(range(3)))


@pytest.mark.parametrize("number", range(6))
def test_an_order_is_its_permutation(number):
    image = patch("coffee", 20, 30)
    shown = one([{"op": "channel_shuffle", "order": number}], image)
    np.testing.assert_array_equal(shown, np.take(image, ORDERS[number], axis=2))


def test_all_orders_are_equally_probable():
    stream = run([{"op": "channel_shuffle"}], [np.array([[[10, 20, 30]]], np.uint8)] * 600)
    colors = stream.images()[:, 0, 0].tolist()
    orders = [ORDERS.index(tuple(value // 10 - 1 for value in color)) for color in colors]
    assert chisquare(np.bincount(orders, minlength=6)).pvalue > 1e-3


def test_a_grey_canvas_stays_as_it_is():
    image = grey(patch("coffee", 30, 40))
    np.testing.assert_array_equal(one([{"op": "channel_shuffle", "order": 3}], image), image)
