"""Where the same name means something else in Albumentations: each test fails with a translation that keeps the numbers."""

import json

import pytest

from augsvc.importing import CannotRead, import_text
from tests.importing.forms import a, albumentations, notes, only, verdicts


def test_the_default_p_is_a_half_but_for_crops_and_symmetries():
    assert only(albumentations(a("RandomGamma", gamma_limit=[80.0, 120.0])))["p"] == 0.5
    assert "p" not in only(albumentations(a("D4")))
    assert "p" not in only(albumentations(a("RandomRotate90")))


def test_rotations_are_counter_clockwise():
    step = only(albumentations(a("Rotate", limit=[-10.0, 30.0], border_mode=0, fill=0.0, p=1.0)))
    assert step == {"op": "rotation", "degrees": [-10.0, 30.0], "border": "constant", "fill": [0.0, 0.0, 0.0]}


def test_affine_shears_the_other_way():
    step = only(albumentations(a("Affine", shear={"x": [5.0, 20.0], "y": [0.0, 0.0]}, p=1.0)))
    assert (step["degrees"], step["shear_x"]) == ([0.0, 0.0], [-20.0, -5.0])
    assert only(albumentations(a("Affine", rotate=[-10.0, 20.0], p=1.0)))["degrees"] == [-10.0, 20.0]


def test_affine_shears_after_it_rotates():
    shear = {"x": [5.0, 5.0], "y": [0.0, 0.0]}
    first, second = albumentations(a("Affine", rotate=[10.0, 10.0], shear=shear, p=1.0)).pipeline
    assert (first["degrees"], first["shear_x"]) == ([10.0, 10.0], 0.0)
    assert (second["degrees"], second["shear_x"]) == (0.0, [-5.0, -5.0])
    together = only(albumentations(a("Affine", rotate=[10.0, 10.0], shear=shear, p=0.3)))
    assert (together["op"], together["p"], len(together["of"])) == ("random_apply", 0.3, 2)


def test_resizes_note_that_opencv_does_not_average():
    assert "samples four pixels" in notes(albumentations(a("Resize", height=96, width=64)))
    assert notes(albumentations(a("Resize", height=96, width=64, area_for_downscale="image"))) == ""


def test_pixels_become_fractions_of_the_size_at_that_point():
    result = albumentations(
        a("Resize", height=100, width=200), a("Affine", translate_px={"x": [-10, 10], "y": [-10, 10]})
    )
    assert (result.pipeline[0]["translate_x"], result.pipeline[0]["translate_y"]) == ([-0.05, 0.05], [-0.1, 0.1])
    assert "give it as --size" in notes(albumentations(a("Affine", translate_px={"x": [-10, 10], "y": [-10, 10]})))
    sized = albumentations(a("Affine", translate_px={"x": [-10, 10], "y": [0, 0]}), size=(100, 200))
    assert only(sized)["translate_x"] == [-0.05, 0.05]


def test_holes_in_pixels_become_fractions():
    holes = {"hole_height_range": [8, 16], "hole_width_range": [8, 16], "num_holes_range": [1, 2], "fill": 0}
    step = albumentations(a("RandomCrop", height=32, width=64), a("CoarseDropout", **holes)).pipeline[1]
    assert (step["height"], step["width"]) == ([0.25, 0.5], [0.125, 0.25])
    fractions = {**holes, "hole_height_range": [0.1, 0.2], "hole_width_range": [0.1, 0.2]}
    assert only(albumentations(a("CoarseDropout", **fractions)))["height"] == [0.1, 0.2]


def test_scale_limits_are_around_one():
    step = only(albumentations(a("ShiftScaleRotate", scale_limit=[-0.2, 0.1], shift_limit_x=[-0.1, 0.1])))
    assert step["scale"] == [0.8, 1.1]


@pytest.mark.parametrize(("code", "border"), [(1, "edge"), (2, "reflect"), (4, "reflect101")])
def test_borders_are_the_numbers_of_opencv(code, border):
    assert only(albumentations(a("Rotate", limit=[-9, 9], border_mode=code)))["border"] == border


def test_a_border_that_wraps_is_refused():
    assert "border_mode wrap" in notes(albumentations(a("Rotate", limit=[-9, 9], border_mode=3)))


def test_brightness_adds_and_contrast_is_about_black():
    step = only(albumentations(a("RandomBrightnessContrast", brightness_limit=[-0.2, 0.2], contrast_limit=[-0.3, 0.3])))
    assert (step["op"], step["factor"], step["add"]) == ("brightness", [0.7, 1.3], [-0.2, 0.2])
    assert "image's mean" in notes(albumentations(a("RandomBrightnessContrast", brightness_by_max=False)))


def test_color_jitter_has_the_mean_as_its_pivot():
    step = only(albumentations(a("ColorJitter", contrast=[0.5, 1.5], hue=[-0.5, 0.5])))
    assert (step["pivot"], step["contrast"], step["hue"]) == ("mean", [0.5, 1.5], [-0.5, 0.5])


