"""Planckian jitter, against Kornia's tables of illuminants."""

import numpy as np
import pytest
from kornia.augmentation._2d.intensity.planckian_jitter import get_planckian_coeffs

from tests.harness import agree, grey, one, patch, run, to_levels

pytestmark = pytest.mark.usefixtures("each_executor")
FIRST = {"blackbody": 3000, "cied": 4000}


@pytest.mark.parametrize("mode", FIRST)
def test_it_scales_red_and_blue_by_the_interpolated_table(mode):
    image = patch("coffee", 30, 40)
    table = get_planckian_coeffs(mode).double().numpy()
    temperatures = FIRST[mode] + 500 * np.arange(len(table))
    stream = run([{"op": "planckian_jitter", "mode": mode}], [image] * 8)
    for position, shown in enumerate(stream.images()):
        red, blue = (np.interp(stream.draws(position)["temperature"], temperatures, column) for column in table.T)
        agree(shown, to_levels(image / 255 * [red, 1, blue]), most=1, mean=0.08)  # the table has four digits


def test_a_row_of_the_table_is_itself():
    image = np.full((2, 2, 3), 100, np.uint8)
    for mode, kelvin, row in (("blackbody", 3000, 0), ("blackbody", 15000, 24), ("cied", 3000, 0), ("cied", 15000, 22)):
        red, blue = get_planckian_coeffs(mode)[row].tolist()
        shown = one([{"op": "planckian_jitter", "mode": mode, "temperature": kelvin}], image)
        agree(shown[0, 0], rounded := to_levels(np.array([red, 1, blue]) * 100 / 255), most=1, mean=0.4)
        assert rounded[1] == shown[0, 0, 1] == 100


def test_a_grey_canvas_stays_as_it_is():
    image = grey(patch("coffee", 30, 40))
    np.testing.assert_array_equal(one([{"op": "planckian_jitter", "temperature": 3000}], image), image)
