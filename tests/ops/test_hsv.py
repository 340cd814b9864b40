"""Hue, saturation and value against scikit-image's conversions in float64; photometric distortion and hue in HSV against
torchvision's formulas.
"""

from itertools import permutations

import numpy as np
import pytest
from PIL import Image
from skimage.color import hsv2rgb, rgb2hsv

from tests.harness import agree, grey, one, patch, photo, plain, run, to_levels

pytestmark = pytest.mark.usefixtures("each_executor")
ROUNDING = {"most": 1, "mean": 0.2}  # a dark patch has few levels, which may all lie near a half
LUMA = np.array([0.299, 0.587, 0.114])
STILL = {"op": "hue_saturation_value", "hue": 0, "saturation": 1, "value": 1}
JITTER = {"op": "color_jitter", "brightness": 1, "contrast": 1, "saturation": 1, "hue": 0, "space": "hsv"}
DISTORT = {"op": "photometric_distort", "brightness": 1, "contrast": 1, "saturation": 1, "hue": 0, "permutation": 0}


def changed(values, draws):
    hsv = rgb2hsv(values)
    hsv[..., 0] = (hsv[..., 0] + draws.get("hue", 0)) % 1
    hsv[..., 1] = np.clip(hsv[..., 1] * draws.get("saturation", 1) + draws.get("saturation_shift", 0), 0, 1)
    hsv[..., 2] = np.clip(hsv[..., 2] * draws.get("value", 1) + draws.get("value_shift", 0), 0, 1)
    return hsv2rgb(hsv)


def colors():
    """All combinations of 17 levels, greys and ties among them."""
    levels = np.linspace(0, 255, 17).round()
    return np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(17, 289, 3).astype(np.uint8)


@pytest.mark.parametrize(
    "fields",
    [
        {"hue": 0.1}, {"hue": -0.5}, {"hue": 0.5}, {"hue": 1 / 6}, {"saturation": 0}, {"saturation": 0.4},
        {"saturation": 4}, {"value": 0}, {"value": 0.3}, {"value": 3}, {"saturation_shift": -0.2},
        {"saturation_shift": 0.3}, {"value_shift": 0.2}, {"value_shift": -1}, {"saturation_shift": 1, "hue": 0.3},
        {"hue": -0.37, "saturation": 1.5, "value": 0.7, "saturation_shift": -0.1, "value_shift": 0.1},
    ],
    ids=str,
)  # fmt: skip
def test_each_change_of_every_colour_is_scikit_images(fields):
    for image in (colors(), patch("astronaut", 60, 80)):
        agree(one([{**STILL, **fields}], image), to_levels(changed(image / 255, fields)), **ROUNDING)


def test_drawn_changes_are_those_of_the_receipt():
    images = [patch("coffee", 40, 50, top=10 * k) for k in range(16)]
    ranges = {"hue": [-0.5, 0.5], "saturation": [0, 2], "value": [0.5, 1.5], "saturation_shift": [-0.1, 0.1]}
    stream = run([{**STILL, **ranges}], images, aug_seed=1)
    for at, found in enumerate(stream.images()):
        agree(found, to_levels(changed(images[at] / 255, stream.draws(at))), **ROUNDING)


def test_nothing_changes_at_the_identity_and_grey_stays_grey():
    image = photo("astronaut")
    np.testing.assert_array_equal(one([STILL], image), image)
    same = np.repeat(grey(image), 3, axis=2)
    for fields in ({"hue": 0.3}, {"saturation": 3}, {"hue": -0.1, "value": 0.8}):
        found = one([{**STILL, **fields}], same)
        agree(found, to_levels(same / 255 * fields.get("value", 1)), **ROUNDING)
    red = one([{**STILL, "saturation_shift": 0.5}], plain(200, 4, 4))
    assert (red == [200, 100, 100]).all()


def test_a_grey_canvas_has_its_value_alone():
    image = grey(photo("astronaut"))
    fields = {"hue": 0.3, "saturation": 2, "value": 1.2, "value_shift": -0.11, "saturation_shift": 0.4}
    agree(one([{**STILL, **fields}], image), to_levels(image / 255 * 1.2 - 0.11), **ROUNDING)