def test_hues_are_half_degrees_and_shifts_are_levels():
    step = only(
        albumentations(
            a("HueSaturationValue", hue_shift_limit=[-18, 18], sat_shift_limit=[-51, 51], val_shift_limit=[0, 0])
        )
    )
    assert (step["hue"], step["saturation_shift"], step["saturation"]) == ([-0.1, 0.1], [-0.2, 0.2], 1.0)


def test_gamma_is_in_percent():
    assert only(albumentations(a("RandomGamma", gamma_limit=[80.0, 150.0])))["gamma"] == [0.8, 1.5]


def test_shifts_of_rgb_are_levels():
    limits = {f"{channel}_shift_limit": [-51, 51] for channel in "rgb"}
    assert only(albumentations(a("RGBShift", **limits)))["shift"] == [-0.2, 0.2]
    assert "different ranges" in notes(albumentations(a("RGBShift", **limits | {"r_shift_limit": [0, 51]})))


def test_the_default_of_autocontrast_is_none():
    assert "equalizes rather than stretches" in notes(albumentations(a("AutoContrast", method="cdf", cutoff=0)))
    assert only(albumentations(a("AutoContrast", method="pil", cutoff=2)))["cutoff"] == 2.0


def test_equalize_names_how_far_it_is_from_pillows():
    assert "2 to 8 levels" in notes(albumentations(a("Equalize", mode="cv", by_channels=True)))


def test_the_ratio_of_erasing_is_width_over_height():
    assert only(albumentations(a("Erasing", ratio=[0.5, 4.0])))["ratio"] == [0.5, 4.0]


def test_noise_is_a_fraction_of_white():
    assert only(albumentations(a("GaussNoise", std_range=[0.2, 0.44], mean_range=[0.0, 0.0])))["std"] == [0.2, 0.44]


def test_blurs_have_sides_not_radii():
    assert only(albumentations(a("Blur", blur_limit=[3, 7])))["radius"] == [1.0, 3.0]
    assert only(albumentations(a("MedianBlur", blur_limit=[3, 7])))["radius"] == [1.0, 3.0]
    assert only(albumentations(a("GaussianBlur", blur_limit=[0, 0], sigma_limit=[0.5, 3.0])))["sigma"] == [0.5, 3.0]
    assert "cuts sigma 3" in notes(albumentations(a("GaussianBlur", blur_limit=[3, 3], sigma_limit=[0.5, 3.0])))


def test_one_of_takes_p_as_weights_and_its_choice_always_applies():
    step = only(albumentations(a("OneOf", a("InvertImg", p=0.1), a("NoOp", p=0.3), p=0.8)))
    assert (step["op"], step["p"], step["weights"]) == ("one_of", 0.8, [0.1, 0.3])
    assert [child["p"] for child in step["of"]] == [1.0, 0.0]


@pytest.mark.parametrize("choice", ["OneOf", "OneOrOther"])
def test_a_choice_forces_the_p_of_a_container_but_not_of_its_children(choice):
    flip, invert = a("HorizontalFlip", p=0.3), a("InvertImg", p=0.2)

    def chosen(child):
        return only(albumentations(a(choice, child, a("NoOp", p=0.5), p=1.0)))["of"][0]

    assert chosen(a("Sequential", flip, p=1.0)) == {"op": "horizontal_flip", "p": 0.3}
    assert chosen(a("Compose", a("Sequential", flip, p=1.0), p=1.0)) == {"op": "horizontal_flip", "p": 0.3}
    some = chosen(a("Sequential", flip, p=0.4))
    assert (some["op"], some.get("p", 1.0), some["of"][0]["p"]) == ("random_apply", 1.0, 0.3)
    both = chosen(a("Sequential", flip, invert, p=1.0))
    assert (both.get("p", 1.0), [child["p"] for child in both["of"]]) == (1.0, [0.3, 0.2])
    assert chosen(a("OneOf", flip, invert, p=0.4)).get("p", 1.0) == 1.0
    assert chosen(a("SomeOf", flip, invert, n=1, p=0.4))["p"] == 0.4  # draws its p even when chosen
    assert chosen(a("RandomOrder", flip, invert, n=2, p=0.4))["p"] == 0.4
    assert chosen(flip)["p"] == 1.0


def test_weights_are_the_default_p_where_none_is_given():
    step = only(albumentations(a("OneOf", a("D4"), a("InvertImg"), p=1.0)))
    assert step["weights"] == [1.0, 0.5]


def test_some_of_keeps_the_p_of_its_children():
    step = only(albumentations(a("SomeOf", a("InvertImg", p=0.1), a("ToSepia", p=0.3), n=1, replace=False, p=1)))
    assert (step["op"], step["n"], [child["p"] for child in step["of"]]) == ("some_of", 1, [0.1, 0.3])


def test_one_or_other_takes_p_as_that_of_the_first():
    step = only(albumentations(a("OneOrOther", a("InvertImg", p=0.1), a("ToSepia", p=0.3), p=0.9)))
    assert (step["weights"], [child["p"] for child in step["of"]]) == (pytest.approx([0.9, 0.1]), [1.0, 1.0])


