"""Where the same name means something else in Kornia: each test fails with a translation that keeps the numbers."""

import kornia.augmentation as K
import pytest
import torch

from augsvc.importing import import_text, import_transform
from tests.importing.forms import kornia, notes, only


def test_an_object_and_its_printed_form_become_the_same_pipeline():
    transform = K.AugmentationSequential(
        K.RandomResizedCrop((32, 32)),
        K.RandomHorizontalFlip(),
        K.RandomChannelShuffle(),
        K.RandomBrightness((0.8, 1.2)),
        K.Normalize((0.5, 0.4, 0.3), (0.2, 0.2, 0.2)),
        data_keys=["input"],
    )
    result = import_transform(transform)
    assert [step["op"] for step in result.pipeline] == [
        "random_resized_crop",
        "horizontal_flip",
        "channel_shuffle",
        "brightness",
    ]
    assert result.fields() == import_text(repr(transform)).fields()
    assert "leaves out random_apply" in notes(import_text(repr(transform)))
    assert "random_apply" not in notes(result)


def test_a_sequential_of_torch_is_read_as_well():
    transform = torch.nn.Sequential(K.RandomResizedCrop((32, 32)), K.RandomInvert(p=0.3))
    result = import_transform(transform)
    assert (result.size, [step["op"] for step in result.pipeline]) == ((32, 32), ["random_resized_crop", "invert"])
    assert import_text(repr(transform)).fields() == result.fields()


def test_a_class_of_the_users_is_not_taken_for_a_class_of_the_library():
    class RandomInvert(K.RandomInvert):
        pass

    transform = K.AugmentationSequential(RandomInvert(), K.RandomInvert(), data_keys=["input"])
    first, second = import_transform(transform).lines
    assert (str(first.verdict), str(second.verdict)) == ("refused", "equal")


def test_random_affine_is_clockwise_and_shears_the_other_way():
    step = only(
        kornia("RandomAffine(degrees=(-10.0, 30.0), translate=None, shear=(5.0, 20.0), p=1.0, padding_mode=border)")
    )
    assert (step["degrees"], step["shear_x"], step["border"]) == ([-30.0, 10.0], [-20.0, -5.0], "edge")
    assert only(kornia("RandomShear(shear=10.0, p=1.0)"))["x"] == [-10.0, 10.0]


def test_random_rotation_is_counter_clockwise_and_a_number_is_symmetric():
    assert only(kornia("RandomRotation(degrees=(-10.0, 30.0), p=0.5)"))["degrees"] == [-10.0, 30.0]
    assert only(kornia("RandomRotation(degrees=45, p=0.5)"))["degrees"] == [-45.0, 45.0]


def test_color_jiggle_adds_brightness_and_has_black_as_its_pivot():
    step = only(kornia("ColorJiggle(brightness=0.2, contrast=0.2, saturation=0.0, hue=0.1, p=0.8)"))
    assert (step["op"], step["p"]) == ("random_order", 0.8)
    assert [child["op"] for child in step["of"]] == ["brightness", "contrast", "hue_saturation_value"]
    assert step["of"][0]["add"] == pytest.approx([-0.2, 0.2])
    assert (step["of"][1]["pivot"], step["of"][1]["factor"]) == ("black", [0.8, 1.2])
    assert only(kornia("ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.1)"))["pivot"] == "mean"


def test_factors_of_brightness_are_added_and_contrast_is_about_black():
    assert only(kornia("RandomBrightness(brightness_factor=tensor([0.8000, 1.2000]), p=1.0)"))["add"] == pytest.approx(
        [-0.2, 0.2]
    )
    assert only(kornia("RandomContrast(contrast_factor=tensor([0.8000, 1.2000]), p=1.0)"))["pivot"] == "black"


