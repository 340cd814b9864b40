"""Contrast about the mean luma, and jitter in any order, against Pillow and torchvision's formulas in float64."""

from itertools import permutations

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scipy.spatial.transform import Rotation

from augsvc.planning.spec import validate_spec
from tests.harness import agree, grey, one, patch, photo, run, to_levels

pytestmark = pytest.mark.usefixtures("each_executor")
ROUNDING = {"most": 1, "mean": 0.06}  # of some 1,000 values, many near a half
LUMA = np.array([0.299, 0.587, 0.114])
STILL = {"op": "color_jitter", "brightness": 1, "contrast": 1, "saturation": 1, "hue": 0}
NAMES = ("brightness", "contrast", "saturation", "hue")
ORDERS = list(permutations(NAMES))


def luma(values):
    return values @ LUMA if values.shape[-1] == 3 else values[..., 0]


def apply_step(name, values, factor, pivot):
    """torchvision's functional, without its clamps; hue about the grey axis."""
    if name == "brightness":
        return values * factor
    if name == "contrast":
        centre = {"mean": luma(values).mean(), "middle": 0.5, "black": 0.0}[pivot]
        return centre + (values - centre) * factor
    if values.shape[-1] == 1:
        return values
    if name == "saturation":
        return luma(values)[..., None] * (1 - factor) + values * factor
    return values @ Rotation.from_rotvec(np.ones(3) / np.sqrt(3) * factor * 2 * np.pi).as_matrix().T


def test_contrast_about_the_mean_is_pillows():
    """Pillow rounds the mean to a level, and cuts its products off."""
    for factor in (0.0, 0.5, 0.9, 1.0, 1.3, 1.9):
        for image in (photo("astronaut"), patch("coffee", 61, 83)):
            expected = np.asarray(ImageEnhance.Contrast(Image.fromarray(image)).enhance(factor))
            found = one([{**STILL, "contrast": factor, "pivot": "mean"}], image)
            agree(found, expected, most=2, mean=0.6)


def test_contrast_about_black_scales():
    image = patch("coffee", 61, 83)
    agree(one([{**STILL, "contrast": 1.4, "pivot": "black"}], image), to_levels(image / 255 * 1.4), **ROUNDING)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("pivot", ["middle", "mean", "black"])
def test_each_order_is_its_formula(pivot, channels):
    images = [patch("coffee", 30, 40, top=5 * k)[..., :channels] for k in range(48)]
    ranges = {"brightness": [0.6, 1.3], "contrast": [0.5, 1.5], "saturation": [0.4, 1.6], "hue": [-0.1, 0.1]}
    stream = run([{**STILL, **ranges, "pivot": pivot, "order": [0, 23]}], images, aug_seed=2)
    orders = set()
    for at, found in enumerate(stream.images()):
        draws = stream.draws(at)
        orders.add(draws["order"])
        values = images[at] / 255
        for name in ORDERS[int(draws["order"])]:
            values = apply_step(name, values, draws[name], pivot)
        agree(found, to_levels(values), **ROUNDING)
    assert len(orders) > 15


def test_a_given_order_is_that_of_every_sample():
    image = patch("astronaut", 40, 50)
    for order in (0, 7, 23):
        values = image / 255
        for name in ORDERS[order]:
            values = apply_step(name, values, {"hue": 0.1}.get(name, 0.7), "mean")
        step = {**STILL, "brightness": 0.7, "contrast": 0.7, "saturation": 0.7, "hue": 0.1}
        agree(one([{**step, "pivot": "mean", "order": order}], image), to_levels(values), **ROUNDING)


def test_the_mean_is_that_of_the_incoming_pixels():
    """After a dark frame has moved in, and after another tone, which ends a pass and is clamped there."""
    image = patch("astronaut", 48, 48)
    moved = [{"op": "affine", "degrees": 0, "scale": 1, "translate_x": 0.25, "translate_y": 0}]
    moved += [{"op": "color_shift", "shift": 0.3}]
    before = one(moved, image) / 255
    found = one([*moved, {**STILL, "contrast": 0.5, "pivot": "mean"}], image)
    agree(found, to_levels(apply_step("contrast", before, 0.5, "mean")), most=1, mean=0.6)


def test_a_grey_canvas_has_the_mean_of_its_channel():
    image = grey(photo("astronaut"))
    expected = np.asarray(ImageEnhance.Contrast(Image.fromarray(image[..., 0])).enhance(0.6))
    agree(one([{**STILL, "contrast": 0.6, "pivot": "mean"}], image)[..., 0], expected, most=2, mean=0.6)


def test_earlier_pipelines_keep_their_form_and_draw_nothing_more():
    spec = {"dataset": "d", "pipeline": [{"op": "color_jitter", "order": 0, "pivot": "middle"}]}
    assert not {"order", "pivot"} & set(validate_spec(spec).fields()["pipeline"][0])
    assert "order" not in run([STILL], [patch("coffee", 8, 8)]).draws(0)
