"""Where the same name means something else in torchvision: each test fails with a translation that keeps the numbers."""

import pytest

from tests.importing.forms import notes, only, torchvision, verdicts


def test_a_recipe_of_the_references():
    result = torchvision(
        "RandomResizedCrop(size=(224, 224), scale=(0.08, 1.0), ratio=(0.75, 1.3333333333333333), interpolation=bilinear, "
        "antialias=True)",
        "RandomHorizontalFlip(p=0.5)",
        "ToImage()",
        "ToDtype(scale=True)",
        "Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225], inplace=False)",
    )
    assert result.fields() == {
        "size": [224, 224],
        "pipeline": [
            {"op": "random_resized_crop", "scale": [0.08, 1.0], "ratio": [0.75, 4 / 3]},
            {"op": "horizontal_flip"},
        ],
        "output": {"dtype": "float32", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
    }
    near = {name for name, verdict in verdicts(result).items() if verdict == "near"}
    assert near == {"RandomResizedCrop", "ToDtype"}  # averages areas; prints no dtype


def test_random_affine_is_clockwise_and_shears_the_other_way():
    step = only(torchvision("RandomAffine(degrees=[-10.0, 30.0], shear=[5.0, 20.0], interpolation=bilinear, fill=0)"))
    assert (step["degrees"], step["shear_x"], step["shear_y"]) == ([-30.0, 10.0], [-20.0, -5.0], [0.0, 0.0])


def test_random_rotation_is_counter_clockwise():
    assert only(torchvision("RandomRotation(degrees=[-10.0, 30.0], fill=0)"))["degrees"] == [-10.0, 30.0]


@pytest.mark.parametrize(
    ("written", "ours"),
    [("", "nearest"), (", interpolation=nearest", "nearest"), (", interpolation=InterpolationMode.BILINEAR", None)],
)
def test_nearest_neighbour_is_the_default_of_moves(written, ours):
    result = torchvision(f"RandomRotation(degrees=[-10.0, 10.0]{written}, fill=0)")
    assert only(result).get("interpolation") == ours and verdicts(result)["RandomRotation"] == "equal"


def test_bicubic_resizes_with_antialias_are_equal_and_moves_near():
    crop = "RandomResizedCrop(size=(224, 224), interpolation=bicubic, antialias=ANTIALIAS)"
    result = torchvision(crop.replace("ANTIALIAS", "True"))
    assert only(result)["interpolation"] == "bicubic" and verdicts(result)["RandomResizedCrop"] == "equal"
    assert "without antialias" in notes(torchvision(crop.replace("ANTIALIAS", "False")))
    resize = torchvision("Resize(size=[96, 64], interpolation=bicubic, antialias=True)")
    assert only(resize) == {"op": "zoom_out", "side": 1.0, "interpolation": "bicubic"} and resize.size == (96, 64)
    assert "a = −0.5; there −0.75" in notes(torchvision("RandomRotation(degrees=[0.0, 9.0], interpolation=bicubic)"))
    assert "upper left corner" in notes(torchvision("Resize(size=[96, 64], interpolation=nearest)"))


def test_fills_are_levels_of_255():
    assert only(torchvision("RandomRotation(degrees=[0.0, 9.0], fill=(255, 51, 0))"))["fill"] == [1.0, 0.2, 0.0]


def test_a_fill_after_normalize_is_the_mean_colour():
    result = torchvision(
        "Normalize(mean=[0.5, 0.4, 0.3], std=[0.1, 0.1, 0.1])", "RandomRotation(degrees=[0.0, 9.0], fill=0)"
    )
    assert only(result)["fill"] == [0.5, 0.4, 0.3]


def test_erasing_ratio_is_height_over_width():
    step = only(torchvision("RandomErasing(p=0.5, scale=(0.02, 0.33), ratio=(0.5, 4.0), value=[0.0], inplace=False)"))
    assert step["ratio"] == [0.25, 2.0]


def test_erasing_after_normalize_fills_with_the_mean():
    result = torchvision(
        "Normalize(mean=[0.5, 0.4, 0.3], std=[0.1, 0.1, 0.1])", "RandomErasing(p=0.5, ratio=(0.3, 3.3), value=[0.0])"
    )
    assert only(result)["value"] == 0.4
    assert "up to 26 levels" in notes(result)


def test_erasing_notes_how_many_rectangles_are_cut():
    text = "RandomErasing(p=1.0, scale={}, ratio={}, value=[0.0])"
    large = torchvision(text.format("(0.5, 0.9)", "(0.3, 3.3)"))
    assert "wide as a square image, 69.1 % of those drawn" in notes(large)  # 69.5 % of 20,000 draws
    assert verdicts(large)["RandomErasing"] == "near"
    small = torchvision(text.format("(0.02, 0.33)", "(0.3, 3.3)"))
    assert "0.4 % of those drawn" in notes(small)
    assert verdicts(small)["RandomErasing"] == "equal"
    assert verdicts(torchvision(text.format("(0.02, 0.2)", "(0.5, 2.0)")))["RandomErasing"] == "equal"
    wide = torchvision("Resize(size=[32, 320])", text.format("(0.15, 0.15)", "(1.0, 1.0)"))
    assert "the image, 100.0 % of those drawn" in notes(wide)  # a square of 39 pixels
    zero = torchvision(text.format("(0.0, 0.0)", "(1.0, 1.0)"))
    assert verdicts(zero)["RandomErasing"] == "equal"


def test_color_jitter_has_the_mean_as_its_pivot_hsv_and_a_drawn_order():
    step = only(torchvision("ColorJitter(brightness=(0.6, 1.4), hue=(-0.1, 0.1))"))
    assert (step["pivot"], step["space"], step["order"]) == ("mean", "hsv", [0, 23])
    assert (step["contrast"], step["saturation"]) == ([1.0, 1.0], [1.0, 1.0])  # not given: left alone


def test_a_small_kernel_cuts_sigma():
    result = torchvision("GaussianBlur(kernel_size=(3, 3), sigma=[0.1, 2.0])")
    assert only(result)["sigma"] == [0.0, 0.799]
    assert "cuts sigma 2 to 0.80" in notes(result)
    assert only(torchvision("GaussianBlur(kernel_size=(23, 23), sigma=[0.1, 2.0])"))["sigma"] == [0.0, 2.0]


@pytest.mark.parametrize(("before", "threshold", "ours"), [
    ("ToTensor()", "0.5", 0.5), ("ToTensor()", "1", 1.0),
    ("ToImage()", "128", 128 / 255), ("ToImage()", "1", 1 / 255), ("ToImage()", "0", 0.0),
])  # fmt: skip
def test_the_threshold_of_solarize_has_the_scale_of_the_image(before, threshold, ours):
    result = torchvision(before, f"RandomSolarize(p=0.5, threshold={threshold})")
    assert only(result)["threshold"] == pytest.approx(ours)
    assert ("level of 255" in notes(result)) == (ours == 1 / 255)


def test_sharpness_of_one_changes_nothing():
    assert only(torchvision("RandomAdjustSharpness(p=0.5, sharpness_factor=1)"))["amount"] == 0.0
    assert only(torchvision("RandomAdjustSharpness(p=0.5, sharpness_factor=0.2)"))["amount"] == -0.8


def test_classes_without_p_always_apply():
    assert "p" not in only(torchvision("GaussianBlur(kernel_size=(9, 9), sigma=[0.1, 1.0])"))
    assert only(torchvision("RandomPosterize(p=0.5, bits=4)"))["p"] == 0.5


def test_random_choice_keeps_the_p_of_its_children():
    step = only(torchvision("RandomChoice(transforms=[RandomInvert(p=0.3), Identity()], p=[0.25, 0.75])"))
    assert step["weights"] == [0.25, 0.75]
    assert [child["p"] for child in step["of"]] == [0.3, 0.0]  # Identity is a choice, too


def test_the_first_version_prints_the_p_of_containers():
    step = only(torchvision("RandomApply(\n    p=0.8\n    ColorJitter(brightness=(0.6, 1.4))\n)"))
    assert (step["op"], step["p"]) == ("random_apply", 0.8)
    step = only(torchvision("RandomChoice(\n    RandomInvert(p=0.5)\n    RandomEqualize(p=0.5)\n)(p=[0.3, 0.7])"))
    assert step["weights"] == [0.3, 0.7]


def test_random_apply_without_its_p_is_refused_and_says_how_to_give_it():
    result = torchvision("RandomApply(    ColorJitter(brightness=(0.6, 1.4)))")
    assert verdicts(result) == {"RandomApply": "refused", "ColorJitter": "equal"}
    assert "write its p into the text" in notes(result)


def test_policies_keep_their_magnitude_and_black():
    step = only(torchvision("RandAugment(interpolation=nearest, num_ops=2, magnitude=9, num_magnitude_bins=31)"))
    settings = {"num_ops": 2, "magnitude": 9.0, "bins": 31, "fill": [0.0, 0.0, 0.0], "interpolation": "nearest"}
    assert step == {"op": "rand_augment", **settings}
    assert only(torchvision("AutoAugment(policy=AutoAugmentPolicy.CIFAR10)"))["policy"] == "cifar10"
    assert only(torchvision("TrivialAugmentWide(num_magnitude_bins=31)"))["bins"] == 31


def test_aug_mix_has_chains_of_a_drawn_depth():
    text = "AugMix(interpolation=bilinear, severity=3, mixture_width=3, chain_depth=-1, alpha=1.0, all_ops=True)"
    step = only(torchvision(text))
    assert (step["op"], step["severity"], step["width"], step["all_ops"], "depth" in step) == (
        "aug_mix",
        3,
        3,
        True,
        False,
    )
    assert only(torchvision(text.replace("-1", "2")))["depth"] == 2
    assert "alpha 1" in notes(torchvision(text.replace("alpha=1.0", "alpha=0.5")))


def test_mixes_note_that_weights_are_drawn_per_sample():
    result = torchvision("MixUp(alpha=0.2, num_classes=10)")
    assert only(result)["alpha"] == 0.2
    assert "one weight for a batch" in notes(result)


def test_unknown_parameters_are_refused_by_name():
    result = torchvision("RandomHorizontalFlip(p=0.5, strength=3)")
    assert notes(result) == "has unknown parameters: strength"
    assert result.refused


@pytest.mark.parametrize(
    ("text", "reason", "nearest"),
    [
        ("RandomRotation(degrees=[-10.0, 10.0], expand=True, fill=0)", "without expand", "rotation"),
        ("RandomRotation(degrees=[-10.0, 10.0], center=[1, 2])", "about the centre only", "rotation"),
        ("Lambda(<lambda>, types=['object'])", "holds code", None),
        ("LinearTransformation()", "one matrix", "whitening"),
        ("ToDtype(scale=False)", "scale=True", None),
        ("SomethingElse(p=0.5)", "no transform that is known", None),
        ("RandomErasing(p=nan, ratio=(0.3, 3.3))", "p must be a number", "erasing"),
        ("RandomHorizontalFlip(p=1.5)", "from 0 to 1", "horizontal_flip"),
        ("RandomHorizontalFlip(p=[0.5, 0.5])", "p must be a number", "horizontal_flip"),
        ("ColorJitter(brightness=(0.6, 90.0))", "color_jitter.brightness takes numbers from 0.0 to 4.0", "color_jitter"),
        ("RandomPosterize(p=0.5, bits=4.5)", "whole number", "posterize"),
        ("RandomErasing(p=0.5, scale=(0.3, 0.1))", "empty range", "erasing"),
    ],
)  # fmt: skip
def test_what_has_no_counterpart_is_refused_with_the_nearest_operation(text, reason, nearest):
    (line,) = torchvision(text).lines
    assert line.verdict == "refused"
    assert reason in line.notes[0]
    assert line.nearest == nearest