def test_a_sequence_with_p_applies_whole_or_not():
    result = albumentations(a("Sequential", a("InvertImg", p=0.1), a("ToSepia", p=0.3), p=0.2))
    assert (only(result)["op"], only(result)["p"]) == ("random_apply", 0.2)


def test_normalize_becomes_the_output():
    result = albumentations(
        a("Normalize", mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225], max_pixel_value=255.0)
    )
    assert result.fields()["output"] == {
        "dtype": "float32",
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
    }
    assert "whitening" in notes(albumentations(a("Normalize", normalization="image")))


def test_the_default_quality_of_compression_is_remarked():
    result = albumentations(a("ImageCompression", quality_range=[99, 100], compression_type="jpeg"))
    assert "hardly changes" in notes(result)
    assert verdicts(result) == {"ImageCompression": "near"}
    assert "WebP" in notes(albumentations(a("ImageCompression", compression_type="webp")))


@pytest.mark.parametrize("version", ["1.3.1", "2.1.0", "", None, 2.0])
def test_other_versions_are_refused(version):
    with pytest.raises(CannotRead, match=r"2\.0 is read"):
        albumentations(a("HorizontalFlip"), version=version)


def test_unknown_parameters_are_refused_by_name():
    assert (
        notes(albumentations(a("HorizontalFlip", p=0.5, always_apply=False))) == "has unknown parameters: always_apply"
    )


def test_what_a_compose_says_of_boxes_is_noted():
    boxes = {"format": "coco", "min_visibility": 0.3}
    root = a("Compose", a("InvertImg", p=0.5), p=1.0, bbox_params=boxes, keypoint_params=None, additional_targets={})
    result = import_text(json.dumps({"__version__": "2.0.8", "transform": root}))
    assert "min_visibility" in notes(result)
    assert verdicts(result) == {"Compose": "near", "InvertImg": "equal"}
    root["strict"] = True
    result = import_text(json.dumps({"__version__": "2.0.8", "transform": root}))
    assert "unknown parameters: strict" in notes(result)


def test_a_class_of_the_users_is_not_taken_for_a_class_of_the_library():
    assert verdicts(albumentations(a("mytraining.InvertImg", p=0.5))) == {"mytraining.InvertImg": "refused"}
    assert verdicts(albumentations(a("albumentations.InvertImg", p=0.5))) == {"InvertImg": "equal"}


def test_a_container_whose_child_is_refused_names_it():
    result = albumentations(
        a("OneOf", a("InvertImg", p=0.5), a("GridDropout", p=0.5), p=1.0), a("OneOf", a("ToSepia"), p=1.0)
    )
    assert [(line.name, line.depth, str(line.verdict)) for line in result.lines] == [
        ("OneOf", 0, "refused"),
        ("InvertImg", 1, "equal"),
        ("GridDropout", 1, "refused"),
        ("OneOf", 0, "equal"),
        ("ToSepia", 1, "equal"),
    ]
    assert "holds GridDropout" in notes(result)


def test_a_photon_of_shot_noise_is_its_scale():
    step = only(albumentations(a("ShotNoise", scale_range=[0.1, 0.25], p=0.5)))
    assert (step["op"], step["photons"]) == ("shot_noise", [4.0, 10.0])
    assert "above 0" in notes(albumentations(a("ShotNoise", scale_range=[0.0, 0.25], p=0.5)))


def test_a_crop_and_pad_of_percents_is_a_frame_after_a_resize():
    resize = a("Resize", height=32, width=40, area_for_downscale="image", p=1.0)
    result = albumentations(resize, a("CropAndPad", percent=[-0.1, 0.2], fill=51, p=1.0))
    assert only(result)["percent"] == [-0.1, 0.2]
    assert only(result)["fill"] == 0.2
    assert result.size == (32, 40)
    for wrong in ({"px": 3}, {"percent": 0.1, "keep_size": False}, {"percent": [[0, 0.1]] * 4}):
        assert "CropAndPad" in {line.name for line in albumentations(resize, a("CropAndPad", **wrong, p=1.0)).refused}
    assert "put a Resize" in notes(albumentations(a("CropAndPad", percent=0.1, p=1.0)))


def test_warps_keep_their_limits_and_borders():
    lens = only(albumentations(a("OpticalDistortion", distort_limit=0.1, border_mode=1, p=0.5)))
    assert (lens["op"], lens["k"], lens["border"]) == ("optical_distortion", [-0.1, 0.1], "edge")
    grid = only(albumentations(a("GridDistortion", num_steps=4, distort_limit=[-0.2, 0.1], p=0.5)))
    assert (grid["steps"], grid["stretch_x"], grid["stretch_y"]) == (4, [-0.2, 0.1], [-0.2, 0.1])
    wrong = (
        a("OpticalDistortion", mode="fisheye"),
        a("GridDistortion", normalized=False),
        a("GridDistortion", distort_limit=0.5),
    )
    for step in wrong:
        assert len(albumentations({**step, "p": 0.5}).refused) == 1