def test_tones_before_and_after_keep_their_order():
    """A matrix, HSV, a table, HSV twice, a matrix: values are clamped where HSV begins."""
    image = patch("coffee", 60, 80)
    steps = [{"op": "color_shift", "shift": 0.3}, {**STILL, "hue": 0.2}, {"op": "gamma", "gamma": 1.5}]
    steps += [{**STILL, "saturation": 0.6}, {**STILL, "value": 0.9, "hue": -0.1}, {"op": "color_shift", "shift": -0.1}]
    values = changed(np.clip(image / 255 + 0.3, 0, 1), {"hue": 0.2}) ** 1.5
    values = changed(changed(values, {"saturation": 0.6}), {"value": 0.9, "hue": -0.1}) - 0.1
    agree(one(steps, image), to_levels(values), most=1, mean=0.1)


def test_a_sample_does_not_depend_on_the_others_of_its_batch():
    images = [patch("coffee", 37, 53, top=15 * k) for k in range(9)]
    steps = [{"op": "color_jitter", "space": "hsv", "order": [0, 23], "pivot": "mean", "p": 0.7}]
    steps += [
        {"op": "hue_saturation_value", "p": 0.5},
        {"op": "photometric_distort", "p": 0.6},
        {"op": "gamma", "p": 0.5},
    ]
    stream = run(steps, images)
    together = stream.images()
    for at in range(len(images)):
        np.testing.assert_array_equal(stream.images(start=at, count=1)[0], together[at])


def luma(values):
    return values @ LUMA if values.shape[-1] == 3 else values[..., 0]


def turn(values, hue):
    return changed(np.clip(values, 0, 1), {"hue": hue}) if values.shape[-1] == 3 else np.clip(values, 0, 1)


def scale(values, factor, centre):
    return centre + (values - centre) * factor


def find_pivot(pivot, values):
    return {"mean": luma(values).mean(), "middle": 0.5, "black": 0}[pivot]


def saturate(values, factor):
    return scale(values, factor, luma(values)[..., None]) if values.shape[-1] == 3 else values


def test_hue_in_hsv_is_that_of_pillow():
    """torchvision turns the hue of an image as Pillow's HSV has it: a byte, which is coarse."""
    image = patch("astronaut", 60, 80)
    hsv = np.asarray(Image.fromarray(image).convert("HSV")).copy()
    hsv[..., 0] += 26
    expected = np.asarray(Image.fromarray(hsv, "HSV").convert("RGB"))
    agree(one([{**JITTER, "hue": 26 / 256}], image), expected, most=10, mean=1.5)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("pivot", ["mean", "middle"])
@pytest.mark.parametrize("order", [0, [0, 23]])
def test_jitter_in_hsv_is_its_formula_in_each_order(order, pivot, channels):
    names = list(permutations(("brightness", "contrast", "saturation", "hue")))
    images = [patch("coffee", 30, 40, top=8 * k)[..., :channels] for k in range(24)]
    ranges = {"brightness": [0.7, 1.2], "contrast": [0.6, 1.3], "saturation": [0.5, 1.4], "hue": [-0.2, 0.2]}
    stream = run([{**JITTER, **ranges, "order": order, "pivot": pivot}], images, aug_seed=3)
    for at, found in enumerate(stream.images()):
        draws, values = stream.draws(at), images[at] / 255
        for name in names[int(draws.get("order", 0))]:
            values = {
                "brightness": lambda v, f: v * f,
                "contrast": lambda v, f: scale(v, f, find_pivot(pivot, v)),
                "saturation": saturate,
                "hue": turn,
            }[name](values, draws[name])
        agree(found, to_levels(values), **ROUNDING)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("pivot", ["mean", "middle", "black"])
def test_photometric_distort_is_torchvisions_but_for_clamps(pivot, channels):
    images = [patch("coffee", 30, 40, top=5 * k)[..., :channels] for k in range(48)]
    stream = run([{"op": "photometric_distort", "pivot": pivot}], images, aug_seed=5)
    orders, seen = list(permutations(range(3))), set()
    for at, found in enumerate(stream.images()):
        draws, values = stream.draws(at), images[at] / 255
        *chosen, first = [choice < 0.5 for choice in draws["choices"]]
        seen.add((*chosen, first))
        factors = {
            name: draws[name] if on else (0 if name == "hue" else 1)
            for name, on in zip(("brightness", "contrast", "saturation", "hue"), chosen, strict=False)
        }
        values = values * factors["brightness"]
        if first:
            values = scale(values, factors["contrast"], find_pivot(pivot, values))
        values = turn(saturate(values, factors["saturation"]), factors["hue"])
        if not first:
            values = scale(values, factors["contrast"], find_pivot(pivot, values))
        if channels == 3 and chosen[4]:
            values = values[..., orders[int(draws["permutation"])]]
        agree(found, to_levels(values), **ROUNDING)
    assert len(seen) > 20