def test_saturation_and_hue_are_those_of_hsv():
    step = only(kornia("RandomSaturation(saturation_factor=tensor([0.5000, 1.5000]), p=1.0)"))
    assert (step["op"], step["saturation"]) == ("hue_saturation_value", [0.5, 1.5])
    assert only(kornia("RandomHue(hue_factor=tensor([-0.1000,  0.1000]), p=1.0)"))["hue"] == [-0.1, 0.1]


def test_scalars_have_the_meaning_of_their_class():
    step = only(kornia("RandomSolarize(thresholds=0.1, additions=0.2, p=0.5)"))
    assert (step["threshold"], step["addition"]) == ([0.4, 0.6], [-0.2, 0.2])
    assert only(kornia("RandomPosterize(bits=3, p=0.5)"))["bits"] == [3.0, 8.0]
    assert only(kornia("RandomSharpness(sharpness=0.5, p=0.5)"))["amount"] == [-1.0, -0.5]


def test_erasing_ratio_is_height_over_width():
    assert only(kornia("RandomErasing(scale=(0.02, 0.33), resize_to=(0.5, 4.0), value=0.0, p=0.5)"))["ratio"] == [
        0.25,
        2.0,
    ]


def test_a_small_kernel_cuts_sigma():
    assert only(kornia("RandomGaussianBlur(sigma=(0.1, 2.0), p=0.5, kernel_size=(3, 3))"))["sigma"] == [0.0, 0.799]


def test_draws_of_a_batch_are_noted():
    assert "once for a batch" in notes(kornia("RandomInvert(p=0.5, same_on_batch=True, max_val=1.0)"))
    assert "use p" in notes(kornia("RandomInvert(p=0.5, p_batch=0.5, max_val=1.0)"))
    assert "from the batch" in notes(kornia("RandomMixUpV2(lambda_val=None, p=1.0)"))


def test_random_apply_chooses_some_of_the_children():
    transform = K.AugmentationSequential(
        K.ImageSequential(K.RandomInvert(), K.RandomEqualize(), K.RandomGrayscale(), random_apply=(1, 2)),
        data_keys=["input"],
    )
    step = only(import_transform(transform))
    assert (step["op"], step["n"]) == ("some_of", [1.0, 2.0])
    whole = K.AugmentationSequential(K.RandomInvert(), K.RandomEqualize(), random_apply=1, data_keys=["input"])
    assert only(import_transform(whole))["n"] == [1.0, 1.0]


@pytest.mark.parametrize(
    ("text", "reason", "nearest"),
    [
        ("RandomGamma(gamma_factor=(0.8, 1.2), gain_factor=(1.0, 2.0), p=1.0)", "no gain", "gamma"),
        ("RandomDissolving(p=0.5)", "Stable Diffusion", None),
        ("RandomRotation(degrees=nan, p=0.5)", "degrees must be a number", "rotation"),
        ("RandomCrop(size=(8, 8), padding=(1, 2), p=1.0)", "pads the sides differently", "random_crop"),
    ],
)
def test_what_has_no_counterpart_is_refused_with_the_nearest_operation(text, reason, nearest):
    line = kornia(text).lines[-1]
    assert (str(line.verdict), line.nearest) == ("refused", nearest)
    assert reason in line.notes[0]


def test_a_mosaic_has_its_seam_where_the_crop_of_the_grid_has_it():
    """A crop that begins at a fraction r of an image has its seam at 1 − r of the canvas, (1.5 − r) / 2 of twice the canvas."""
    mosaic = (
        "RandomMosaic(output_size=(64, 64), mosaic_grid=(2, 2), start_ratio_range=(0.2, 0.6), p=0.7, min_bbox_size=0.0)"
    )
    step = only(kornia("Resize(size=(64, 64), p=1.0)", mosaic))
    assert (step["op"], step["center_x"], step["center_y"], step["fill"]) == ("mosaic", [0.45, 0.65], [0.45, 0.65], 0.0)
    assert "output_size is not that of the images" in notes(kornia(mosaic))
    assert "four images" in notes(kornia("RandomMosaic(mosaic_grid=(3, 2), p=0.7)"))
