"""Colour shift, colour jitter, gamma and whitening against their formulas in float64."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.harness import agree, grey, one, patch, photo, plain, rounded, run, to_levels, warp

pytestmark = pytest.mark.usefixtures("each_executor")
ROUNDING = {"most": 1, "mean": 0.01}  # matrices and tables are rounded to 2⁻¹⁶: 0.004 of a level
LUMA = np.array([0.299, 0.587, 0.114])
STILL = {"brightness": 1, "contrast": 1, "saturation": 1, "hue": 0}


def jitter(**fields):
    return [{"op": "color_jitter", **STILL, **fields}]


def jittered(values, draws):
    """Brightness, then contrast about 0.5, saturation about the luma, and hue about the grey axis."""
    values = values * draws["brightness"]
    values = (values - 0.5) * draws["contrast"] + 0.5
    if values.shape[-1] == 1:
        return values
    luma = (values @ LUMA)[..., None]
    values = luma + (values - luma) * draws["saturation"]
    return values @ Rotation.from_rotvec(np.ones(3) / np.sqrt(3) * draws["hue"] * 2 * np.pi).as_matrix().T


def test_color_shift_adds_an_independent_offset_to_each_channel():
    images = [patch("coffee", 40, 50, top=10 * k) for k in range(16)]
    stream = run([{"op": "color_shift", "shift": [-0.4, 0.4]}], images)
    shifts = np.array([stream.draws(at)["shift"] for at in range(16)])[:, :3]
    assert (np.abs(shifts) <= 0.4).all() and shifts.std() > 0.15
    assert (np.ptp(shifts, axis=1) > 0.01).all()  # the channels' numbers differ
    for image, found, shift in zip(images, stream.images(), shifts, strict=True):
        agree(found, to_levels(image / 255 + shift), **ROUNDING)


def test_color_shift_of_whole_levels_is_exact_and_ends_at_black_and_white():
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    for levels in (-255, -40, 0, 51, 255):
        found = one([{"op": "color_shift", "shift": levels / 255}], image)
        np.testing.assert_array_equal(found, np.clip(image.astype(int) + levels, 0, 255))


@pytest.mark.parametrize("channels", [1, 3])
def test_color_jitter_is_its_formula(channels):
    images = [patch("coffee", 40, 50, top=10 * k)[..., :channels] for k in range(24)]
    ranges = {"brightness": [0.5, 1.6], "contrast": [0.3, 2], "saturation": [0, 3], "hue": [-0.5, 0.5]}
    stream = run(jitter(**ranges), images, aug_seed=1)
    for at, found in enumerate(stream.images()):
        agree(found, to_levels(jittered(images[at] / 255, stream.draws(at))), **ROUNDING)


def test_each_part_of_color_jitter_alone():
    image = photo("astronaut")
    values = image / 255
    np.testing.assert_array_equal(one(jitter(), image), image)
    agree(one(jitter(brightness=1.3), image), to_levels(values * 1.3), **ROUNDING)
    agree(one(jitter(contrast=1.4), image), to_levels(0.5 + (values - 0.5) * 1.4), **ROUNDING)
    assert (one(jitter(contrast=0), image) == 128).all()
    agree(one(jitter(saturation=0), image), to_levels(np.repeat((values @ LUMA)[..., None], 3, axis=2)), **ROUNDING)


def test_a_third_of_a_turn_of_hue_exchanges_the_channels_and_grey_stays():
    image = photo("astronaut")
    np.testing.assert_array_equal(one(jitter(hue=1 / 3), image), np.roll(image, 1, axis=2))  # red becomes green
    np.testing.assert_array_equal(one(jitter(hue=-1 / 3), image), np.roll(image, -1, axis=2))
    same = np.repeat(grey(image), 3, axis=2)
    for hue in (-0.37, 0.1, 0.5):
        agree(one(jitter(hue=hue, saturation=2.5), same), same, most=0, mean=0)


def test_tones_in_a_row_do_not_clip_between_them():
    image = patch("astronaut", 64, 64)
    steps = [*jitter(brightness=2), {"op": "color_shift", "shift": -0.5}, {**jitter(contrast=0.5)[0], "id": "again"}]
    agree(one(steps, image), to_levels((image / 255 * 2 - 0.5 - 0.5) * 0.5 + 0.5), **ROUNDING)


@pytest.mark.parametrize("times", [1, 7, 8, 10, 32])
def test_tones_in_a_row_may_be_as_strong_as_they_like_between_them(times):
    grey_level = plain(100, 4, 4)
    there_and_back = jitter(brightness=4) * times + jitter(brightness=0.25) * times
    np.testing.assert_array_equal(one(there_and_back, grey_level), grey_level)
    assert (one(jitter(brightness=4) * times, plain(1, 4, 4)) == min(4**times, 255)).all()


def test_a_table_clips_before_it_and_a_matrix_after_it_does_not_move_before_it():
    image = patch("astronaut", 64, 64)
    steps = [*jitter(brightness=3), {"op": "gamma", "gamma": 2}, {"op": "color_shift", "shift": -0.25}]
    agree(one(steps, image), to_levels(np.clip(image / 255 * 3, 0, 1) ** 2 - 0.25), **ROUNDING)


@pytest.mark.parametrize("gamma", [0.25, 0.5, 0.67, 1.0, 1.5, 2.2, 4.0])
def test_gamma_of_every_level(gamma):
    """Whole levels lie 4 entries of the table apart, so that even near black the curve is met within a level."""
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    agree(one([{"op": "gamma", "gamma": gamma}], image), to_levels((image / 255) ** gamma), most=1, mean=0.05)


def test_gamma_between_levels_is_worst_near_black():
    """Between entries of the table the curve is a chord. From the first level, 4/1024, on that is within one level; below it,
    in the table's first cell, a root is steeper than its chord."""
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    for gamma, above, below in ((0.67, 1, 1), (0.5, 1, 2), (0.3, 1, 14), (2.2, 1, 1)):
        for shift in np.linspace(-1, 0, 21) / 255:
            found = one([{"op": "color_shift", "shift": shift}, {"op": "gamma", "gamma": gamma}], image)
            values = np.clip(image / 255 + shift, 0, 1)
            difference = np.abs(found - to_levels(values**gamma))
            assert difference[values >= 4 / 1024].max(initial=0) <= above
            assert difference.max() <= below