def test_photometric_distort_is_mmsegmentations_but_for_clamps():
    """Brightness is added, contrast about black, saturation that of HSV: PhotoMetricDistortion, in float64."""
    images = [patch("coffee", 20, 30, top=5 * k) // 2 + 60 for k in range(24)]
    step = {"op": "photometric_distort", "brightness": 1, "brightness_shift": [-32 / 255, 32 / 255], "pivot": "black"}
    stream = run([{**step, "hsv_saturation": True, "permutation": 0}], images, aug_seed=2)
    for at, found in enumerate(stream.images()):
        draws, values = stream.draws(at), images[at] / 255
        adds, contrasts, saturates, turns, _, first = [choice < 0.5 for choice in draws["choices"]]
        values = values + adds * draws["brightness_shift"]
        values = values * (draws["contrast"] if contrasts and first else 1)
        own = {"saturation": draws["saturation"] if saturates else 1, "hue": draws["hue"] if turns else 0}
        values = changed(np.clip(values, 0, 1), own) * (draws["contrast"] if contrasts and not first else 1)
        agree(found, to_levels(values), **ROUNDING)


def test_a_contrast_that_may_come_last_has_a_pass_with_the_mean_after_hue():
    image = patch("coffee", 8, 8)

    def passes(**fields):
        return [part["tone"] for part in run([fields], [image]).stream.plan.describe() if "tone" in part]

    assert len(passes(op="photometric_distort")) == 2
    assert len(passes(op="photometric_distort", pivot="black")) == 1
    assert len(passes(**JITTER, pivot="mean")) == 1
    assert len(passes(**JITTER, pivot="mean", order=[0, 23])) == 2
    assert len(passes(**JITTER, order=[0, 23])) == 1


def test_each_part_has_its_chance():
    image = patch("coffee", 8, 8)
    stream = run([{"op": "photometric_distort", "chance": 0.5}], [image] * 400)
    choices = np.array([stream.draws(at)["choices"] for at in range(400)]) < 0.5
    assert (np.abs(choices.mean(axis=0) - 0.5) < 0.1).all()
    assert (np.abs(np.corrcoef(choices.T) - np.eye(6)) < 0.2).all()
    np.testing.assert_array_equal(one([{"op": "photometric_distort", "chance": 0}], image), image)


def test_a_permutation_of_channels_is_exact():
    image = patch("coffee", 20, 30)
    for number, order in enumerate(permutations(range(3))):
        found = one([{**DISTORT, "permutation": number, "chance": 1}], image)
        np.testing.assert_array_equal(found, image[..., order])


def test_children_that_exclude_each_other_share_stages_and_keep_their_parts_apart():
    """Each sample is what its child alone makes of it, between two other tones."""
    before, after = {"op": "color_shift", "shift": 0.1}, {"op": "color_shift", "shift": -0.05, "id": "after"}
    jitter = {**JITTER, "hue": 0.2, "brightness": 0.8, "contrast": 1.3, "order": 23}
    children = [
        jitter,
        {**STILL, "hue": -0.1, "saturation": 0.7},
        {"op": "gamma", "gamma": 1.6},
        {**jitter, "id": "mean", "pivot": "mean"},
        {"op": "posterize", "bits": 3},
        {"op": "equalize"},
    ]
    image = patch("coffee", 40, 50)
    stream = run([before, {"op": "one_of", "of": children}, after], [image] * 48, aug_seed=4)
    alone = [one([before, child, after], image).astype(int) for child in children]
    chosen = set()
    for found in stream.images():
        differences = [np.abs(found - expected).max() for expected in alone]
        chosen.add(int(np.argmin(differences)))
        assert min(differences) <= 1
    assert len(chosen) == len(children)