def test_two_gammas_are_their_product():
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    found = one([{"op": "gamma", "gamma": 0.7}, {"op": "gamma", "gamma": 1.6}], image)
    agree(found, to_levels((image / 255) ** 1.12), most=1, mean=0.02)


def test_drawn_gammas_are_those_of_the_receipt():
    images = [patch("chelsea", 40, 50, top=10 * k) for k in range(16)]
    stream = run([{"op": "gamma", "gamma": [0.4, 2.5]}], images)
    for at, found in enumerate(stream.images()):
        agree(found, to_levels((images[at] / 255) ** stream.draws(at)["gamma"]), most=1, mean=0.05)


def whitened(values, strength):
    """tf.image.per_image_standardization, its 0 at 0.5 and its 1 at 0.75, blended with the image."""
    scores = (values - values.mean()) / max(values.std(), 1 / np.sqrt(values.size))
    return (1 - strength) * values + strength * (0.5 + 0.25 * scores)


@pytest.mark.parametrize("channels", [1, 3])
def test_whitening_is_its_formula(channels):
    images = [patch("astronaut", 40, 50, top=20 * k)[..., :channels] for k in range(16)]
    stream = run([{"op": "whitening", "strength": [0, 1]}], images)
    for at, found in enumerate(stream.images()):
        agree(found, to_levels(whitened(images[at] / 255, stream.draws(at)["strength"])), **ROUNDING)
    for image in images[:4]:
        agree(one([{"op": "whitening"}], image), to_levels(whitened(image / 255, 1)), **ROUNDING)
        np.testing.assert_array_equal(one([{"op": "whitening", "strength": 0}], image), image)


def test_whitening_of_a_constant_image_is_mid_grey():
    for level in (0, 1, 128, 254, 255):
        found = one([{"op": "whitening"}], plain(level, 30, 40))
        assert np.ptp(found) == 0 and found[0, 0, 0] in (127, 128)  # 127.5
        half = one([{"op": "whitening", "strength": 0.5}], plain(level, 30, 40))
        assert np.ptp(half) == 0 and abs(half[0, 0, 0] - (level + 127.5) / 2) <= 0.51


def test_whitening_of_a_nearly_constant_image_is_held_back():
    """A spread below 1/√(C·H·W) counts as that, so that a single grain does not fill the whole image."""
    image = plain(100, 8, 8, 1)
    image[3, 3] = 103
    agree(one([{"op": "whitening"}], image), to_levels(whitened(image / 255, 1)), **ROUNDING)
    assert np.ptp(one([{"op": "whitening"}], image)) == round(0.25 * 3 * 8)


def test_whitening_takes_its_statistics_from_the_pixels_it_meets():
    image = patch("coffee", 48, 48)
    moved = rounded(warp(image, np.array([[1, 0, 12], [0, 1, 0], [0, 0, 1.0]]), (48, 48), "grid-constant"))
    steps = [{"op": "affine", "degrees": 0, "scale": 1, "translate_x": 0.25, "translate_y": 0}, {"op": "whitening"}]
    agree(one(steps, image), to_levels(whitened(moved / 255, 1)), **ROUNDING)  # the zeros that came in count
    darker = jittered(image / 255, STILL | {"brightness": 0.6, "contrast": 0.9})  # inside [0, 1]
    steps = [*jitter(brightness=0.6, contrast=0.9), {"op": "whitening"}]
    agree(one(steps, image), to_levels(whitened(darker, 1)), **ROUNDING)


def test_whitening_of_what_overshot_takes_statistics_and_pixels_alike():
    """Values live on [0, 1] between operations: the mean and spread are those of the pixels that are whitened."""
    image = patch("coffee", 48, 48)
    values = jittered(image / 255, STILL | {"brightness": 0.5, "contrast": 1.2})
    assert values.min() < 0
    found = one([*jitter(brightness=0.5, contrast=1.2), {"op": "whitening"}], image)
    agree(found, to_levels(whitened(values.clip(0, 1), 1)), **ROUNDING)
